"""Tracing: a program's body run once with symbolic arguments, recorded as a graph of its nodes.
Behind `Function.trace` and `Function.cache`. Nothing is generated, and no run of a program traces
by itself: what the body does besides appending happens when it is asked for, and once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self, cast

from . import ir
from .backend.base import Backend
from .cells import written_by
from .failures import caller_source, raised_at
from .group import ProgramStateGroup
from .ir import Expr
from .state import ProgramState, checked_fork_size
from .trace_graph import (
    Argument,
    Fork,
    GetForkItem,
    Join,
    Refused,
    Step,
    Trace,
    TraceError,
    TraceNode,
    Unknown,
    Variable,
    current_trace,
    refuse,
)
from .turn import State, Turn


@dataclass(eq=False, repr=False)
class TracedState(State):
    """The state that a traced body gets, and what a trace is: `nodes` in order, `variables`,
    `child_states` of its forks, `arguments`."""

    backend: Backend | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    nodes: list[TraceNode] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    child_states: list[TracedState] = field(default_factory=list)
    ret_value: Any = None
    _last: TraceNode | None = None
    _ids: Iterator[int] = field(default_factory=itertools.count)
    on_node: Callable[[Expr], None] = lambda expr: None
    steps: list[Step] = field(default_factory=list)
    # As in a run's state: what a branch had when it left, and names that came from a join.
    _inherited: dict[str, Any] = field(default_factory=dict)
    _joined_names: set[str] = field(default_factory=set)

    # What isinstance says of a run's state.
    __class__ = property(lambda self: ProgramState)

    @property
    def last_node(self) -> TraceNode:
        if self._last is None:
            raise ValueError("the traced program appended nothing")
        return self._last

    def flatten_nodes(self) -> list[TraceNode]:
        """The nodes of this state and of the branches below it."""
        below = (node for child in self.child_states for node in child.flatten_nodes())
        return [*self.nodes, *below]

    # --- what a body does ---

    def __iadd__(self, other: Expr | str) -> Self:
        if type(other) is Turn:
            other = other.left_for(self)
        if not isinstance(other, Expr | str):
            raise TypeError(f"cannot append {type(other).__name__} to a state")
        for node in ir.flatten(other):
            self._append(node)
        return self

    @contextmanager
    def var_scope(self, name: str) -> Iterator[None]:
        self._append(ir.VarScopeBegin(name))
        try:
            yield
        finally:
            self._append(ir.VarScopeEnd(name))

    def fork(self, size: int = 1, position_ids_offset: object = None) -> TracedGroup:
        size = checked_fork_size(size)
        fork = self._append(Fork(size))
        children = []
        for index in range(size):
            child = TracedState(
                self.backend,
                self.arguments,
                variables=dict(self.variables),
                _last=fork,
                _ids=self._ids,
                on_node=self.on_node,
                steps=self.steps,
                _inherited=dict(self.variables),
                _joined_names=set(self._joined_names),
            )
            child._append(GetForkItem(index))
            children.append(child)
        self.steps.append(Step(self, fork, tuple(children), source=caller_source()))
        self.child_states += children
        return TracedGroup(children, self)

    @contextmanager
    def copy(self, position_ids_offset: object = None) -> Iterator[TracedState]:
        group = self.fork(1)
        yield group.branches[0]
        group.join()

    def __getitem__(self, name: str) -> Any:
        if name not in self.variables:
            known = ", ".join(map(repr, self.variables)) or "none"
            raise KeyError(f"{name!r} is no variable of the traced program; known: {known}")
        return self.variables[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.variables[name] = value
        self.steps.append(Step(self, name=name, value=value))

    get_var, set_var = __getitem__, __setitem__

    def sync(self) -> None:
        """Nothing runs, so nothing is waited for."""

    def __contains__(self, name: object) -> NoReturn:
        refuse("whether a variable has its value by now")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        refuse(f"s.{name}")

    def __repr__(self) -> str:
        if current_trace.get() is not None:
            refuse("the text of a state")
        return f"TracedState({len(self.nodes)} nodes)"

    def _append(self, node: Expr, inputs: tuple[TraceNode, ...] = ()) -> TraceNode:
        trace = current_trace.get()
        if trace is not None and trace.refused is not None:
            raise trace.refused  # the body goes on all the same
        self.on_node(node)
        if type(node) is Variable:
            inputs = (*inputs, node.source)
        traced = TraceNode(next(self._ids), node, self._last, inputs)
        self.nodes.append(traced)
        self._last = traced
        if isinstance(node, Unknown):
            self.steps.append(Step(self, traced))
            return traced
        if not isinstance(node, Fork | GetForkItem | Join):
            self.steps.append(Step(self, traced, source=caller_source()))
        if isinstance(node, ir.Gen | ir.Select | ir.VarScopeEnd) and node.name is not None:
            self.variables[node.name] = Variable(node.name, traced)
            if isinstance(node, ir.Gen) and node.reasoning is not None:
                thinking = node.reasoning_name
                self.variables[thinking] = Variable(thinking, traced)
        return traced

    def _gather(self, branches: list[TracedState]) -> None:
        """What a join makes of the branches' variables."""
        written = ((branch.variables, branch._inherited) for branch in branches)
        gathered = written_by(written, self.variables.keys() - self._joined_names)
        self.variables.update(gathered)
        self._joined_names.update(gathered)


class TracedGroup(ProgramStateGroup):
    """The branches of a traced fork."""

    def __init__(self, states: list[TracedState], src_state: TracedState) -> None:
        super().__init__(cast(list[ProgramState], states), cast(ProgramState, src_state))
        self.branches = states
        self.trunk = src_state

    def join(self, mode: str = "gather_variable") -> None:
        if mode not in ("gather_variable", "concate_and_append"):
            raise ValueError(f"join: mode={mode!r}")
        self.trunk.steps.append(
            Step(self.trunk, None, tuple(self.branches), mode, source=caller_source())
        )
        if mode == "concate_and_append":
            ends = tuple(state.last_node for state in self.branches)
            self.trunk._append(Join(len(ends)), ends)
        else:
            self.trunk._gather(self.branches)


def trace_body(
    body: Callable[..., Any],
    names: list[str],
    given: Mapping[str, Any],
    backend: Backend | None,
    on_node: Callable[[Expr], None] = lambda expr: None,
    *,
    with_calls: bool = False,
) -> TracedState:
    """Run a body once; arguments that are not given are symbolic. `with_calls`: programs that it
    calls are traced too, each as a state of its own whose nodes count on. Raises TraceError, and
    what the body raises."""
    arguments = {name: given.get(name, Argument(name)) for name in names}
    outer = current_trace.get()
    trace = outer or Trace(with_calls, itertools.count())
    state = TracedState(backend, {**given, **arguments}, on_node=on_node, _ids=trace.ids)
    token = current_trace.set(trace)
    try:
        state.ret_value = body(state, **state.arguments)
    except (Refused, Exception):
        if trace.refused is None:
            raise
    finally:
        current_trace.reset(token)
    if trace.refused is None:
        return state
    if outer is not None:
        raise trace.refused
    raise TraceError(f"{trace.refused}", raised_at(trace.refused, body))


def traces_calls() -> bool:
    """Whether a body is being traced that takes in the programs it calls."""
    trace = current_trace.get()
    return trace is not None and trace.with_calls


def refuse_while_tracing(program: str) -> None:
    """A traced body that runs another program would really generate."""
    if current_trace.get() is not None:
        refuse(f"the result of the program {program!r}")
