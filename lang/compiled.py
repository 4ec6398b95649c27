"""`Function.compile`: a program traced once, whose runs replay the trace instead of the body and go
to the runtime whole. Made by function.py; plan_runner.py sends it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from . import ir
from .backend.base import Backend
from .body import Body, running_loop
from .cells import Cell
from .executor import StreamExecutor
from .function import Function
from .group import ProgramStateGroup
from .held import CopyText, HeldExecutor
from .plan_graph import graph_text, mermaid
from .plan_runner import PlanRunner
from .run_options import RunOptions
from .state import ProgramState
from .trace_graph import Argument, Joined, Step, TraceError, Variable
from .tracing import TracedGroup, TracedState

_PLAIN = (type(None), bool, int, float, str, bytes)
_SYMBOLS = (Argument, Joined, Variable, TracedState, TracedGroup)


class CompiledProgram(Function[Any]):
    """A program whose body has run, once and with symbols for its arguments: `run`, `arun`,
    `run_batch` and `amap` replay what it appended and do not run it again.

    `reason` says what could not be traced, and on which line; None when all was. Such a program is
    run as ever. `graph()` prints the traced program, `to_mermaid()` draws it.
    """

    def __init__(
        self, program: Function[Any], traced: TracedState | None, reason: str | None
    ) -> None:
        body = program.func if traced is None else _replaying(program, traced)
        super().__init__(body, program.num_api_spec_tokens, program.bind_arguments)
        self.program = program
        self.traced = traced
        self.reason = reason
        # What was found out for the last run holds for the next: its nodes are the same.
        self._known: _Known | None = None
        self._texts = None if traced is None else _texts_of(traced)

    def graph(self) -> str:
        """The program's nodes, one per line, in the order of the trace."""
        return graph_text(self._require_traced())

    def print_graph(self) -> None:
        """Print `graph()`."""
        print(self.graph())

    def to_mermaid(self) -> str:
        """The program as a Mermaid flowchart, which Markdown viewers draw."""
        return mermaid(self._require_traced())

    def run(self, /, *args: Any, **kwargs: Any) -> ProgramState:
        if kwargs.get("stream") and "stream" not in self.arg_names:
            # Pieces come while the text is written, a plan's answer comes when it is done.
            return self.program.run(*args, **kwargs)
        return super().run(*args, **kwargs)

    def _begun(self, arguments: inspect.BoundArguments, options: RunOptions) -> RunOptions:
        if self._texts is None or options.inline or options.stream:
            return options
        if not self._traced_for(arguments):
            return options
        if running_loop() is not None:
            return options  # it is not to be held up
        given = self.arg_defaults | arguments.arguments
        texts = [part if isinstance(part, str) else given[part.name] for part in self._texts]
        if not all(type(text) is str for text in texts):
            return options
        return replace(options, plans=self._known_under(options).runner.begin_early(texts))

    def body(self, arguments: inspect.BoundArguments, options: RunOptions) -> Body:
        if self._traced_for(arguments):
            return super().body(arguments, options)
        return self.program.body(arguments, options)

    def _traced_for(self, arguments: inspect.BoundArguments) -> bool:
        """Whether the trace says what the body would do with these: symbols stand for texts, and
        the others have their values."""
        if self.traced is None:
            return False
        given = self.arg_defaults | arguments.arguments
        return all(
            isinstance(given[name], str) if type(known) is Argument else given[name] is known
            for name, known in self.traced.arguments.items()
        )

    def _executor(self, options: RunOptions) -> type[StreamExecutor] | partial[HeldExecutor]:
        if self.traced is None:
            return super()._executor(options)
        return partial(HeldExecutor, runner=options.plans or self._known_under(options).runner)

    def _known_under(self, options: RunOptions) -> _Known:
        asker, known = (options.backend, options.asker), self._known
        # Arguments that could not be planned say nothing of the next run's.
        if known is None or known.asker != asker or known.runner.reason is not None:
            known = self._known = _Known(asker, PlanRunner(options.backend))
        return known

    def _require_traced(self) -> TracedState:
        if self.traced is None:
            raise TraceError.because(self.reason)
        return self.traced

    def __repr__(self) -> str:
        return f"CompiledProgram({self.name})"


@dataclass(frozen=True, eq=False)
class _Known:
    """Who plans the runs with the same backend and options. asker: what that depends on."""

    asker: object
    runner: PlanRunner


@dataclass(eq=False)
class _Replay:
    """One run of a trace: the states that stand for the traced ones. What one state got without a
    break is appended at once: a state looks at itself for each time that something comes."""

    arguments: Mapping[str, Any]
    states: dict[TracedState, ProgramState]
    cells: dict[tuple[int, str], tuple[Cell, StreamExecutor]] = field(default_factory=dict)
    # For the state `pending_of`: nodes, each with the number of the traced one that it stands for,
    # and its line.
    pending: list[tuple[ir.Expr, int, str | None]] = field(default_factory=list)
    pending_of: TracedState | None = None
    declared: dict[tuple[TracedState, str], Cell] = field(default_factory=dict)

    def do_all(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if step.state is not self.pending_of or not self._gather(step):
                self._append_pending()
                self.pending_of = step.state
                if not self._gather(step):
                    executor = self.states[step.state].stream_executor
                    executor.replayed_from = step.source
                    self._do(step)
                    executor.replayed_from = None
        self._append_pending()

    def _gather(self, step: Step) -> bool:
        """Keep what a step appends, until it is appended with others; False where it does more."""
        if step.mode is not None or step.children or step.node is None:
            return False
        expr: Any = step.node.expr
        if isinstance(expr, Variable):
            return False
        if isinstance(expr, Argument):
            expr = self.arguments[expr.name]
        self.pending += [(node, step.node.node_id, step.source) for node in ir.flatten(expr)]
        return True

    def _append_pending(self) -> None:
        if not self.pending or self.pending_of is None:
            return
        pending, self.pending = self.pending, []
        executor = self.states[self.pending_of].stream_executor
        nodes, _, sources = zip(*pending, strict=True)
        ops = executor.submit(ir.ExprList(nodes), sources)
        for op, (_, node_id, _) in zip(ops, pending, strict=True):
            for cell in op.cells:
                self.cells[node_id, cell.name] = cell, executor
                # A scope's variable is declared where it begins, and read from where it ends.
                self.declared[self.pending_of, cell.name] = cell
            if isinstance(op.node, ir.VarScopeEnd):
                scope = self.declared[self.pending_of, op.node.name]
                self.cells[node_id, op.node.name] = scope, executor

    def _do(self, step: Step) -> None:
        state = self.states[step.state]
        if step.mode is not None:
            ProgramStateGroup([self.states[child] for child in step.children], state).join(
                step.mode
            )
        elif step.children:
            group = state.fork(len(step.children))
            self.states.update(zip(step.children, group, strict=True))
        elif step.node is None:
            if step.name is not None:
                state[step.name] = self.value(step.value)
        elif isinstance(step.node.expr, Variable):
            cell, writer = self._cell(step.node.expr)
            if _has_several(cell, writer):
                state += self._wait(cell, writer)  # which says what it thinks of a list
            else:
                state.stream_executor.submit(CopyText(cell, writer))

    def value(self, value: Any) -> Any:
        """What the body returned, with symbols replaced by what they stand for. Waits for it. Of
        the types that `_require_replayable` lets through."""
        if isinstance(value, TracedState):
            return self.states[value]
        if isinstance(value, TracedGroup):
            states = [self.states[branch] for branch in value.branches]
            return ProgramStateGroup(states, self.states[value.trunk])
        if isinstance(value, Joined):
            parts = [self.value(part) for part in value.exprs]
            return "".join(part.value if isinstance(part, ir.Constant) else part for part in parts)
        if isinstance(value, Argument):
            return self.arguments[value.name]
        if isinstance(value, Variable):
            return self._wait(*self._cell(value))
        if type(value) in (list, tuple):
            return type(value)(self.value(one) for one in value)
        if type(value) is dict:
            return {self.value(key): self.value(one) for key, one in value.items()}
        return value

    def _cell(self, variable: Variable) -> tuple[Cell, StreamExecutor]:
        return self.cells[variable.source.node_id, variable.name]

    def _wait(self, cell: Cell, writer: StreamExecutor) -> Any:
        writer.monitor.wait_for(lambda: cell.final)
        writer.raise_error_of(cell)
        return cell.value


def traced_whole(program: Function[Any], backend: Backend | None) -> TracedState:
    """The trace of a program whose runs replay it. Raises what its body raises, and TraceError."""
    given = {
        name: default
        for name, default in program.arg_defaults.items()
        if name not in program.bind_arguments and not isinstance(default, str)
    }
    traced = program.trace_once(backend, given, with_calls=False)
    _require_replayable(traced.ret_value, "returns")
    for step in traced.steps:
        if step.name is not None:
            _require_replayable(step.value, f"sets {step.name!r} to")
    return traced


def _require_replayable(value: Any, what: str) -> None:
    """Refuse what may hold symbols, or changes, out of sight."""
    kind = type(value)
    if kind in (list, tuple):
        for one in value:
            _require_replayable(one, what)
    elif kind is dict:
        for key, one in value.items():
            _require_replayable(key, what)
            _require_replayable(one, what)
    elif kind not in _PLAIN and kind not in _SYMBOLS:
        raise TypeError(
            f"the program {what} a {kind.__name__}; only texts, numbers, states, and lists, tuples "
            "and dicts of them trace"
        )


def _has_several(cell: Cell, writer: StreamExecutor) -> bool:
    """Whether a variable is going to be a list: the outputs of one call, or their thinking."""
    node = cell.origin and cell.origin.node
    return isinstance(node, ir.Gen) and (node.sampling.over(writer.sampling).n or 1) > 1


def _texts_of(traced: TracedState) -> list[str | Argument] | None:
    """The texts of each run, in order, where these are all that is its own: one state, and nothing
    in it but texts, arguments, calls and roles. None where there is more."""
    texts: list[str | Argument] = []
    for step in traced.steps:
        if step.state is not traced or step.mode is not None or step.children or step.node is None:
            return None
        expr = step.node.expr
        if isinstance(expr, Variable):
            return None
        if isinstance(expr, Argument):
            texts.append(expr)
        else:
            texts += [node.value for node in ir.flatten(expr) if isinstance(node, ir.Constant)]
    return texts


def _replaying(program: Function[Any], traced: TracedState) -> Any:
    """A body that appends what was traced."""
    signature = inspect.signature(program.func)

    def replay(s: ProgramState, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(s, *args, **kwargs)
        bound.apply_defaults()
        run = _Replay(bound.arguments, {traced: s})
        run.do_all(traced.steps)
        return run.value(traced.ret_value)

    replay.__signature__ = signature  # type: ignore[attr-defined]
    replay.__name__ = program.name
    replay.__doc__ = program.__doc__
    return replay
