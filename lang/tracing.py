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
from typing import Any, NoReturn, Self

from . import api, ir
from .backend.base import Backend
from .errors import InvalidRequest
from .failures import caller_source
from .ir import Expr
from .transcript import Transcript

_tracing: contextvars.ContextVar[bool] = contextvars.ContextVar("branchline_tracing", default=False)


class TraceError(TypeError):
    """The body needs something that only a run has: the value of an argument or of an output."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not known while a program is traced ({caller_source()})")

    @classmethod
    def because(cls, reason: str | None) -> TraceError:
        """The same error again, for somebody who asks later."""
        error = cls.__new__(cls)
        TypeError.__init__(error, reason)
        return error


class _Unknown(Expr):
    """A text that only a run knows. It can be appended, and nothing else."""

    def _unknown(self, *args: object) -> NoReturn:
        raise TraceError(f"the value of {self!r}")

    __bool__ = __len__ = __iter__ = __getitem__ = __contains__ = _unknown
    __int__ = __float__ = __index__ = __str__ = __format__ = _unknown
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _unknown
    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise TraceError(f"{self!r}.{name}")


class Argument(_Unknown):
    """An argument of the traced program."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Argument({self.name!r})"


class Variable(_Unknown):
    """What `s["x"]` reads in a traced program; `source` is the node that writes it."""

    def __init__(self, name: str, source: TraceNode) -> None:
        self.name = name
        self.source = source

    def __repr__(self) -> str:
        return f"Variable({self.name!r}, %{self.source.node_id})"


@dataclass(frozen=True, eq=False, repr=False)
class Fork(Expr):
    number: int

    def __repr__(self) -> str:
        return f"Fork({self.number})"


@dataclass(frozen=True, eq=False, repr=False)
class GetForkItem(Expr):
    index: int

    def __repr__(self) -> str:
        return f"GetForkItem({self.index})"


@dataclass(frozen=True, eq=False, repr=False)
class Join(Expr):
    """The text of branches, one after the other (`join("concate_and_append")`)."""

    number: int

    def __repr__(self) -> str:
        return f"Join({self.number})"


@dataclass(frozen=True, eq=False)
class TraceNode:
    """One node at one place of the program; `prev_node` is what its state had before it, `inputs`
    what it reads from elsewhere."""

    node_id: int
    expr: Expr
    prev_node: TraceNode | None
    inputs: tuple[TraceNode, ...] = ()

    def print_graph_dfs(self) -> str:
        """This node and all it depends on, one line each, dependencies first."""
        lines: list[str] = []
        seen: set[int] = set()
        pending: list[tuple[TraceNode, bool]] = [(self, False)]
        while pending:
            node, ready = pending.pop()
            if ready:
                before = "" if node.prev_node is None else f"%{node.prev_node.node_id} + "
                lines.append(f"%{node.node_id} = {before}{node.expr!r}")
                continue
            if node.node_id in seen:
                continue
            seen.add(node.node_id)
            pending.append((node, True))
            needed = (*([node.prev_node] if node.prev_node else []), *node.inputs)
            pending += [(one, False) for one in reversed(needed)]
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        return f"%{self.node_id}: {self.expr!r}"


@dataclass(frozen=True)
class Step:
    """What a traced body did, in order: `state` got a node, was forked into `children`, joined
    them (`mode`), or was given a variable (`name`, `value`). Replayed by compiled.py."""

    state: TracedState
    node: TraceNode | None = None
    children: tuple[TracedState, ...] = ()
    mode: str | None = None
    name: str | None = None
    value: Any = None


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
        self.steps.append(Step(self, fork, tuple(children)))
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
            self.steps.append(Step(self, traced))
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
        self.src_state.steps.append(Step(self.src_state, None, tuple(self.states), mode))
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
) -> TracedState:
    """Run a body once; arguments that are not given are symbolic."""
    arguments = {name: given.get(name, Argument(name)) for name in names}
    state = TracedState(backend, {**given, **arguments}, on_node=on_node)
    token = _tracing.set(True)
    try:
        state.ret_value = body(state, **state.arguments)
    finally:
        _tracing.reset(token)
    return state


def refuse_while_tracing(program: str) -> None:
    """A traced body that runs another program would really generate."""
    if _tracing.get():
        raise TraceError(f"the result of the program {program!r}")


class _PrefixEnd(Exception):
    """The constant beginning of a program ends here."""


def constant_prefix(
    body: Callable[..., Any], names: list[str], given: Mapping[str, Any], backend: Backend
) -> Transcript:
    """What a program appends before the first argument, call or fork. The body runs up to there."""
    prefix = Transcript()
    template = backend.chat_template

    def on_node(node: Expr) -> None:
        match node.for_backend(backend):
            case ir.Constant(value=text):
                prefix.add_text(text)
            case ir.AppendChildren(texts=texts, pieces=pieces):  # a list of tools
                for text, parts in zip(texts, pieces, strict=True):
                    prefix.add_parts(text, parts)
            case ir.RoleBegin(role=role):
                prefix.begin_role(role, template)
            case ir.RoleEnd(role=role):
                prefix.end_role(role, template)
            case ir.VarScopeBegin() | ir.VarScopeEnd():
                pass
            case _:
                raise _PrefixEnd

    try:
        trace_body(body, names, given, backend, on_node)
    except (_PrefixEnd, TraceError):
        pass
    except InvalidRequest as error:
        raise ValueError(error.message) from None
    return prefix
