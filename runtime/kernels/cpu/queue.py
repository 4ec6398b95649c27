"""Work for the CPU that the host asks for and need not wait for; `CpuKernels` makes a queue where
steps are to run ahead. The thread that does the work is the library's own (src/queue.cpp) and never
holds the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import weakref
from collections import deque
from typing import Any, Final

import torch

_NO_MEMORY: Final = 1  # of what bl_queue_wait returns


class CpuQueue:
    """One thread that does what is added, in order; of the thread that made it."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._handle = library.bl_queue_new()
        if not self._handle:
            raise MemoryError("there can be no thread for work that runs ahead")
        # Before the memory goes that the work uses, and before the interpreter does.
        self.close = weakref.finalize(self, library.bl_queue_delete, self._handle)
        self._last = self._done = 0
        self._kept: deque[tuple[int, tuple[Any, ...]]] = deque()

    def pick(self, values: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        """values[which], all int64."""
        out = torch.empty(len(which), dtype=torch.int64)
        number = self._library.bl_queue_pick(
            self._handle, values.data_ptr(), which.data_ptr(), len(which), out.data_ptr()
        )
        self._keep(number, values, which, out)
        return out

    def run(self, level: int, plan: Any, step: ctypes.Structure, *used: Any) -> None:
        """A pass (`whole.py`) by `plan`, a CpuPlan; `used` is what it points to."""
        number = self._library.bl_queue_pass(
            self._handle, level, plan.handle, ctypes.byref(step), torch.get_num_threads()
        )
        self._keep(number, plan, *used)

    def draw(self, level: int, draws: ctypes.Array[Any], vocab: int, *used: Any) -> torch.Tensor:
        """A token for each of `draws` (`sampler.py`), which point into `used`."""
        tokens = torch.empty(len(draws), dtype=torch.int64)
        number = self._library.bl_queue_draw(
            self._handle,
            level,
            len(draws),
            draws,
            vocab,
            tokens.data_ptr(),
            torch.get_num_threads(),
        )
        self._keep(number, draws, tokens, *used)
        return tokens

    def mark(self) -> int:
        """The number of what was added last, for `wait`."""
        return self._last

    def wait(self, number: int) -> None:
        """Until that is done; the caller's thread helps. Raises what went wrong with any work so
        far; then no work is left."""
        if number <= self._done:
            return
        failed = self._library.bl_queue_wait(self._handle, number, torch.get_num_threads())
        self._done = self._last if failed else number
        while self._kept and self._kept[0][0] <= self._done:
            self._kept.popleft()
        if failed == _NO_MEMORY:
            raise MemoryError("no memory for a step that ran ahead")
        if failed:
            raise IndexError("a step that ran ahead met a token or a position that there is not")

    @property
    def is_busy(self) -> bool:
        """Whether work is left or being done."""
        return bool(self._library.bl_queue_is_busy(self._handle))

    @property
    def idle_s(self) -> float:
        """For how long there was nothing to do, in all, without the time that it lasts by now."""
        return int(self._library.bl_queue_idle_ns(self._handle)) / 1e9

    @property
    def num_taken(self) -> int:
        """Pieces of work that were done by the caller's thread, as it waited for them and nobody
        else had begun."""
        return int(self._library.bl_queue_num_taken(self._handle))

    def drain(self) -> None:
        """Until all is done."""
        self.wait(self._last)

    def _keep(self, number: int, *used: Any) -> None:
        """Hold on to what a piece of work uses until it is done."""
        if not number:
            raise MemoryError("no memory for another piece of work in the queue")
        self._last = number
        self._kept.append((number, used))
