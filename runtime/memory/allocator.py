"""Which KV slots are free; the scheduler takes slots, it and the radix tree give them back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SlotIds = npt.NDArray[np.int64]


class SlotError(RuntimeError):
    """Slots were freed that are not in use: a defect in the caller, never a user's mistake."""


class SlotAllocator:
    """A stack of free slot ids in one array, and one bit per slot that catches a double free.

    Fresh slots come out in ascending order, so that a prompt that arrives at an idle engine lies
    contiguously in the pool.
    """

    def __init__(self, num_slots: int) -> None:
        if num_slots < 1:
            raise ValueError(f"num_slots is {num_slots}; a KV pool needs at least one slot")
        self.num_slots = num_slots
        self._stack: SlotIds = np.arange(num_slots - 1, -1, -1, dtype=np.int64)
        self._num_free = num_slots
        self._is_free = np.ones(num_slots, dtype=np.bool_)
        # Where each freed slot stands in the array it was freed with: finds repeats without a sort.
        self._seen_at: SlotIds = np.zeros(num_slots, dtype=np.int64)

    @property
    def num_free(self) -> int:
        return self._num_free

    def allocate(self, n: int) -> SlotIds | None:
        """`n` slots as int64 [n] that the caller now owns, or None when fewer are free."""
        if n < 0:
            raise ValueError(f"cannot allocate {n} slots")
        if n > self._num_free:
            return None
        rest = self._num_free - n
        taken = self._stack[rest : self._num_free][::-1].copy()
        self._is_free[taken] = False
        self._num_free = rest
        return taken

    def free(self, slots: SlotIds) -> None:
        """Take back slots.

        Raises SlotError, and changes nothing, if one of them is free already, is named twice, or
        was never a slot of this pool.
        """
        n = len(slots)
        if n == 0:
            return
        # A negative id, seen as unsigned, is larger than any slot: one comparison finds both kinds.
        if int(slots.view(np.uint64).max()) >= self.num_slots:
            raise SlotError(f"slots outside of the pool of {self.num_slots} were freed: {slots}")
        if self._is_free[slots].any():
            raise SlotError(f"slots were freed twice: {slots[self._is_free[slots]]}")
        places = np.arange(n, dtype=np.int64)
        self._seen_at[slots] = places
        if (self._seen_at[slots] != places).any():
            raise SlotError(f"a slot appears more than once among those freed together: {slots}")
        self._stack[self._num_free : self._num_free + n] = slots
        self._num_free += n
        self._is_free[slots] = True

    def reset(self, free: SlotIds) -> None:
        """Forget everything; from now on exactly `free` are. For repairs."""
        self._is_free[:] = False
        self._is_free[free] = True
        self._num_free = len(free)
        self._stack[: len(free)] = free[::-1]

    def free_slots(self) -> SlotIds:
        """A copy of the ids that are free, for checks."""
        return self._stack[: self._num_free].copy()
