"""States whose ops are held back while their program's body runs, so that what it appends can go to
the runtime as one plan. Made by function.py for a batch; plan_runner.py takes them from here.

A held state is recorded, not guessed: the body runs once, as ever. When it is over, or wants a
result, what it has appended by then is handed in. The answers are played back through the very
ops that were held, so that a state comes out as if each call had been made by itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from branchline.runtime import protocol

from . import calls, ir
from .cells import Cell
from .executor import StreamExecutor
from .failures import Origin, caller_source, located
from .ir import Expr
from .loop import shared_loop
from .monitor import Monitor
from .op_queue import Op, rest_of
from .playback import Answer, Playback
from .record import CallRecord
from .transcript import Transcript

if TYPE_CHECKING:
    from .early_plan import EarlyPlan
    from .plan_runner import PlanRunner


@dataclass(frozen=True, eq=False, repr=False)
class BranchOff(Expr):
    """Start the branches of a fork here."""

    children: tuple[HeldExecutor, ...]

    def __repr__(self) -> str:
        return f"Fork({len(self.children)})"


@dataclass(frozen=True, eq=False, repr=False)
class BringTogether(Expr):
    """Wait for branches, and append their text or gather their variables."""

    children: tuple[HeldExecutor, ...]
    append: bool
    gathered: tuple[Cell, ...] = ()

    def __repr__(self) -> str:
        return f"Join({len(self.children)})"


@dataclass(frozen=True, eq=False, repr=False)
class CopyText(Expr):
    """Append the text of an earlier variable, which a state `of` its own may still be writing."""

    cell: Cell
    of: StreamExecutor

    def __repr__(self) -> str:
        return f"Variable({self.cell.name!r})"


def _note_times(record: CallRecord, answer: Answer) -> None:
    """The call was made when the plan ran, not now that its answer is read."""
    record.started_s, record.finished_s = answer.started_s, answer.ended_s
    record.first_token_s = None
    if record.usage is not None and record.usage.first_token_s is not None:
        first_s = answer.started_s + record.usage.first_token_s
        record.first_token_s = min(first_s, answer.ended_s)


class Recording:
    """What the states of one instance share: whether they are still held."""

    def __init__(self, root: HeldExecutor, runner: PlanRunner | EarlyPlan) -> None:
        self.root = root
        self.runner = runner
        self.held = True
        self._lock = threading.Lock()

    def hand_in(self) -> None:
        """The body is over, or wants a result. Once."""
        with self._lock:
            held, self.held = self.held, False
        if held:
            try:
                self.runner.take(self.root)
            except BaseException as error:
                # Nobody runs it: who waits for it must not wait for ever.
                self.root.cancel(error)
                raise


class _HeldMonitor(Monitor):
    """Before anybody waits for something, what is held is handed in: or it would never come."""

    def __init__(self, hand_in: Callable[[], None]) -> None:
        super().__init__()
        self._hand_in = hand_in

    def wait_for(self, predicate: Callable[[], bool], timeout_s: float | None = None) -> bool:
        if self._holds(predicate):
            return True
        self._hand_in()
        return super().wait_for(predicate, timeout_s)

    async def wait_for_async(self, predicate: Callable[[], bool]) -> None:
        if not self._holds(predicate):
            self._hand_in()
            await super().wait_for_async(predicate)

    def tell(self, predicate: Callable[[], bool], wake: Callable[[], None]) -> Callable[[], None]:
        if not self._holds(predicate):
            self._hand_in()
        return super().tell(predicate, wake)

    def _holds(self, predicate: Callable[[], bool]) -> bool:
        with self.lock:
            return predicate()


class HeldExecutor(StreamExecutor):
    """Holds its ops until `begin`. It counts as active before, so nothing starts by itself."""

    def __init__(
        self,
        *args: Any,
        runner: PlanRunner | EarlyPlan,
        recording: Recording | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.recording = recording or Recording(self, runner)
        self.monitor = _HeldMonitor(self.recording.hand_in)
        self.answers: deque[Answer] = deque()
        self.waiting: asyncio.Task[None] | None = None
        self._active = True
        self._joined = False

    @property
    def ops(self) -> list[Op]:
        """What is held."""
        with self.monitor.lock:
            return list(self._queue)

    # --- what the program's thread calls ---

    @property
    def variables(self) -> dict[str, Any]:
        self.recording.hand_in()
        return super().variables

    def enqueue(self, ops: Sequence[Op]) -> None:
        if self._joined and isinstance(self.parent, HeldExecutor):
            # The join has taken what was there then; it must not see what comes now.
            self.parent.sync()
        super().enqueue(ops)

    def fork(self, size: int) -> list[StreamExecutor]:
        if not self.recording.held:
            return super().fork(size)
        children = self._branches(size)
        self.submit(BranchOff(tuple(c for c in children if isinstance(c, HeldExecutor))))
        return children

    def join_later(self, children: Sequence[StreamExecutor], mode: str) -> bool:
        held = tuple(child for child in children if isinstance(child, HeldExecutor))
        if not self.recording.held or len(held) < len(children):
            return False
        append = mode == "concate_and_append"
        gathered = () if append else self.gather(held)
        node = BringTogether(held, append, gathered)
        origin = Origin(self.program, node, None, self.replayed_from or caller_source())
        self.enqueue([Op(node, origin, gathered)])
        for child in held:
            child._joined = True
            child.finish()
        return True

    def finish(self) -> None:
        super().finish()
        if self is self.recording.root:
            self.recording.hand_in()

    def _call_soon(self, function: Callable[[], object]) -> None:
        # Whoever ends or waits calls the loop, and until then nothing of this runs there.
        shared_loop().call_with_next(function)

    def cancel(self, error: BaseException | None = None) -> None:
        super().cancel(error)
        self._drop_plan()

    def fail(self, error: BaseException) -> None:
        super().fail(error)
        self._drop_plan()

    # --- on the loop ---

    def play(self, answers: Iterable[Answer]) -> None:
        """Do what is held up to the last of the first answers, which come before the others."""
        self.answers.extend(answers)
        self._play_all()

    def begin(self) -> None:
        """Run what is held, with the answers that are there already; the rest as ever."""
        if self.answers:
            self.session = Playback(self.backend, self.session, self.answers)
        with self.monitor.lock:
            self._active = bool(self._queue)
            start = self._active
            if not start:
                self._changed()
        if start and (op := self._first_to_wait()) is not None:
            self._start(op)

    def _first_to_wait(self) -> Op | None:
        self._play_all()
        return super()._first_to_wait()

    def _play_all(self) -> None:
        # While there are answers nobody else has a part in this: no need to look at each op twice.
        with self.monitor.lock:
            while self.answers and self._queue and self.failure is None:
                op = self._queue[0]
                try:
                    if not self._perform(op):
                        break
                except Exception as error:
                    self.fail(located(error, op.origin))
                else:
                    self._queue.popleft()

    def _perform(self, op: Op) -> bool:
        match op.node:
            case ir.Gen() as node if self.answers:
                return self._play(node, op)
            case BranchOff() | BringTogether() | CopyText():
                return False
            case _:
                return super()._perform(op)

    def _play(self, node: ir.Gen, op: Op) -> bool:
        """Take the answer that is there. An error may be tried again, which takes waiting."""
        done = self.answers[0].reply
        if not isinstance(done, protocol.Done):
            return False
        answer = self.answers.popleft()
        sampling, _, peek = self.asked(node)
        generated = calls.read_generated(done, node, sampling, peek=peek)
        record = self._record(op)
        record.finish(generated.usage)
        _note_times(record, answer)
        self._take(node, op, generated)
        return True

    async def _execute(self, op: Op) -> None:
        match op.node:
            case BranchOff(children=children):
                if self._must_commit(len(children)):
                    await super()._execute(self._op(ir.CommitPrefix(), op.origin.source))
                point = self.transcript.branch()
                for child in children:
                    self._let_go(child, point)
            case BringTogether() as join:
                await self._bring_together(join, op)
            case CopyText(cell=cell, of=writer):
                await writer.monitor.wait_for_async(lambda: cell.final)
                if cell.error is not None:
                    self.fail(cell.error)
                    return
                self._perform(Op(ir.Constant(cell.value), op.origin))
            case _:
                await super()._execute(op)

    def _let_go(self, child: HeldExecutor, point: Transcript) -> None:
        child.session = self.session.branch()
        child.transcript, child.fork_point = point.branch(), point
        child._cached_len = self._cached_len
        child.begin()

    async def _bring_together(self, join: BringTogether, op: Op) -> None:
        await rest_of(join.children)
        for child in join.children:
            if child.failure is not None:
                self.fail(child.failure)
                for other in join.children:
                    other.cancel(child.failure)
                return
        if join.append:
            additions = (child.transcript.since(child.fork_point) for child in join.children)
            self._perform(Op(ir.AppendChildren(tuple(additions)), op.origin))
        with self.monitor.lock:
            for cell in join.gathered:
                cell.complete_gathered()
            self.monitor.changed()

    @contextmanager
    def _call(self, op: Op) -> Iterator[CallRecord]:
        with super()._call(op) as record:
            yield record
        session = self.session
        if isinstance(session, Playback) and session.last is not None:
            _note_times(record, session.last)

    # --- helpers ---

    def _new_branch(self, point: Transcript) -> StreamExecutor:
        if not self.recording.held:
            return super()._new_branch(point)
        return HeldExecutor(
            self.backend,
            self.sampling,
            program=self.program,
            arguments=self.arguments,
            parent=self,
            retry=self.retry,
            asked=self._asked,
            fork_point=point,
            session=self.session,
            runner=self.recording.runner,
            recording=self.recording,
        )

    def _drop_plan(self) -> None:
        """Nobody wants the plan's results any more: it ends in the runtime, too."""
        if self.waiting is not None:
            self.waiting.get_loop().call_soon_threadsafe(self.waiting.cancel)
