"""What other threads want done on the loop of the front process. Used by front.py and the rooms
that it gives this to."""

from __future__ import annotations

import contextlib
import os
import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Prepared = TypeVar("Prepared")


class Errands:
    """A queue of calls for the loop's thread, and the pipe that wakes it: poll `wake_out`.

    Signals wake the loop through `wake_in`, too (signal.set_wakeup_fd).
    """

    def __init__(self) -> None:
        self.wake_out, self.wake_in = os.pipe()
        os.set_blocking(self.wake_out, False)
        os.set_blocking(self.wake_in, False)
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        # Whether the loop was woken and has not looked since.
        self._is_woken = False
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="tokenize")

    def add(self, errand: Callable[[], None]) -> None:
        """Have it run on the loop's thread; called from any thread."""
        self._waiting.put(errand)
        if self._is_woken:
            return
        self._is_woken = True
        # A full pipe wakes the loop just as well.
        with contextlib.suppress(BlockingIOError):
            os.write(self.wake_in, b"\0")

    def run(self) -> None:
        """Run what waits; called by the loop. What an errand raises is the loop's to handle."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake_out, 4096)
        # Before it looks: what is put in from now on wakes it again.
        self._is_woken = False
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()()

    def offload(self, work: Callable[[], Prepared], then: Callable[[Prepared], None], /) -> None:
        """Work on another thread, then go on with its result on the loop's."""

        def run() -> None:
            result = work()
            self.add(lambda: then(result))

        self._threads.submit(run)

    def close(self) -> None:
        """Start nothing more; the process is about to end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
