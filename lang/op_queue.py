"""Running the ops of one program state in order: the queue, waiting for it, and what happens when
something fails. executor.py says what each op does.

A program's body (in the user's thread) submits ops and goes on. What takes no waiting is done at
once where nothing is before it; from the first call on a task on the shared event loop works the
ops off, and ends when the queue is empty, so an idle state costs no task and no state ever has a
thread. `_active` says that somebody works them off: it is the only one who does.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from types import TracebackType

from .body_threads import waiting
from .cells import Cell
from .current import current_program
from .errors import Cancelled, GenerationError, TimeoutExceeded
from .failures import Origin, copied, located
from .ir import Expr
from .loop import shared_loop
from .monitor import Monitor, wake_future


@dataclass(slots=True, eq=False)
class Op:
    """One node of a program at one place in it; `cells` are the variables that it writes."""

    node: Expr
    origin: Origin
    cells: tuple[Cell, ...] = ()
    queued_s: float = field(default_factory=time.monotonic)


class OpQueue(ABC):
    """Ops in order, each after the one before.

    Everything mutable is guarded by `monitor`. `failure` is the first thing that went wrong: it
    ends the execution, and every read of what it prevented raises it.

    `interrupt_body` ends the program's own coroutine, if it has one; `async_body` says that the
    program runs as a coroutine at this moment, whose event loop no read may block.
    """

    def __init__(self, program: str, parent: OpQueue | None, *, stream: bool) -> None:
        self.program = program
        self.parent = parent
        self.stream = stream
        self.is_branch = False
        self.monitor = Monitor()
        self.cells: dict[str, Cell] = {}
        self.failure: BaseException | None = None
        self.body_done = False
        self.body_thread: int | None = None
        self.async_body = False
        self.interrupt_body: Callable[[], None] | None = None
        self._failure_traceback: TracebackType | None = None
        self._queue: deque[Op] = deque()
        self._running: Op | None = None
        self._open: list[tuple[Cell, int]] = []
        self._active = False
        self._task: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._tell_finished: Callable[[], object] | None = None
        # Most have none.
        self._children: weakref.WeakSet[OpQueue] | None = None
        if parent is not None:
            with parent.monitor.lock:
                if parent._children is None:
                    parent._children = weakref.WeakSet()
                parent._children.add(self)

    @abstractmethod
    def _perform(self, op: Op) -> bool:
        """Do what an op says, where that takes no waiting; False for one that must wait."""

    @abstractmethod
    async def _execute(self, op: Op) -> None:
        """Do what an op says that must wait."""

    # --- called by the program's threads ---

    @property
    def finished(self) -> bool:
        """Nothing runs and nothing more will come. The monitor must be held."""
        return self.failure is not None or (self.body_done and not self._active)

    def enqueue(self, ops: Sequence[Op]) -> None:
        """Queue ops. Their variables are declared when this returns."""
        try:
            with self.monitor.lock:
                for op in ops:
                    for cell in op.cells:
                        self.cells[cell.name] = cell
                        if self.failure is not None:
                            cell.fail(self.failure)
                start = False
                if self.failure is None and ops:
                    self._queue.extend(ops)
                    start, self._active = not self._active, True
                self.monitor.changed()
            if start and (first := self._first_to_wait()) is not None:
                shared_loop().call(self._start, first)
        except BaseException as error:
            self.fail(error)  # Ctrl-C: nobody would work the ops off
            raise

    def sync(self, instead: str = "await s.wait()") -> None:
        """Wait until everything submitted is done; raises what went wrong."""
        self.wait_idle(instead)
        self.raise_failure()

    async def sync_async(self) -> None:
        """The coroutine form of `sync`."""
        await self.monitor.wait_for_async(self.idle_test())
        self.raise_failure()

    def wait_idle(self, instead: str = "await s.wait()") -> None:
        """Wait until nothing runs, however it ended.

        Outside of a streaming program's own body that includes the body: its thread may not have
        come to the next op yet.
        """
        self.block_until(self.idle_test(), instead)

    def idle_test(self) -> Callable[[], bool]:
        """The predicate that `wait_idle` waits for."""
        if self.body_elsewhere():
            return lambda: self.finished
        return self._is_at_rest

    def body_elsewhere(self) -> bool:
        """Whether a streaming body that the reader is not in may still declare things."""
        if not self.stream or self.is_branch:
            return False
        return not self.body_done and not self._is_within_body()

    def end_test(self) -> Callable[[], bool]:
        """The predicate that tells a reader of pieces that there will be no more. A body that reads
        its own waits for what it has submitted, not for itself."""
        if self._is_within_body():
            return self._is_at_rest
        return lambda: self.finished

    def raise_failure(self) -> None:
        """Raise what went wrong, if anything."""
        if self.failure is not None:
            # Every reader gets the traceback of where it happened, not those of other readers.
            raise self.failure.with_traceback(self._failure_traceback)

    def raise_error_of(self, cell: Cell) -> None:
        """Raise what kept a variable from getting its value, if anything."""
        if cell.error is not None:
            if cell.error is self.failure:
                self.raise_failure()
            raise cell.error

    def cell(self, name: str) -> Cell | None:
        """The variable's cell once it is final; None when nothing declares it. Raises its error."""
        instead = f"await s.get({name!r})"
        if self.body_elsewhere():
            self.block_until(self._declared(name), instead)
        cell = self.cells.get(name)
        if cell is not None:
            self.block_until(lambda: cell.final, instead)
        return self._outcome(cell)

    async def cell_async(self, name: str) -> Cell | None:
        """The coroutine form of `cell`."""
        if self.body_elsewhere():
            await self.monitor.wait_for_async(self._declared(name))
        cell = self.cells.get(name)
        if cell is not None:
            await self.monitor.wait_for_async(lambda: cell.final)
        return self._outcome(cell)

    def finish(self) -> None:
        """No more ops will come: the body returned, or a branch was joined."""
        with self.monitor.lock:
            self.body_done = True
            self.async_body = False
            self.interrupt_body = None
            finished = self.finished
            self._changed()
            children = list(self._children or ())
        if finished and self._deadline is not None:
            shared_loop().call(self._drop_deadline)
        for child in children:
            if child.is_branch:
                child.finish()

    @property
    def waiting_ops(self) -> Iterable[Op]:
        """What is behind the op that runs. The monitor must be held."""
        return self._queue

    def fail(self, error: BaseException) -> None:
        """End the execution with an error: readers of what it prevents get it at once."""
        with self.monitor.lock:
            if self.failure is None:
                self.failure = error
                self._failure_traceback = error.__traceback__
            unfinished = [*self._queue, *([self._running] if self._running else [])]
            for cell in [
                *(cell for op in unfinished for cell in op.cells),
                *(cell for cell, _ in self._open),
            ]:
                cell.fail(self.failure)
            self._queue.clear()
            self._changed()

    def cancel(self, error: BaseException | None = None) -> None:
        """Stop what runs here and below, in the runtime too. What is already there stays
        readable; everything else raises `error` (default: Cancelled)."""
        if error is None:
            error = Cancelled(f"the program {self.program!r} was cancelled")
        with self.monitor.lock:
            idle = not self._active
            # A plan runs as a whole: the first call that is missing stands for it.
            missing = (op for op in self._queue if op.cells)
            running = self._running or next(missing, None)
            interrupt = self.interrupt_body
            children = list(self._children or ())
        if not (idle and self.body_done):
            if isinstance(error, GenerationError) and error.program is None:
                # Each state names its own place.
                own = located(error, running.origin) if running else copied(error)
                own.program = self.program
                self.fail(own)
            else:
                self.fail(error)
        if self._task is not None and not idle:
            shared_loop().call(self._task.cancel)
        if interrupt is not None:
            interrupt()
        for child in children:
            child.cancel(error)

    def when_finished(self, tell: Callable[[], object]) -> None:
        """Call `tell()` once, as soon as this is finished; from any thread, and it must not block
        or wait for this state."""
        with self.monitor.lock:
            self._tell_finished = tell
            self._changed()

    def limit_time(self, timeout_s: float) -> None:
        """Fail with TimeoutExceeded what is not finished in so many seconds, branches too."""
        expire = weakref.WeakMethod(self._expire)

        def on_deadline() -> None:
            if (method := expire()) is not None:
                method(timeout_s)

        def start() -> None:
            loop = asyncio.get_running_loop()
            with self.monitor.lock:
                if not self.finished:
                    left_s = max(0.0, ends_s - time.monotonic())
                    self._deadline = loop.call_later(left_s, on_deadline)

        ends_s = time.monotonic() + timeout_s
        self._call_soon(start)

    def _call_soon(self, function: Callable[[], object]) -> None:
        shared_loop().call(function)

    # --- by whoever works the ops off ---

    def _start(self, op: Op) -> None:
        self._task = asyncio.get_running_loop().create_task(self._drain(op))

    async def _drain(self, first: Op) -> None:
        op: Op | None = first
        while op is not None:
            try:
                if self.failure is None:  # as it may be since the op was taken
                    await self._execute(op)
            except asyncio.CancelledError:
                self.fail(located(Cancelled("the call was cancelled"), op.origin))
            except Exception as error:
                self.fail(located(error, op.origin))
            op = self._first_to_wait()

    def _first_to_wait(self) -> Op | None:
        """Do what takes no waiting; the op that does, None where no more ops are queued."""
        while (op := self._next()) is not None:
            try:
                if not self._perform(op):
                    return op
            except Exception as error:
                self.fail(located(error, op.origin))
        if self._deadline is not None and self.finished:
            shared_loop().call(self._drop_deadline)
        return None

    def _next(self) -> Op | None:
        with self.monitor.lock:
            self._running = self._queue.popleft() if self._queue else None
            self._active = self._running is not None
            if not self._active:
                self._changed()
            return self._running

    def _expire(self, timeout_s: float) -> None:
        with self.monitor.lock:
            finished = self.finished
        if not finished:
            self.cancel(
                TimeoutExceeded(f"program {self.program!r} did not finish in {timeout_s:g} s")
            )

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # --- helpers ---

    def _changed(self) -> None:
        """Wake who waits. The monitor must be held."""
        self.monitor.changed()
        if self._tell_finished is not None and self.finished:
            tell, self._tell_finished = self._tell_finished, None
            tell()

    def _declared(self, name: str) -> Callable[[], bool]:
        return lambda: name in self.cells or self.finished

    def _outcome(self, cell: Cell | None) -> Cell | None:
        if cell is None:
            self.raise_failure()
        else:
            self.raise_error_of(cell)
        return cell

    def block_until(self, predicate: Callable[[], bool], instead: str) -> None:
        """Wait in this thread, unless that would stop the event loop on which the program's own
        coroutine runs: then say what to write instead."""
        if self._is_on_bodys_loop():
            with self.monitor.lock:
                ready = predicate()
            if not ready:
                raise RuntimeError(
                    f"the program {self.program!r} is async, and this read would block its event "
                    f"loop; write {instead}"
                )
        else:
            self.monitor.wait_for(predicate)

    def _is_at_rest(self) -> bool:
        """Whether all that was submitted has ended. The monitor must be held."""
        return self.failure is not None or not self._active

    def _is_within_body(self) -> bool:
        """Whether the reader is in this program's own body, or in that of a program called there,
        whose end this body may wait for."""
        trunk: OpQueue = self
        while trunk.is_branch and trunk.parent is not None:
            trunk = trunk.parent
        reader: OpQueue | None = current_program()
        while reader is not None and reader is not trunk:
            reader = reader.parent
        return reader is not None

    def _is_on_bodys_loop(self) -> bool:
        return self.async_body and self.body_thread == threading.get_ident()


def sync_all(queues: Sequence[OpQueue], instead: str) -> None:
    """`sync` of several, which raises as soon as one of them has failed."""
    if not (shared_loop().is_current() or any(queue._is_on_bodys_loop() for queue in queues)):
        # An Event is locked by Python code, in which Ctrl-C may come and leave it so.
        woken: SimpleQueue[None] = SimpleQueue()
        with _told_of_rest(queues, partial(woken.put, None)):
            if woken.empty():
                with waiting():
                    woken.get()
    _raise_first_failure(queues)
    for queue in queues:
        queue.sync(instead)


async def sync_all_async(queues: Sequence[OpQueue]) -> None:
    """The coroutine form of `sync_all`."""
    await rest_of(queues)
    _raise_first_failure(queues)
    for queue in queues:
        await queue.sync_async()


async def rest_of(queues: Sequence[OpQueue]) -> None:
    """Wait until nothing runs in any of them, or one has failed."""
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()
    with _told_of_rest(queues, partial(wake_future, loop, woken)):
        await woken


@contextmanager
def _told_of_rest(queues: Sequence[OpQueue], wake: Callable[[], None]) -> Iterator[None]:
    """`wake()` is called when nothing runs in any of them, and when one has failed."""
    resting = itertools.count(1)

    def rest(queue: OpQueue) -> None:
        # Of several threads each counts once.
        if next(resting) == len(queues) or queue.failure is not None:
            wake()

    forget: list[Callable[[], None]] = []
    try:
        for queue in queues:
            forget.append(queue.monitor.tell(queue.idle_test(), partial(rest, queue)))
        yield
    finally:
        for give_up in forget:
            give_up()


def _raise_first_failure(queues: Sequence[OpQueue]) -> None:
    for queue in queues:
        queue.raise_failure()
