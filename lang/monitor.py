"""A condition that threads and coroutines of any event loop can wait on. One per program state;
used by executor.py and streaming.py."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

from .loop import shared_loop


class Monitor:
    """Guards a state: change it inside `with monitor:` and call `changed()` before leaving.

    Waiters test a predicate under the lock again after every change, so no wake-up can be lost
    and any number of readers may wait for the same thing.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._coroutines: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def __enter__(self) -> None:
        self._condition.acquire()

    def __exit__(self, *_: object) -> None:
        self._condition.release()

    def changed(self) -> None:
        """Wake every waiter. The lock must be held."""
        self._condition.notify_all()
        waiters, self._coroutines = self._coroutines, []
        for loop, future in waiters:
            # The waiter's loop may be gone by now; then nobody waits there any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_wake, future)

    def wait_for(self, predicate: Callable[[], bool]) -> None:
        """Block this thread until the predicate, tested under the lock, holds."""
        with self._condition:
            if predicate():
                return
            if shared_loop().is_current():
                raise RuntimeError("waiting for a program on Branchline's own loop never ends")
            self._condition.wait_for(predicate)

    async def wait_for_async(self, predicate: Callable[[], bool]) -> None:
        """Suspend this coroutine until the predicate, tested under the lock, holds."""
        while True:
            with self._condition:
                if predicate():
                    return
                loop = asyncio.get_running_loop()
                future: asyncio.Future[None] = loop.create_future()
                self._coroutines.append((loop, future))
            await future


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
