"""`Turn`: what `s.user(...)`, `s.system(...)` and `s.assistant(...)` return, and `State`, which has
these. Used by state.py and tracing.py."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from . import api, ir
from .ir import Expr


class State:
    """What turns are appended to: a run's state, or a trace's."""

    def __iadd__(self, other: Expr | str) -> Self:
        raise NotImplementedError

    def system(self, expr: Expr | str | None = None) -> Turn:
        """`s.system(x)` appends a system turn; `with s.system():` makes one of what is appended
        inside."""
        return Turn(self, "system", expr)

    def user(self, expr: Expr | str | None = None) -> Turn:
        """`s.user(x)` or `with s.user():`, see `system`."""
        return Turn(self, "user", expr)

    def assistant(self, expr: Expr | str | None = None) -> Turn:
        """`s.assistant(x)` or `with s.assistant():`, see `system`."""
        return Turn(self, "assistant", expr)

    def tool(self, expr: Expr | str | None = None) -> Turn:
        """`s.tool(x)` or `with s.tool():`, see `system`: a turn with the result of a tool."""
        return Turn(self, "tool", expr)


class Turn(Expr):
    """What `s.user(...)` returns. With content, the turn is appended already, and `s += ` of it
    adds nothing more; without, it is a `with` block whose content is what is appended inside."""

    def __init__(self, state: State, role: str, content: Expr | str | None) -> None:
        self.state = state
        self.role = role
        self.expr = api.role(role, content)
        # The state that must take `+= turn` as done; None once it did.
        self.appended_to: State | None = None
        if content is not None:
            state += self.expr
            self.appended_to = state

    def left_for(self, state: State) -> Expr:
        """What `state += turn` has still to append."""
        done, self.appended_to = self.appended_to is state, None
        return ir.ExprList() if done else self.expr

    def nodes(self) -> Iterator[Expr]:
        return self.expr.nodes()

    def __enter__(self) -> None:
        self.state += ir.RoleBegin(self.role)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # After an exception too: a body that catches it goes on outside of the turn.
        self.state += ir.RoleEnd(self.role)

    def __repr__(self) -> str:
        return repr(self.expr)
