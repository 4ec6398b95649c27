"""A condition that threads and coroutines of any event loop can wait on. One per program state;
used by executor.py and streaming.py."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from functools import partial

from .body_threads import waiting
from .errors import RuntimeUnavailable
from .loop import shared_loop

# What is waited for, and what wakes who waits.
_Waiter = tuple[Callable[[], bool], Callable[[], None]]


class Monitor:
    """Guards a state: change it inside `with monitor.lock:` and call `changed()` before leaving.

    A waiter's predicate is tested under the lock after every change, by whoever made it, so no
    wake-up can be lost, any number of readers may wait for the same thing, and nobody is woken in
    vain: a waiting thread that looks and sleeps again costs more than all else in a change.

    lock: taken by itself, not through a method of this: Ctrl-C cannot come between its taking and
    the block that gives it back.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._pid = os.getpid()
        self._waiters: list[_Waiter] = []

    def changed(self) -> None:
        """Wake every waiter whose predicate holds now. The lock must be held."""
        if not self._waiters:
            return
        still: list[_Waiter] = []
        for waiter in self._waiters:
            predicate, wake = waiter
            if predicate():
                wake()
            else:
                still.append(waiter)
        self._waiters = still

    def wait_for(self, predicate: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Block this thread until the predicate, tested under the lock, holds, for `timeout_s` at
        most; whether it does."""
        ends_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            with self.lock:
                if predicate():
                    return True
                left_s = -1.0 if ends_s is None else ends_s - time.monotonic()
                if ends_s is not None and left_s <= 0:
                    return False
                if shared_loop().is_current():
                    raise RuntimeError("waiting for a program on Branchline's own loop never ends")
                woken = threading.Lock()
                woken.acquire()
                waiter = (predicate, woken.release)
                self._add(waiter)
            try:
                with waiting():
                    was_woken = woken.acquire(timeout=left_s)
            except BaseException:
                self._forget(waiter)
                raise
            if not was_woken:
                self._forget(waiter)

    async def wait_for_async(self, predicate: Callable[[], bool]) -> None:
        """Suspend this coroutine until the predicate, tested under the lock, holds."""
        while True:
            with self.lock:
                if predicate():
                    return
                loop = asyncio.get_running_loop()
                future: asyncio.Future[None] = loop.create_future()
                waiter = (predicate, partial(wake_future, loop, future))
                self._add(waiter)
            try:
                await future
            except BaseException:
                self._forget(waiter)
                raise

    def tell(self, predicate: Callable[[], bool], wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake()` once, as soon as the predicate, tested under the lock, holds; what is
        returned gives that up. `wake` must not block."""
        waiter = (predicate, wake)
        with self.lock:
            if predicate():
                wake()
            else:
                self._add(waiter)
        return partial(self._forget, waiter)

    def _add(self, waiter: _Waiter) -> None:
        if self._pid != os.getpid():
            raise RuntimeUnavailable(
                "this state was at work when the process forked, and goes on in the parent process "
                "alone: read it there, or run the program in the child"
            )
        self._waiters.append(waiter)

    def _forget(self, waiter: _Waiter) -> None:
        """Nobody waits there any more: the wait was interrupted."""
        with self.lock:
            self._waiters = [other for other in self._waiters if other is not waiter]


def wake_future(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    """Resolve a future of a loop, from any thread."""
    # The waiter's loop may be gone by now; then nobody waits there any more.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
