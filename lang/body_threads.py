"""Threads for the plain bodies of a batch: one, and more as bodies wait. Used by batch.py, and by
monitor.py, which says when a thread waits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from .loop import shared_loop

# A body that takes so long without waiting for a state waits for something else, or computes.
_LONG_S: Final = 0.005

_here = threading.local()


@contextmanager
def waiting() -> Iterator[None]:
    """Around what makes a body's thread wait: others may run meanwhile."""
    threads: BodyThreads | None = getattr(_here, "threads", None)
    if threads is None:
        yield
        return
    threads.count_waiting(1)
    try:
        yield
    finally:
        threads.count_waiting(-1)


class BodyThreads:
    """Runs pieces of work in the order in which they come, at most `limit` at a time.

    Most bodies only say what they want and are over at once: one thread does all of them in a
    fraction of the time in which a thread for each would pass the interpreter round. Another one
    is there as soon as all wait for states, and twice as many where nothing was begun for a while.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        # Taken by itself: Ctrl-C may come in a Condition's own `with`, which then stays locked.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._work: deque[Callable[[], object]] = deque()
        self._threads: list[threading.Thread] = []
        self._num_idle = 0
        self._num_waiting = 0
        self._num_begun = 0
        self._watched = False
        self._closed = False

    def submit(self, work: Callable[[], object]) -> None:
        """`work` must not raise."""
        with self._lock:
            self._work.append(work)
            if self._num_idle:
                self._changed.notify()
            elif self._num_waiting == len(self._threads):
                self._grow(1)
            self._watch()

    def count_waiting(self, change: int) -> None:
        """So many more threads wait for a state."""
        with self._lock:
            self._num_waiting += change
            if self._work and not self._num_idle and self._num_waiting == len(self._threads):
                self._grow(1)

    def close(self, *, wait: bool) -> None:
        """No more work comes. What was not begun is left out unless it is waited for."""
        with self._lock:
            self._closed = True
            if not wait:
                self._work.clear()
            self._changed.notify_all()
        if wait:
            for thread in self._threads:
                thread.join()

    def _grow(self, number: int) -> None:
        for _ in range(min(number, len(self._work), self._limit - len(self._threads))):
            name = f"{self._name}_{len(self._threads)}"
            thread = threading.Thread(target=self._main, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _main(self) -> None:
        _here.threads = self
        while True:
            with self._lock:
                while not self._work:
                    if self._closed:
                        return
                    self._num_idle += 1
                    self._changed.wait()
                    self._num_idle -= 1
                work = self._work.popleft()
                self._num_begun += 1
            work()

    def _watch(self) -> None:
        """Look again in a while, whether something was begun."""
        if self._watched or len(self._threads) == self._limit:
            return
        self._watched = True
        loop, num_begun = shared_loop(), self._num_begun
        loop.call(lambda: loop.loop.call_later(_LONG_S, self._look, num_begun))

    def _look(self, num_begun: int) -> None:
        with self._lock:
            self._watched = False
            if self._work:
                if self._num_begun == num_begun:
                    self._grow(len(self._threads))
                self._watch()
