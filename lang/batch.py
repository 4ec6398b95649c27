"""Running many instances of a program: `Function.run_batch`.

Threads are used for the users' synchronous bodies only. A body that does not read its results is
over at once and gives its thread back, so hundreds of instances need few threads.
"""

from __future__ import annotations

import contextvars
import inspect
import os
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from .backend.base import Backend
from .errors import Cancelled, GenerationError
from .loop import shared_loop
from .sampling import SamplingOptions

if TYPE_CHECKING:
    from .function import Function
    from .state import ProgramState

# How far the instances may run ahead of the consumer of a generator.
_AHEAD = 200


class BatchError(GenerationError):
    """Bodies of a batch raised. `states` holds all states in order, those of the failed instances
    too; `errors` maps their positions to what was raised."""

    def __init__(self, states: list[ProgramState], errors: dict[int, BaseException]) -> None:
        index, first = next(iter(errors.items()))
        super().__init__(
            f"{len(errors)} of {len(states)} instances raised; the first, number {index}: "
            f"{type(first).__name__}: {first}"
        )
        self.states = states
        self.errors = errors


class Batch:
    """One call of run_batch."""

    def __init__(
        self,
        program: Function[Any],
        items: list[inspect.BoundArguments],
        backend: Backend,
        sampling: SamplingOptions,
        num_threads: int | Literal["auto"],
        progress_bar: bool,
    ) -> None:
        if num_threads == "auto":
            num_threads = max(96, 16 * (os.cpu_count() or 1))
        if not isinstance(num_threads, int) or num_threads < 1:
            raise ValueError(f"num_threads={num_threads!r}: expected 'auto' or at least 1")
        self.program = program
        self.items = items
        self.backend = backend
        self.sampling = sampling
        self.limit = min(num_threads, max(1, len(items)))
        self.progress_bar = progress_bar
        self.states: list[ProgramState] = []
        self.errors: dict[int, BaseException] = {}
        self._finished: queue.SimpleQueue[int] = queue.SimpleQueue()

    def all(self) -> list[ProgramState]:
        """Every state, when all are finished."""
        return list(self._run(len(self.items)))

    def in_order(self) -> Iterator[ProgramState]:
        """States in order, each as soon as it and all before it are finished."""
        return self._run(_AHEAD)

    def _run(self, ahead: int) -> Iterator[ProgramState]:
        if not self.items:
            return
        done: set[int] = set()
        yielded = running = 0
        pool = ThreadPoolExecutor(self.limit, thread_name_prefix=f"branchline-{self.program.name}")
        try:
            with _progress(self.program.name, len(self.items), self.progress_bar) as advance:
                while yielded < len(self.items):
                    while running < self.limit and len(self.states) < min(
                        len(self.items), yielded + max(ahead, self.limit)
                    ):
                        self._launch(pool)
                        running += 1
                    done.add(self._finished.get())
                    running -= 1
                    advance()
                    while yielded in done:
                        yield self.states[yielded]
                        yielded += 1
        except BaseException:
            # Ctrl-C, or a consumer that left its loop: nothing may go on in the runtime.
            for state in self.states:
                state.stream_executor.cancel(Cancelled("the batch was interrupted"))
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()
        if self.errors:
            first = self.errors[min(self.errors)]
            raise BatchError(self.states, dict(sorted(self.errors.items()))) from first

    def _launch(self, pool: ThreadPoolExecutor) -> None:
        index = len(self.states)
        state = self.program.start(self.items[index], self.backend, self.sampling)
        self.states.append(state)
        # The caller's context variables hold in the bodies too.
        pool.submit(contextvars.copy_context().run, self._body, index, state)

    def _body(self, index: int, state: ProgramState) -> None:
        executor = state.stream_executor
        try:
            if executor.failure is None:
                self.program.run_body(state, self.items[index])
        except BaseException as error:
            # A failed call that the body read is the state's own error, told by error().
            if not isinstance(error, GenerationError):
                self.errors[index] = error
        finally:
            shared_loop().spawn(self._report(index, state))

    async def _report(self, index: int, state: ProgramState) -> None:
        """Tell when the calls of a finished body are finished too."""
        executor = state.stream_executor
        await executor.monitor.wait_for_async(lambda: executor.finished)
        self._finished.put(index)


@contextmanager
def _progress(name: str, total: int, shown: bool) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error; what it yields is called once per finished instance."""
    if not shown:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=total)
        yield lambda: progress.advance(task)
