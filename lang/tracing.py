"""Tracing: a program's body run once with symbolic arguments, recorded as a graph of its nodes.
Behind `Function.trace` and `Function.cache`. Nothing is generated, and no run of a program traces
by itself: what the body does besides appending happens when it is asked for, and once.
"""

from __future__ import annotations

import contextvars
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from . import api, ir
from .backend.base import Backend
from .failures import caller_source
from .ir import Expr
from .trace_graph import Argument, Fork, GetForkItem, Join, Step, TraceError, TraceNode, Variable


@dataclass(frozen=True)
class _Trace:
    """The trace that is under way: `with_calls` says whether it takes in the programs that the
    body calls."""

    with_calls: bool
    ids: Iterator[int]


_current: contextvars.ContextVar[_Trace | None] = contextvars.ContextVar(
    "branchline_trace", default=None
)


@dataclass(eq=False)
class TracedState:
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
    steps: list[Step] = field(default_factory=list, repr=False)

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
        if not isinstance(other, Expr | str):
            raise TypeError(f"cannot append {type(other).__name__} to a state")
        for node in ir.flatten(other):
            self._append(node)
        return self

    def system(self, expr: Expr | str | None = None) -> _TracedTurn:
        return _TracedTurn(self, "system", expr)

    def user(self, expr: Expr | str | None = None) -> _TracedTurn:
        return _TracedTurn(self, "user", expr)

    def assistant(self, expr: Expr | str | None = None) -> _TracedTurn:
        return _TracedTurn(self, "assistant", expr)

    def tool(self, expr: Expr | str | None = None) -> _TracedTurn:
        return _TracedTurn(self, "tool", expr)

    @contextmanager
    def var_scope(self, name: str) -> Iterator[None]:
        self._append(ir.VarScopeBegin(name))
        yield
        self._append(ir.VarScopeEnd(name))

    def fork(self, size: int = 1, position_ids_offset: object = None) -> TracedGroup:
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
            )
            child._append(GetForkItem(index))
            children.append(child)
        self.steps.append(Step(self, fork, tuple(children), source=caller_source()))
        self.child_states += children
        return TracedGroup(children, self)

    @contextmanager
    def copy(self, position_ids_offset: object = None) -> Iterator[TracedState]:
        group = self.fork(1)
        yield group[0]
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

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise TraceError(f"s.{name}")

    def _append(self, node: Expr, inputs: tuple[TraceNode, ...] = ()) -> TraceNode:
        self.on_node(node)
        if isinstance(node, Variable):
            inputs = (*inputs, node.source)
        traced = TraceNode(next(self._ids), node, self._last, inputs)
        self.nodes.append(traced)
        self._last = traced
        if not isinstance(node, Fork | GetForkItem | Join):
            self.steps.append(Step(self, traced, source=caller_source()))
        if isinstance(node, ir.Gen | ir.Select | ir.VarScopeEnd) and node.name is not None:
            self.variables[node.name] = Variable(node.name, traced)
            if isinstance(node, ir.Gen) and node.reasoning is not None:
                thinking = node.reasoning_name
                self.variables[thinking] = Variable(thinking, traced)
        return traced


class TracedGroup:
    """The branches of a traced fork."""

    def __init__(self, states: list[TracedState], src_state: TracedState) -> None:
        self.states = states
        self.src_state = src_state

    def __len__(self) -> int:
        return len(self.states)

    def __iter__(self) -> Iterator[TracedState]:
        return iter(self.states)

    def __getitem__(self, index: int) -> TracedState:
        return self.states[index]

    def __setitem__(self, index: int, state: TracedState) -> None:
        if state is not self.states[index]:
            raise TypeError("a group's states cannot be replaced; append with g[i] += ...")

    def __iadd__(self, other: Any) -> Self:
        for index, state in enumerate(self.states):
            if isinstance(other, list | tuple):
                state += other[index]
            else:
                state += other(index) if callable(other) else other
        return self

    def join(self, mode: str = "gather_variable") -> None:
        self.src_state.steps.append(
            Step(self.src_state, None, tuple(self.states), mode, source=caller_source())
        )
        if mode == "concate_and_append":
            ends = tuple(state.last_node for state in self.states)
            self.src_state._append(Join(len(ends)), ends)
            return
        if mode != "gather_variable":
            raise ValueError(f"join: mode={mode!r}")
        new: dict[str, list[Any]] = {}
        for state in self.states:
            for name, value in state.variables.items():
                if name not in self.src_state.variables:
                    new.setdefault(name, []).append(value)
        self.src_state.variables.update(new)


class _TracedTurn(Expr):
    """`s.user(x)`, or `with s.user():`, of a traced state. Appended once, as in a run."""

    def __init__(self, state: TracedState, role: str, content: Expr | str | None) -> None:
        self.state = state
        self.role = role
        self.content = api.role(role, content)
        self.appended = content is not None
        if self.appended:
            state += self.content

    def nodes(self) -> Iterator[Expr]:
        if self.appended:
            self.appended = False
            return iter(())
        return self.content.nodes()

    def __enter__(self) -> None:
        self.state._append(ir.RoleBegin(self.role))

    def __exit__(self, *details: object) -> None:
        self.state._append(ir.RoleEnd(self.role))


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
    calls are traced too, each as a state of its own whose nodes count on."""
    arguments = {name: given.get(name, Argument(name)) for name in names}
    outer = _current.get()
    ids = itertools.count() if outer is None else outer.ids
    state = TracedState(backend, {**given, **arguments}, on_node=on_node, _ids=ids)
    token = _current.set(_Trace(with_calls, ids))
    try:
        state.ret_value = body(state, **state.arguments)
    finally:
        _current.reset(token)
    return state


def traces_calls() -> bool:
    """Whether a body is being traced that takes in the programs it calls."""
    trace = _current.get()
    return trace is not None and trace.with_calls


def refuse_while_tracing(program: str) -> None:
    """A traced body that runs another program would really generate."""
    if _current.get() is not None:
        raise TraceError(f"the result of the program {program!r}")
