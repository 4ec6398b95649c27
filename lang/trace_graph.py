"""What a trace is made of: nodes, symbols for arguments and outputs, the steps of the body. Made by
tracing.py; compiled.py replays it, plan_graph.py prints it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from .failures import caller_source
from .ir import Expr

if TYPE_CHECKING:
    from .tracing import TracedState


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
    __int__ = __float__ = __index__ = __str__ = _unknown
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _unknown
    __hash__ = object.__hash__

    def __format__(self, spec: str) -> NoReturn:
        self._unknown()

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
    them (`mode`), or was given a variable (`name`, `value`). `source` is where it did so. Replayed
    by compiled.py."""

    state: TracedState
    node: TraceNode | None = None
    children: tuple[TracedState, ...] = ()
    mode: str | None = None
    name: str | None = None
    value: Any = None
    source: str | None = None
