"""The stream executor: what each op of a program does to its state's text and variables. Used by
state.py, streaming.py and function.py; op_queue.py runs the ops.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from weakref import WeakKeyDictionary

from . import calls, ir
from .backend.base import Backend, Session
from .cells import Cell, Meta, written_by
from .errors import InternalError, InvalidRequest
from .failures import Origin, caller_source
from .ir import Expr
from .lookahead import Lookahead
from .loop import shared_loop
from .op_queue import Op
from .readings import Readings
from .record import CallRecord
from .retry import Retry
from .sampling import SamplingOptions
from .speculation import Speculation
from .transcript import Transcript

_RETRY: Final = Retry()


class StreamExecutor(Readings):
    """Expressions in, text and variables out."""

    parent: StreamExecutor | None

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
        retry: Retry | None = None,
        num_api_spec_tokens: int | None = None,
        asked: WeakKeyDictionary[ir.Gen, calls.Asked] | None = None,
        fork_point: Transcript | None = None,
        session: Session | None = None,
    ) -> None:
        super().__init__(program, parent, backend, stream=stream, fork_point=fork_point)
        self.sampling = sampling
        self.arguments = arguments or {}
        self.inline = inline
        self.retry = retry or _RETRY
        # A runtime shares prefixes between calls, so only APIs gain from writing ahead.
        self.num_api_spec_tokens = (
            num_api_spec_tokens if backend.is_chat_model is not None else None
        )
        self.speculation = (
            Speculation(self.num_api_spec_tokens) if self.num_api_spec_tokens else None
        )
        self.session = session or backend.session()
        self._lookahead = Lookahead(self)
        # What calls ask for, as long as there are their nodes; runs that ask alike share it.
        self._asked = WeakKeyDictionary() if asked is None else asked
        self.text_chunks: list[str] = []
        # Of this state, its branches and the programs that it called.
        self.records: list[CallRecord] = []
        self.path: tuple[str, ...] = () if parent is None else (*parent.path, program)
        # While a step of a trace is replayed: the line that was traced.
        self.replayed_from: str | None = None
        self._num_forks = 0
        # Text before this offset is in the runtime's cache already.
        self._cached_len = 0
        # Of a branch: what it had when it left its parent.
        self.inherited: dict[str, Cell] = {}
        # Names whose value came from a join, which a later join may replace.
        self.joined_names: set[str] = set()

    # --- what the program's threads call ---

    def end(self) -> None:
        """No more will be appended."""
        self.finish()

    def submit(self, expr: Expr | str, sources: Sequence[str | None] | None = None) -> list[Op]:
        """Queue an expression, and tell its ops. Its variables are declared when this returns.
        sources: where each of its nodes comes from, if not from who calls."""
        nodes = [node.for_backend(self.backend) for node in ir.flatten(expr)]
        sources = sources or [self.replayed_from or caller_source()] * len(nodes)
        ops = [self._op(node, source) for node, source in zip(nodes, sources, strict=True)]
        if ops:
            self.enqueue(ops)
            if self.inline:
                self.sync()
        return ops

    def fork(self, size: int) -> list[StreamExecutor]:
        """`size` executors that go on from here, each on its own.

        More than one child: the shared prefix is sent to the runtime once before, so that every
        child finds it cached.
        """
        instead = f"await s.fork_async({size})"
        self.sync(instead)
        if self._must_commit(size):
            self.submit(ir.CommitPrefix())
            self.sync(instead)
        return self._branches(size)

    def join_later(self, children: Sequence[StreamExecutor], mode: str) -> bool:
        """Whether a join was queued, to be done when the branches come to their ends. Here it is
        done at once, by who asks."""
        return False

    def gather(self, children: Sequence[StreamExecutor]) -> tuple[Cell, ...]:
        """New cells for the variables that a join gathers, to be completed when these have come to
        their ends."""
        branches = ((child.cells, child.inherited) for child in children)
        parts = written_by(branches, self.cells.keys() - self.joined_names)
        self.joined_names.update(parts)
        return tuple(Cell.gathered(name, cells) for name, cells in parts.items())

    async def fork_async(self, size: int) -> list[StreamExecutor]:
        """The coroutine form of `fork`."""
        await self.sync_async()
        if self._must_commit(size):
            self.submit(ir.CommitPrefix())
            await self.sync_async()
        return self._branches(size)

    def asked(self, node: ir.Gen) -> calls.Asked:
        """What a call that is to be made asks for. Raises InvalidRequest."""
        asked = self._asked.get(node)
        if asked is None:
            asked = self._asked[node] = calls.parameters(self.backend, node, self.sampling)
        return asked

    def fail(self, error: BaseException) -> None:
        super().fail(error)
        if self._lookahead.has_sent:
            shared_loop().call(self.session.drop_ahead)

    # --- by whoever works the ops off ---

    def _next(self) -> Op | None:
        op = super()._next()
        if op is not None:
            self._lookahead.passed(op)
        return op

    def _perform(self, op: Op) -> bool:
        before = len(self.transcript.text)
        if self.speculation is not None:
            self.speculation.follow(op.node)
        match op.node:
            case ir.Gen() | ir.Select() | ir.CommitPrefix():
                return False
            case ir.Constant(value=text):
                self.transcript.add_text(text)
            case ir.RoleBegin(role=role):
                self.transcript.begin_role(role, self.backend.chat_template)
            case ir.RoleEnd(role=role):
                self.transcript.end_role(role, self.backend.chat_template)
            case ir.VarScopeBegin():
                self._open.append((op.cells[0], before))
            case ir.VarScopeEnd(name=name):
                self._end_scope(name)
            case ir.AppendChildren(additions=additions):
                for addition in additions:
                    self.transcript.add(addition)
            case node:
                raise InvalidRequest(f"{node!r} cannot be executed")
        if self.stream or isinstance(op.node, ir.VarScopeEnd):
            # Nobody waits for the text alone.
            self._publish(self.transcript.text[before:])
        return True

    async def _execute(self, op: Op) -> None:
        match op.node:
            case ir.Gen() as node:
                await self._generate(node, op)
            case ir.Select() as node:
                await self._select(node, op)
            case _:
                await self._commit(op)

    async def _generate(self, node: ir.Gen, op: Op) -> None:
        streamed = ""

        with self._call(op) as record:
            splitter = None if node.reasoning is None else node.reasoning.splitter()

            def on_delta(text: str, meta: Meta) -> None:
                nonlocal streamed
                record.note_first_token()
                thinking, text = ("", text) if splitter is None else splitter.feed(text)
                streamed += text
                with self.monitor.lock:
                    for cell in op.cells:
                        if splitter is None or cell.name != node.reasoning_name:
                            cell.chunks.append((text, meta))
                        elif thinking:
                            cell.chunks.append((thinking, {}))
                self._publish(text)

            if self.speculation is not None:
                generated = await self.speculation.generate(
                    self.backend, self.transcript, node, self.sampling, self.retry
                )
            else:
                generated = await calls.generate(
                    self.backend,
                    list(self.transcript.parts),
                    node,
                    self.sampling,
                    on_delta if self.stream else None,
                    self.retry,
                    self.session,
                    self._lookahead.behind(node),
                    self.asked(node),
                )
            record.finish(generated.usage)
        self._take(node, op, generated, streamed)

    def _take(self, node: ir.Gen, op: Op, generated: calls.Generated, streamed: str = "") -> None:
        """Append what a Gen gave, of which `streamed` was shown already."""
        before = len(self.transcript.text)
        text = generated.texts[0]
        if not text.startswith(streamed):
            raise InternalError(f"the stream said {streamed!r}, the whole output is {text!r}")
        self.transcript.add_output(text, generated.token_ids, generated.healed_chars)
        self.transcript.mark(before, node.name)
        # An answer without its thinking is new text, which nothing has computed yet.
        self._cached_len = len(self.transcript.text) if generated.token_ids else before
        with self.monitor.lock:
            for cell in op.cells:
                is_thinking = node.name is not None and cell.name == node.reasoning_name
                texts = generated.thinking if is_thinking else generated.texts
                meta = None if is_thinking else generated.meta
                cell.complete(texts if len(texts) > 1 else texts[0], meta)
            self._publish(text[len(streamed) :])

    async def _select(self, node: ir.Select, op: Op) -> None:
        before = len(self.transcript.text)
        with self._call(op) as record:
            prompt = list(self.transcript.parts)
            chosen = await calls.choose(self.backend, prompt, node, self.retry, self.session)
            record.finish(chosen.usage)
        self._cached_len = before
        self.transcript.add_text(chosen.decision)
        self.transcript.mark(before, node.name)
        with self.monitor.lock:
            for cell in op.cells:
                cell.complete(chosen.decision, chosen.meta)
            self._publish(chosen.decision)

    async def _commit(self, op: Op) -> None:
        with self._call(op) as record:
            prompt = list(self.transcript.parts)
            usage = await calls.cache_prefix(self.backend, prompt, self.retry, self.session)
            record.finish(usage)
        self._cached_len = len(self.transcript.text)

    def _end_scope(self, name: str) -> None:
        if not self._open or self._open[-1][0].name != name:
            raise InvalidRequest(f"var_scope {name!r} ends but is not the innermost open one")
        cell, start = self._open.pop()
        with self.monitor.lock:
            cell.complete(self.transcript.text[start:])

    def _publish(self, text: str) -> None:
        with self.monitor.lock:
            if text and self.stream:
                self.text_chunks.append(text)
            self.monitor.changed()

    @contextmanager
    def _call(self, op: Op) -> Iterator[CallRecord]:
        record = self._record(op)
        try:
            yield record
        except BaseException as error:
            # Who cancels a call has said why.
            record.fail(self.failure or error)
            raise

    def _record(self, op: Op) -> CallRecord:
        """Note a call here and in every state that this one came from."""
        record = CallRecord(op.origin, self.path, op.queued_s)
        executor: StreamExecutor | None = self
        while executor is not None:
            executor.records.append(record)
            executor = executor.parent
        return record

    # --- helpers ---

    def _op(self, node: Expr, source: str | None) -> Op:
        name: str | None = getattr(node, "name", None)
        origin = Origin(self.program, node, name, source)
        cells: tuple[Cell, ...] = ()
        if isinstance(node, ir.Gen) and node.name is not None:
            cells = (Cell(node.name, origin, node.kind, node.value_type),)
            if node.reasoning is not None:
                cells = (*cells, Cell(node.reasoning_name, origin))
        elif isinstance(node, ir.Select | ir.VarScopeBegin) and name is not None:
            cells = (Cell(name, origin),)
        return Op(node, origin, cells)

    def _must_commit(self, size: int) -> bool:
        return size > 1 and len(self.transcript.text) > self._cached_len

    def _branches(self, size: int) -> list[StreamExecutor]:
        self._num_forks += 1
        # What does not change is one for all.
        point, cells = self.transcript.branch(), dict(self.cells)
        return [
            self._branch(f"fork {self._num_forks}.{number}", point, cells) for number in range(size)
        ]

    def _new_branch(self, point: Transcript) -> StreamExecutor:
        return StreamExecutor(
            self.backend,
            self.sampling,
            program=self.program,
            arguments=self.arguments,
            stream=self.stream,
            inline=self.inline,
            parent=self,
            retry=self.retry,
            num_api_spec_tokens=self.num_api_spec_tokens,
            asked=self._asked,
            fork_point=point,
            session=self.session.branch(),
        )

    def _branch(self, label: str, point: Transcript, cells: dict[str, Cell]) -> StreamExecutor:
        child = self._new_branch(point)
        child.is_branch = True
        child.path = (*self.path, label)
        child.async_body = self.async_body
        child.body_done = self.body_done
        child.body_thread = self.body_thread
        child.cells = dict(cells)
        child.inherited = cells
        child.joined_names = set(self.joined_names)
        child._cached_len = self._cached_len
        if self.stream and self.transcript.text:
            child.text_chunks.append(self.transcript.text)
        return child
