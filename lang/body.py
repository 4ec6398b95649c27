"""Running a program's Python function: in this thread, in a thread of its own, or as a coroutine.
Made by function.py, started by it, batch.py and amap.py."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Callable
from typing import Any

from .config import global_config
from .current import current
from .state import ProgramState


class Body:
    """A program's function with its arguments, and the state that it fills."""

    def __init__(
        self,
        func: Callable[..., Any],
        arguments: inspect.BoundArguments,
        state: ProgramState,
        is_async: bool,
    ) -> None:
        self.func = func
        self.arguments = arguments
        self.state = state
        self.is_async = is_async
        self._executor = state.stream_executor

    def run(self) -> None:
        """Run it in this thread and raise what it raises. Everything that still runs for it is
        then cancelled, branches too."""
        if self.is_async:
            _refuse_running_loop(self._executor.program)
            asyncio.run(self.arun())
            return
        executor = self._executor
        token = current.set(executor)
        try:
            self.state.ret_value = self._call()
        except BaseException as error:
            executor.cancel(error)
            raise
        finally:
            current.reset(token)
            executor.finish()
        self._show()

    def start(self) -> None:
        """Run it beside the caller: as a task of the running event loop if it is async and there
        is one, else in a thread. The state's readers are told what it raises."""
        if self.is_async and running_loop() is not None:
            task = asyncio.create_task(self._call_async())
            task.add_done_callback(_retrieve)
        else:
            self._in_thread(self._run_quietly)

    async def arun(self) -> None:
        """Run it and wait until its calls are finished too; raises what it raises."""
        executor = self._executor
        if self.is_async:
            work: asyncio.Future[None] = asyncio.create_task(self._call_async())
        else:
            work = self._thread_future()
        try:
            await work
            await executor.monitor.wait_for_async(lambda: executor.finished)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            interrupted = task is None or not task.cancelling()
            executor.cancel()
            if interrupted and executor.failure is not None:
                # Not this task was cancelled but the state: by `cancel()` or its deadline.
                executor.raise_failure()
            raise
        if self.is_async:
            self._show()

    # --- helpers ---

    def _show(self) -> None:
        """Print the text of a run that is over, where the settings ask for it."""
        if global_config.verbosity >= 2:
            self._executor.error()
            print(self._executor.text_)

    def _call(self) -> Any:
        return self.func(self.state, *self.arguments.args, **self.arguments.kwargs)

    async def _call_async(self) -> None:
        """The coroutine of an async program; runs as a task of its own."""
        executor = self._executor
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def interrupt() -> None:
            # The loop may be closed by now; then the body is over.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(task.cancel)

        executor.body_thread = threading.get_ident()
        executor.async_body = True
        executor.interrupt_body = interrupt
        current.set(executor)
        try:
            if executor.failure is None:
                self.state.ret_value = await self._call()
        except BaseException as error:
            executor.interrupt_body = None
            executor.cancel(None if isinstance(error, asyncio.CancelledError) else error)
            raise
        finally:
            executor.finish()

    def _run_quietly(self) -> None:
        # The state is told and its readers raise it; nobody else waits for this thread.
        with contextlib.suppress(BaseException):
            self.run()

    def _thread_future(self) -> asyncio.Future[None]:
        """Run a plain body in a thread; the future gets its outcome."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[None] = loop.create_future()

        def settle(error: BaseException | None) -> None:
            if outcome.done():
                return
            if error is None:
                outcome.set_result(None)
            else:
                outcome.set_exception(error)

        def run() -> None:
            error: BaseException | None = None
            try:
                self.run()
            except StopIteration as stop:
                # A future cannot hold one.
                error = RuntimeError(f"the program {self._executor.program!r} raised {stop!r}")
                error.__cause__ = stop
            except BaseException as caught:
                error = caught
            # Who waited may be gone, and its loop with it.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, error)

        self._in_thread(run)
        return outcome

    def _in_thread(self, target: Callable[[], None]) -> None:
        # The caller's context variables hold in the body too.
        threading.Thread(
            target=contextvars.copy_context().run,
            args=(target,),
            name=f"branchline-{self._executor.program}",
            daemon=True,
        ).start()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _refuse_running_loop(program: str) -> None:
    if running_loop() is not None:
        raise RuntimeError(
            f"run() of the async program {program!r} would block the event loop that runs here; "
            "write `await f.arun(...)`, or f.run(..., stream=True) to return at once"
        )


def _retrieve(task: asyncio.Task[None]) -> None:
    """Mark an exception as seen: the state has it, and its readers raise it."""
    if not task.cancelled():
        task.exception()
