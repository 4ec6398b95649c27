"""What a trace is made of: nodes, symbols for arguments and outputs, the steps of the body. Made by
tracing.py; compiled.py replays it, plan_graph.py prints it."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from .failures import caller_source
from .ir import Expr, ExprList, flatten

if TYPE_CHECKING:
    from .tracing import TracedState


class TraceError(TypeError):
    """The body needs something that only a run has: the value of an argument or of an output."""

    def __init__(self, what: str, source: str | None = None) -> None:
        source = source or caller_source()
        super().__init__(f"{what} is not known while a program is traced ({source})")

    @classmethod
    def because(cls, reason: str | None) -> TraceError:
        """The same error again, for somebody who asks later."""
        error = cls.__new__(cls)
        TypeError.__init__(error, reason)
        return error


class Refused(BaseException):
    """Leaves a body that is being traced, past its `except Exception`. What began the trace makes
    a TraceError of it."""


@dataclass
class Trace:
    """The trace that is under way. `with_calls`: whether it takes in the programs that the body
    calls; `refused`: why it fails, whatever the body makes of that."""

    with_calls: bool
    ids: Iterator[int]
    refused: Refused | None = None


current_trace: contextvars.ContextVar[Trace | None] = contextvars.ContextVar(
    "branchline_trace", default=None
)


def refuse(what: str) -> NoReturn:
    """The body wants what only a run knows."""
    trace = current_trace.get()
    if trace is None:
        raise TraceError(what)
    trace.refused = trace.refused or Refused(what)
    raise trace.refused


class Unknown(Expr):
    """A text that only a run knows. It can be appended, added to others, returned and set, and
    nothing else: all else, its class too, would be that of the symbol."""

    def _unknown(self, *args: object) -> NoReturn:
        refuse(f"the value of {self._shown()}")

    __bool__ = __len__ = __iter__ = __getitem__ = __contains__ = __hash__ = _unknown
    __int__ = __float__ = __index__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _unknown
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _unknown

    def __format__(self, spec: str) -> NoReturn:
        self._unknown()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        refuse(f"{self._shown()}.{name}")

    def _class(self) -> type:
        if current_trace.get() is not None:
            refuse(f"the class of {self._shown()}")
        return type(self)

    # isinstance asks for it where `type` does not say yes.
    __class__ = property(_class)

    def __repr__(self) -> str:
        if current_trace.get() is not None:
            self._unknown()
        return self._shown()

    def _shown(self) -> str:
        raise NotImplementedError

    def __add__(self, other: Expr | str) -> ExprList:
        return _sum(self, other) if _is_text(other) else Expr.__add__(self, other)

    def __radd__(self, other: Expr | str) -> ExprList:
        return _sum(other, self) if _is_text(other) else Expr.__radd__(self, other)


class Joined(Unknown, ExprList):
    """Texts one after the other, where a run has their sum."""

    def _shown(self) -> str:
        return " + ".join(
            part._shown() if isinstance(part, Unknown) else repr(part) for part in self.exprs
        )


def _is_text(other: object) -> bool:
    return isinstance(other, Unknown | str)  # a symbol's class is not asked for then


def _sum(first: Expr | str, second: Expr | str) -> Joined:
    return Joined((*flatten(first), *flatten(second)))


class Argument(Unknown):
    """An argument of the traced program."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        if current_trace.get() is not None:  # the value may have one of its own
            refuse(f"{self._shown()}.name")
        return self._name

    def _shown(self) -> str:
        return f"Argument({self._name!r})"


class Variable(Unknown):
    """What `s["x"]` reads in a traced program; `source` is the node that writes it."""

    def __init__(self, name: str, source: TraceNode) -> None:
        self.name = name
        self.source = source

    def _shown(self) -> str:
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
    them (`mode`), or was given a variable (`name`, `value`). `source` is where it did so. Replayed
    by compiled.py."""

    state: TracedState
    node: TraceNode | None = None
    children: tuple[TracedState, ...] = ()
    mode: str | None = None
    name: str | None = None
    value: Any = None
    source: str | None = None
