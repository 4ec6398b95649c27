"""`Function.compile`: a program traced once, whose runs replay the trace instead of the body and go
to the runtime whole. Made by function.py; plan_runner.py sends it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from . import ir
from .cells import Cell
from .executor import StreamExecutor
from .function import Function
from .group import ProgramStateGroup
from .held import CopyText, HeldExecutor
from .plan_graph import graph_text, mermaid
from .plan_runner import PlanRunner
from .run_options import RunOptions
from .state import ProgramState
from .trace_graph import Argument, Step, TraceError, Variable
from .tracing import TracedState


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

    def graph(self) -> str:
        """The program's nodes, one per line, in the order of the trace."""
        return graph_text(self._require_traced())

    def print_graph(self) -> None:
        """Print `graph()`."""
        print(self.graph())

    def to_mermaid(self) -> str:
        """The program as a Mermaid flowchart, which Markdown viewers draw."""
        return mermaid(self._require_traced())

    def run(self, *args: Any, **kwargs: Any) -> ProgramState:
        if kwargs.get("stream") and "stream" not in self.arg_names:
            # Pieces come while the text is written, a plan's answer comes when it is done.
            return self.program.run(*args, **kwargs)
        return super().run(*args, **kwargs)

    def _executor(self, options: RunOptions) -> type[StreamExecutor] | partial[HeldExecutor]:
        if self.traced is None:
            return super()._executor(options)
        return partial(HeldExecutor, runner=options.plans or PlanRunner(options.backend))

    def _require_traced(self) -> TracedState:
        if self.traced is None:
            raise TraceError.because(self.reason)
        return self.traced

    def __repr__(self) -> str:
        return f"CompiledProgram({self.name})"


@dataclass(eq=False)
class _Replay:
    """One run of a trace: the states that stand for the traced ones."""

    arguments: Mapping[str, Any]
    states: dict[TracedState, ProgramState]
    cells: dict[tuple[int, str], tuple[Cell, StreamExecutor]] = field(default_factory=dict)

    def do(self, step: Step) -> None:
        state = self.states[step.state]
        if step.mode is not None:
            ProgramStateGroup([self.states[child] for child in step.children], state).join(
                step.mode
            )
        elif step.children:
            group = state.fork(len(step.children))
            self.states.update(zip(step.children, group, strict=True))
        elif step.node is not None:
            self._append(state, step.node.node_id, step.node.expr)
        elif step.name is not None:
            state[step.name] = self.value(step.value)

    def _append(self, state: ProgramState, node_id: int, node: ir.Expr) -> None:
        executor = state.stream_executor
        if isinstance(node, Argument):
            state += self.arguments[node.name]
        elif isinstance(node, Variable):
            executor.submit(CopyText(*self._cell(node)))
        else:
            executor.submit(node)
        if isinstance(node, ir.Gen | ir.Select | ir.VarScopeEnd):
            names = [node.name, node.reasoning_name] if isinstance(node, ir.Gen) else [node.name]
            for name in names:
                if name is not None and name in executor.cells:
                    self.cells[node_id, name] = executor.cells[name], executor

    def value(self, value: Any) -> Any:
        """What the body returned, with symbols replaced by what they stand for. Waits for it."""
        if isinstance(value, Argument):
            return self.arguments[value.name]
        if isinstance(value, Variable):
            return self._wait(*self._cell(value))
        if isinstance(value, list | tuple) and type(value) in (list, tuple):
            return type(value)(self.value(one) for one in value)
        if type(value) is dict:
            return {key: self.value(one) for key, one in value.items()}
        return value

    def _cell(self, variable: Variable) -> tuple[Cell, StreamExecutor]:
        return self.cells[variable.source.node_id, variable.name]

    def _wait(self, cell: Cell, writer: StreamExecutor) -> Any:
        writer.monitor.wait_for(lambda: cell.final)
        writer.raise_error_of(cell)
        return cell.value


def _replaying(program: Function[Any], traced: TracedState) -> Any:
    """A body that appends what was traced."""
    signature = inspect.signature(program.func)

    def replay(s: ProgramState, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(s, *args, **kwargs)
        bound.apply_defaults()
        run = _Replay(bound.arguments, {traced: s})
        for step in traced.steps:
            run.do(step)
        return run.value(traced.ret_value)

    replay.__signature__ = signature  # type: ignore[attr-defined]
    replay.__name__ = program.name
    replay.__doc__ = program.__doc__
    return replay
