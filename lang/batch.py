"""Running many instances of a program: `Function.run_batch`.

Threads are used for the users' plain bodies only. A body that does not read its results is over at
once, so hundreds of instances need one thread; bodies that wait get one each (body_threads.py). All
bodies of an `async def` program share one thread with an event loop.
"""

from __future__ import annotations

import contextvars
import inspect
import os
import queue
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .body_threads import BodyThreads
from .checkpoint import Checkpoint, CheckpointError
from .errors import Cancelled, GenerationError
from .loop import LoopThread
from .plan_runner import PlanRunner
from .run_options import RunOptions

if TYPE_CHECKING:
    from .body import Body
    from .declaration import Instance
    from .function import Function, OnError
    from .state import ProgramState

# How far the instances may run ahead of the consumer of a generator.
_AHEAD = 200


class BatchError(GenerationError):
    """Instances of a batch failed. `errors` maps their positions to what was raised. `states`
    holds all states in order, those of the failed instances too; it is empty after
    `generator_style`, which has yielded them."""

    def __init__(
        self, states: list[ProgramState], errors: dict[int, BaseException], total: int | None = None
    ) -> None:
        index, first = next(iter(errors.items()))
        super().__init__(
            f"{len(errors)} of {len(states) if total is None else total} instances raised; the "
            f"first, number {index}: {type(first).__name__}: {first}"
        )
        self.states = states
        self.errors = errors


def run_batch(
    program: Function[Any],
    batch_kwargs: Sequence[Instance],
    options: RunOptions,
    *,
    generator_style: bool = False,
    checkpoint: str | Path | None = None,
    compiled: bool = True,
    **settings: Any,
) -> list[ProgramState] | Generator[ProgramState, None, None]:
    """See `Function.run_batch`, whose arguments these are; `options` are checked ones."""
    if compiled and program.is_plannable(options):
        options = replace(options, plans=PlanRunner(options.backend))
    batch = Batch(
        program,
        [program.bound(item, "run_batch()") for item in batch_kwargs],
        options,
        checkpoint=None if checkpoint is None else Path(checkpoint),
        **settings,
    )
    return batch.in_order() if generator_style else batch.all()


class Batch:
    """One call of run_batch."""

    def __init__(
        self,
        program: Function[Any],
        items: list[inspect.BoundArguments],
        options: RunOptions,
        *,
        num_threads: int | Literal["auto"] = "auto",
        progress_bar: bool = False,
        on_error: OnError | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        if num_threads == "auto":
            num_threads = max(96, 16 * (os.cpu_count() or 1))
        if not isinstance(num_threads, int) or num_threads < 1:
            raise ValueError(f"num_threads={num_threads!r}: expected 'auto' or at least 1")
        if on_error not in (None, "raise", "return"):
            raise ValueError(f"on_error={on_error!r}: expected 'raise' or 'return'")
        self.program = program
        self.items = items
        self.options = options
        self.limit = min(num_threads, max(1, len(items)))
        self.progress_bar = progress_bar
        self.on_error = on_error
        self.checkpoint = checkpoint
        self.errors: dict[int, BaseException] = {}
        # Under way, or finished and not yielded yet: what a consumer has got is his alone.
        self._states: dict[int, ProgramState] = {}
        self._finished: queue.SimpleQueue[int] = queue.SimpleQueue()

    def all(self) -> list[ProgramState]:
        """Every state, when all are finished."""
        states = list(self._run(len(self.items)))
        self._raise_errors(states)
        return states

    def in_order(self) -> Generator[ProgramState, None, None]:
        """States in order, each as soon as it and all before it are finished."""
        yield from self._run(_AHEAD)
        self._raise_errors([])

    def _run(self, ahead: int) -> Iterator[ProgramState]:
        if not self.items:
            return
        with (
            self._open_checkpoint() as saved,
            self._workers() as start,
            _progress(self.program.name, len(self.items), self.progress_bar) as advance,
        ):
            done = set() if saved is None else saved.done
            restored = frozenset(done)
            waiting = iter([i for i in range(len(self.items)) if i not in restored])
            index = next(waiting, None)
            for _ in restored:
                advance()
            yielded = running = 0
            while yielded < len(self.items):
                window = yielded + max(ahead, self.limit)
                while index is not None and running < self.limit and index < window:
                    start(index, self._body(index))
                    running += 1
                    index = next(waiting, None)
                if yielded not in done:
                    finished = self._finished.get()
                    running -= 1
                    self._settle(finished, saved)
                    done.add(finished)
                    advance()
                while yielded in done:
                    if yielded in restored and saved is not None:
                        yield saved.restore(yielded)
                    else:
                        yield self._states.pop(yielded)
                    done.discard(yielded)
                    yielded += 1

    def _body(self, index: int) -> Body:
        body = self.program.body(self.items[index], self.options)
        self._states[index] = body.state
        return body

    def _settle(self, index: int, saved: Checkpoint | None) -> None:
        """An instance is finished: keep its result, or its error."""
        state = self._states[index]
        failure = state.stream_executor.failure
        if failure is not None:
            if self.on_error == "raise":
                self.errors.setdefault(index, failure)
        elif saved is not None:
            try:
                saved.write(index, state)
            except CheckpointError as error:
                # What it left behind is at fault, as a body that raises.
                state.stream_executor.fail(error)
                self.errors[index] = error

    def _raise_errors(self, states: list[ProgramState]) -> None:
        if self.errors and self.on_error != "return":
            errors = dict(sorted(self.errors.items()))
            raise BatchError(states, errors, len(self.items)) from next(iter(errors.values()))

    @contextmanager
    def _open_checkpoint(self) -> Iterator[Checkpoint | None]:
        if self.checkpoint is None:
            yield None
            return
        program = self.program
        saved = Checkpoint(self.checkpoint, program.name, program.func, self.options, self.items)
        try:
            yield saved
        finally:
            saved.close()

    # --- bodies ---

    @contextmanager
    def _workers(self) -> Iterator[Callable[[int, Body], object]]:
        """What runs the bodies: threads, or one event loop for an async program. However the
        block is left, nothing of the batch goes on in the runtime."""
        name = f"branchline-{self.program.name}"
        pool = loop = None
        if self.program.is_async:
            loop = LoopThread(name)
        else:
            pool = BodyThreads(self.limit, name)

        def start(index: int, body: Body) -> None:
            if loop is not None:
                loop.spawn(self._run_async(index, body))
            elif pool is not None:
                # The caller's context variables hold in the bodies too.
                run = contextvars.copy_context().run
                pool.submit(lambda: run(self._run_plain, index, body))

        try:
            yield start
        except BaseException:
            # Ctrl-C, or a consumer that left its loop.
            for state in self._states.values():
                state.stream_executor.cancel(Cancelled("the batch was interrupted"))
            if pool is not None:
                pool.close(wait=False)
            raise
        finally:
            if loop is not None:
                loop.stop()
        if pool is not None:
            pool.close(wait=True)

    def _run_plain(self, index: int, body: Body) -> None:
        try:
            if body.state.stream_executor.failure is None:
                body.run()
        except BaseException as error:
            self._note(index, error)
        finally:
            # The body is over; its calls may still run.
            body.state.stream_executor.when_finished(lambda: self._finished.put(index))

    async def _run_async(self, index: int, body: Body) -> None:
        try:
            await body.arun()
        except BaseException as error:
            self._note(index, error)
        finally:
            self._finished.put(index)

    def _note(self, index: int, error: BaseException) -> None:
        # A failed call that the body read is the state's own error, told by error().
        if not isinstance(error, GenerationError):
            self.errors[index] = error


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
