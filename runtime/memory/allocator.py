"""Which KV slots are free; the scheduler takes slots, it and the radix tree give them back."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

SlotIds = npt.NDArray[np.int64]

# Slots that lie side by side in the pool, and that a sequence gets one after the other.
_RUN: Final = 16


class SlotError(RuntimeError):
    """Slots were freed that are not in use: a defect in the caller, never a user's mistake."""


class SlotAllocator:
    """One bit per slot, and a stack of the runs of 16 slots that are wholly free.

    What is attended to is read faster where its slots are neighbours. So a prompt gets whole runs,
    and a sequence that decodes the slot behind its last one, as long as its run has one: what is
    left of a run goes to others only when no whole one is free. Nothing is reserved; every free
    slot can be had.
    """

    def __init__(self, num_slots: int) -> None:
        if num_slots < 1:
            raise ValueError(f"num_slots is {num_slots}; a KV pool needs at least one slot")
        self.num_slots = num_slots
        # With one more, never free, behind the last.
        self._is_free = np.zeros(num_slots + 1, dtype=np.bool_)
        # Where each slot stands in the array that it was last in: finds repeats without a sort.
        self._seen_at: SlotIds = np.zeros(num_slots + 1, dtype=np.int64)
        num_runs = -(-num_slots // _RUN)
        self._free_in_run = np.zeros(num_runs, dtype=np.int64)
        # Wholly free runs, the next one last. A last run that is shorter never is.
        self._runs: SlotIds = np.empty(num_runs, dtype=np.int64)
        self._num_runs = 0
        # Free slots of runs that were not, or are not any more; looked for when runs are used up:
        # finding them anew in each step of a full pool takes many times as long.
        self._loose: SlotIds = np.empty(0, dtype=np.int64)
        # The same memory for who looks at one slot or run: without what NumPy needs for an array.
        self._is_free_at, self._num_free_at = self._is_free.data, self._free_in_run.data
        self.reset(np.arange(num_slots, dtype=np.int64))

    @property
    def num_free(self) -> int:
        return self._num_free

    def allocate(self, n: int, behind: int = -1) -> SlotIds | None:
        """`n` slots as int64 [n] that the caller now owns, or None when fewer are free: first those
        behind the slot `behind`, as far as its run has them."""
        if n < 0:
            raise ValueError(f"cannot allocate {n} slots")
        if n > self._num_free:
            return None
        near = self._take_behind(behind, n)
        num_far = n - len(near)
        runs = self._take_runs(-(-num_far // _RUN))
        if not len(runs):
            return self._with_loose(near, n)
        far = (runs[:, None] * _RUN + np.arange(_RUN)).ravel()[:num_far]
        self._take(far)
        return self._with_loose(np.concatenate([near, far]) if len(near) else far, n)

    def allocate_next(self, last: int) -> int | None:
        """A slot: the one behind `last`, which is in use, where its run has one. None when no slot
        is free."""
        slot = last + 1
        if slot % _RUN == 0 or not self._is_free_at[slot]:
            slots = self.allocate(1)
            return None if slots is None else int(slots[0])
        self._is_free_at[slot] = False
        self._num_free_at[slot // _RUN] -= 1
        self._num_free -= 1
        return slot

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
        self._is_free[slots] = True
        self._num_free += n
        runs = slots // _RUN
        np.add.at(self._free_in_run, runs, 1)
        whole = runs[self._free_in_run[runs] == _RUN]
        if len(whole):
            first = whole.min()
            self._put_runs(np.flatnonzero(np.bincount(whole - first)) + first)

    def reset(self, free: SlotIds) -> None:
        """Forget everything; from now on exactly `free` are. For repairs."""
        self._is_free[:] = False
        self._is_free[free] = True
        self._num_free = len(free)
        self._free_in_run[:] = np.bincount(free // _RUN, minlength=len(self._free_in_run))
        self._num_runs = 0
        self._put_runs(np.flatnonzero(self._free_in_run == _RUN))
        self._loose = self._loose[:0]

    def free_slots(self) -> SlotIds:
        """The ids that are free, ascending, for checks."""
        return np.flatnonzero(self._is_free)

    def _take(self, slots: SlotIds) -> None:
        self._is_free[slots] = False
        self._num_free -= len(slots)
        np.subtract.at(self._free_in_run, slots // _RUN, 1)

    def _take_behind(self, slot: int, n: int) -> SlotIds:
        """Up to `n` slots that follow `slot` in its run."""
        start = slot + 1
        if n == 0 or start % _RUN == 0 or not self._is_free[start]:
            return self._loose[:0]
        is_free = self._is_free[start : min(start + n, start // _RUN * _RUN + _RUN)]
        count = int(is_free.argmin()) or len(is_free)  # 0 where none is taken: the first is free
        slots = np.arange(start, start + count, dtype=np.int64)
        self._take(slots)
        return slots

    def _take_runs(self, n: int) -> SlotIds:
        """At most `n` of the wholly free runs."""
        end = self._num_runs
        self._num_runs = max(0, end - n)
        return self._runs[self._num_runs : end][::-1]

    def _put_runs(self, runs: SlotIds) -> None:
        """`runs`, ascending, come out in this order."""
        end = self._num_runs + len(runs)
        self._runs[self._num_runs : end] = runs[::-1]
        self._num_runs = end

    def _with_loose(self, slots: SlotIds, n: int) -> SlotIds:
        """`slots`, and more of those that are left of runs, up to `n`."""
        while (missing := n - len(slots)) > 0:
            if not len(self._loose):
                self._loose = self.free_slots()
            some = self._loose[: missing + _RUN]
            places = np.flatnonzero(self._is_free[some])[:missing]
            num_seen = len(some) if len(places) < missing else int(places[-1]) + 1
            self._loose = self._loose[num_seen:]
            self._take(some[places])
            slots = np.concatenate([slots, some[places]])
        return slots
