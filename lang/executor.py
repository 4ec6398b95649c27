"""The stream executor: runs the ops of one program state in order, on the shared event loop.

A program's body (in the user's thread) submits expressions and goes on; a task on the loop works
them off and ends when the queue is empty, so an idle state costs no task and no state ever has a
thread. Used by state.py, streaming.py and function.py.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from branchline.runtime import protocol

from . import calls, ir
from .backend.base import Backend
from .cells import Cell, Meta
from .errors import Cancelled, InternalError, InvalidRequest
from .failures import Origin, caller_source, located
from .ir import Expr
from .loop import shared_loop
from .monitor import Monitor
from .sampling import SamplingOptions
from .transcript import Transcript


@dataclass(frozen=True, eq=False)
class _Op:
    node: Expr
    origin: Origin
    cells: tuple[Cell, ...] = ()


class StreamExecutor:
    """Ops in, text and variables out.

    Everything mutable is guarded by `monitor`; the transcript is changed by the loop's thread only
    and read by others when no op is running. `failure` is the first thing that went wrong: it
    ends the execution, and every read of what it prevented raises it.
    """

    def __init__(
        self,
        backend: Backend,
        sampling: SamplingOptions,
        *,
        program: str,
        arguments: dict[str, Any] | None = None,
        stream: bool = False,
        inline: bool = False,
        parent: StreamExecutor | None = None,
    ) -> None:
        self.backend = backend
        self.sampling = sampling
        self.program = program
        self.arguments = arguments or {}
        self.stream = stream
        self.inline = inline
        self.parent = parent
        self.is_branch = False
        self.monitor = Monitor()
        self.transcript = Transcript()
        self.fork_point = Transcript()
        self.cells: dict[str, Cell] = {}
        self.joined_names: set[str] = set()
        self.inherited: dict[str, Cell] = {}
        self.text_chunks: list[str] = []
        self.usages: list[protocol.Usage] = []
        self.failure: BaseException | None = None
        self.body_done = False
        self.body_thread: int | None = None
        self._failure_traceback: TracebackType | None = None
        self._queue: deque[_Op] = deque()
        self._running: _Op | None = None
        self._active = False
        self._task: asyncio.Task[None] | None = None
        self._scopes: list[tuple[Cell, int]] = []
        # Text before this offset is in the runtime's cache already.
        self._cached_len = 0
        self._children: weakref.WeakSet[StreamExecutor] = weakref.WeakSet()
        if parent is not None:
            with parent.monitor:
                parent._children.add(self)

    # --- what the program's threads call ---

    @property
    def variables(self) -> dict[str, Any]:
        """The variables that have a value by now."""
        with self.monitor:
            return {
                name: cell.value
                for name, cell in self.cells.items()
                if cell.final and cell.error is None
            }

    @property
    def text_(self) -> str:
        """The text by now, without waiting."""
        return self.transcript.text

    @property
    def finished(self) -> bool:
        """Nothing runs and nothing more will come. The monitor must be held."""
        return self.failure is not None or (self.body_done and not self._active)

    def submit(self, expr: Expr | str) -> None:
        """Queue an expression. Its variables are declared when this returns."""
        source = caller_source()
        ops = [self._op(node, source) for node in ir.flatten(expr)]
        if not ops:
            return
        with self.monitor:
            for op in ops:
                for cell in op.cells:
                    self.cells[cell.name] = cell
                    if self.failure is not None:
                        cell.fail(self.failure)
            start = False
            if self.failure is None:
                self._queue.extend(ops)
                start, self._active = not self._active, True
            self.monitor.changed()
        if start:
            shared_loop().call(self._start)
        if self.inline:
            self.sync()

    def sync(self) -> None:
        """Wait until everything submitted is done; raises what went wrong."""
        self.wait_idle()
        self.raise_failure()

    def wait_idle(self) -> None:
        """Wait until nothing runs, however it ended.

        Outside of a streaming program's own body that includes the body: its thread may not have
        come to the next op yet.
        """
        self.monitor.wait_for(self.idle_test())

    def idle_test(self) -> Callable[[], bool]:
        """The predicate that `wait_idle` waits for."""
        if self.body_elsewhere():
            return lambda: self.finished
        return lambda: self.failure is not None or not self._active

    def body_elsewhere(self) -> bool:
        """Whether a streaming body runs in another thread and may still declare things."""
        if not self.stream or self.is_branch:
            return False
        return not self.body_done and self.body_thread != threading.get_ident()

    def raise_failure(self) -> None:
        """Raise what went wrong, if anything, with the traceback of where it happened."""
        if self.failure is not None:
            raise self.failure.with_traceback(self._failure_traceback)

    def cell(self, name: str) -> Cell | None:
        """The variable's cell once it is final; None when nothing declares it. Raises its error."""
        if self.body_elsewhere():
            self.monitor.wait_for(lambda: name in self.cells or self.finished)
        with self.monitor:
            cell = self.cells.get(name)
        if cell is None:
            self.raise_failure()
            return None
        self.monitor.wait_for(lambda: cell.final)
        if cell.error is not None:
            if cell.error is self.failure:
                self.raise_failure()
            raise cell.error
        return cell

    def set_variable(self, name: str, value: Any, meta: Meta | None = None) -> None:
        cell = Cell(name)
        cell.complete(value, meta)
        with self.monitor:
            self.cells[name] = cell
            self.monitor.changed()

    def fork(self, size: int) -> list[StreamExecutor]:
        """`size` executors that go on from here, each on its own.

        More than one child: the shared prefix is sent to the runtime once before, so that every
        child finds it cached.
        """
        self.sync()
        if size > 1 and len(self.transcript.text) > self._cached_len:
            self.submit(ir.CommitPrefix())
            self.sync()
        return [self._branch() for _ in range(size)]

    def finish(self) -> None:
        """No more ops will come: the body returned, or a branch was joined."""
        with self.monitor:
            self.body_done = True
            self.monitor.changed()
            children = list(self._children)
        for child in children:
            if child.is_branch:
                child.finish()

    def fail(self, error: BaseException) -> None:
        """End the execution with an error: readers of what it prevents get it at once."""
        with self.monitor:
            if self.failure is None:
                self.failure = error
                self._failure_traceback = error.__traceback__
            for op in (*self._queue, *([self._running] if self._running else [])):
                for cell in op.cells:
                    cell.fail(self.failure)
            for cell, _ in self._scopes:
                cell.fail(self.failure)
            self._queue.clear()
            self.monitor.changed()

    def cancel(self, error: BaseException | None = None) -> None:
        """Stop what runs here and in all branches, in the runtime too. What is already there
        stays readable; everything else raises `error` (default: Cancelled)."""
        error = error or Cancelled(f"the program {self.program!r} was cancelled")
        with self.monitor:
            idle = not self._active
            children = list(self._children)
        if not (idle and self.body_done):
            self.fail(error)
        if self._task is not None and not idle:
            shared_loop().call(self._task.cancel)
        for child in children:
            child.cancel(error)

    # --- on the loop ---

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        while (op := self._next()) is not None:
            try:
                await self._execute(op)
            except asyncio.CancelledError:
                self.fail(located(Cancelled("the call was cancelled"), op.origin))
            except Exception as error:
                self.fail(located(error, op.origin))

    def _next(self) -> _Op | None:
        with self.monitor:
            self._running = self._queue.popleft() if self._queue else None
            self._active = self._running is not None
            if not self._active:
                self.monitor.changed()
            return self._running

    async def _execute(self, op: _Op) -> None:
        before = len(self.transcript.text)
        match op.node:
            case ir.Constant(value=text):
                self.transcript.add_text(text)
            case ir.Gen() as node:
                await self._generate(node, op)
                return
            case ir.Select() as node:
                chosen = await calls.choose(self.backend, list(self.transcript.parts), node)
                self._record(chosen.usage)
                self._cached_len = before
                self.transcript.add_text(chosen.decision)
                with self.monitor:
                    for cell in op.cells:
                        cell.complete(chosen.decision, chosen.meta)
            case ir.RoleBegin(role=role):
                self.transcript.begin_role(role, self.backend.chat_template)
            case ir.RoleEnd(role=role):
                self.transcript.end_role(role, self.backend.chat_template)
            case ir.VarScopeBegin():
                self._scopes.append((op.cells[0], before))
            case ir.VarScopeEnd(name=name):
                self._end_scope(name)
            case ir.CommitPrefix():
                usage = await calls.cache_prefix(self.backend, list(self.transcript.parts))
                self._record(usage)
                self._cached_len = before
            case ir.AppendChildren(texts=texts, pieces=pieces):
                for text, parts in zip(texts, pieces, strict=True):
                    self.transcript.add_parts(text, parts)
            case node:
                raise InvalidRequest(f"{node!r} cannot be executed")
        self._publish(self.transcript.text[before:])

    async def _generate(self, node: ir.Gen, op: _Op) -> None:
        streamed = ""

        def on_delta(text: str, meta: Meta) -> None:
            nonlocal streamed
            streamed += text
            with self.monitor:
                for cell in op.cells:
                    cell.chunks.append((text, meta))
            self._publish(text)

        generated = await calls.generate(
            self.backend,
            list(self.transcript.parts),
            node,
            self.sampling,
            # Thinking can be told from the answer only when the output is whole.
            on_delta if self.stream and node.reasoning is None else None,
        )
        self._record(generated.usage)
        text = generated.texts[0]
        if not text.startswith(streamed):
            raise InternalError(f"the stream said {streamed!r}, the whole output is {text!r}")
        self.transcript.add_output(text, generated.token_ids)
        self._cached_len = len(self.transcript.text)
        with self.monitor:
            for cell in op.cells:
                if node.name is not None and cell.name == node.reasoning_name:
                    cell.complete(generated.thinking)
                else:
                    several = len(generated.texts) > 1
                    cell.complete(generated.texts if several else text, generated.meta)
        self._publish(text[len(streamed) :])

    def _end_scope(self, name: str) -> None:
        if not self._scopes or self._scopes[-1][0].name != name:
            raise InvalidRequest(f"var_scope {name!r} ends but is not the innermost open one")
        cell, start = self._scopes.pop()
        with self.monitor:
            cell.complete(self.transcript.text[start:])

    def _publish(self, text: str) -> None:
        with self.monitor:
            if text and self.stream:
                self.text_chunks.append(text)
            self.monitor.changed()

    def _record(self, usage: protocol.Usage) -> None:
        """Count a call here and in every state that this one came from."""
        executor: StreamExecutor | None = self
        while executor is not None:
            executor.usages.append(usage)
            executor = executor.parent

    # --- helpers ---

    def _op(self, node: Expr, source: str | None) -> _Op:
        name: str | None = getattr(node, "name", None)
        origin = Origin(self.program, repr(node), name, source)
        cells: tuple[Cell, ...] = ()
        if isinstance(node, ir.Gen) and node.name is not None:
            cells = (Cell(node.name, origin, node.kind, node.value_type),)
            if node.reasoning is not None:
                cells = (*cells, Cell(node.reasoning_name, origin))
        elif isinstance(node, ir.Select | ir.VarScopeBegin) and name is not None:
            cells = (Cell(name, origin),)
        return _Op(node, origin, cells)

    def _branch(self) -> StreamExecutor:
        child = StreamExecutor(
            self.backend,
            self.sampling,
            program=self.program,
            arguments=self.arguments,
            stream=self.stream,
            inline=self.inline,
            parent=self,
        )
        child.is_branch = True
        child.body_done = self.body_done
        child.body_thread = self.body_thread
        child.transcript = self.transcript.branch()
        child.fork_point = self.transcript.branch()
        child.cells = dict(self.cells)
        child.inherited = dict(self.cells)
        child.joined_names = set(self.joined_names)
        child._cached_len = self._cached_len
        if self.stream and self.transcript.text:
            child.text_chunks.append(self.transcript.text)
        return child


def unknown_variable(executor: StreamExecutor, name: str) -> KeyError:
    """The error for a name that no op of the program declares."""
    known = ", ".join(repr(key) for key in executor.cells) or "none"
    return KeyError(f"{name!r} is no variable of program {executor.program!r}; known: {known}")
