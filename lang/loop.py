"""The language's event loop: a daemon thread running asyncio, shared by every connection and every
program of this process. Used by client.py and the interpreter. Tools have one of their own."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeVar

Result = TypeVar("Result")


class LoopThread:
    """An asyncio loop that runs in a daemon thread of its own until `stop`."""

    def __init__(self, name: str = "branchline-loop") -> None:
        self._loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        # With the context variables of who called.
        self._called: deque[tuple[Context, Callable[..., object], tuple[object, ...]]] = deque()
        self._is_told = False
        self._is_stopped = False
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    @property
    def alive(self) -> bool:
        """False after `stop`, and in a forked child (threads do not survive a fork)."""
        # The thread closes its loop when it ends, however that comes.
        return not self._loop.is_closed() and self._pid == os.getpid()

    def is_current(self) -> bool:
        """Whether the caller runs in the loop's own thread."""
        return threading.get_ident() == self._thread.ident

    def spawn(self, coroutine: Coroutine[Any, Any, Result]) -> concurrent.futures.Future[Result]:
        """Start a coroutine on the loop from any thread; cancelling the future cancels it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, Result], timeout_s: float | None = None) -> Result:
        """Run a coroutine on the loop and wait for its result.

        An interrupted wait (Ctrl-C, timeout) cancels the coroutine. Calling this from the loop's
        own thread would wait for itself for ever and is refused.
        """
        if self.is_current():
            coroutine.close()
            raise RuntimeError(
                "a blocking call was made on Branchline's event loop thread; use its async form"
            )
        future = self.spawn(coroutine)
        try:
            return future.result(timeout_s)
        except BaseException:
            future.cancel()
            raise

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Call a function on the loop soon, from any thread; its result is not waited for. The
        loop is woken once for all that are to be called: each time costs more than most calls."""
        self._called.append((copy_context(), function, args))
        if not self._is_told or self._loop.is_closed():
            self._is_told = True
            try:
                self._loop.call_soon_threadsafe(self._call_all)
            except BaseException:  # Ctrl-C, too: the next one has to tell
                self._is_told = False
                raise

    def call_with_next(self, function: Callable[..., object], *args: object) -> None:
        """The same for what may wait until something else is to be called: the loop is not woken,
        which would take the interpreter from the caller at once."""
        self._called.append((copy_context(), function, args))

    def stop(self, timeout_s: float = 2.0) -> None:
        """Cancel what runs, end the thread. Waits at most `timeout_s`."""
        if not self.alive:
            return
        self._loop.call_soon_threadsafe(self._end)
        if not self.is_current():
            self._thread.join(timeout_s)

    async def stop_when_idle(self) -> None:
        """Let what runs here come to its end, then stop."""
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        self.stop()

    def _call_all(self) -> None:
        # Before counting: what comes from now on tells again. A turn ends, however much comes.
        self._is_told = False
        for _ in range(len(self._called)):
            context, function, args = self._called.popleft()
            try:
                context.run(function, *args)
            except Exception as error:
                told = {"message": f"Exception in {function!r}", "exception": error}
                self._loop.call_exception_handler(told)

    def _end(self) -> None:
        self._is_stopped = True
        self._loop.stop()

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            while not self._is_stopped:
                # These leave a loop beside being their task's own exception.
                with contextlib.suppress(SystemExit, KeyboardInterrupt):
                    self._loop.run_forever()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self._loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()


_TOOLS = "branchline-tools"
_lock = threading.Lock()
_shared: dict[str, LoopThread] = {}


def shared_loop() -> LoopThread:
    """The process's loop, started at first use and again in a forked child."""
    return _named("branchline-loop")


def tool_loop() -> LoopThread:
    """A second one for the users' async tools, which may block it without harm to the first."""
    return _named(_TOOLS)


def give_up_tool_loop(loop: LoopThread) -> None:
    """A tool blocks it: later calls get another, what it has begun stays."""
    with _lock:
        if _shared.get(_TOOLS) is loop:
            del _shared[_TOOLS]
            loop.spawn(loop.stop_when_idle())


def _named(name: str) -> LoopThread:
    loop = _shared.get(name)
    if loop is not None and loop.alive:
        return loop
    with _lock:
        loop = _shared.get(name)
        if loop is None or not loop.alive:
            loop = _shared[name] = LoopThread(name)
        return loop


@atexit.register
def _stop_shared() -> None:
    for loop in _shared.values():
        loop.stop()
