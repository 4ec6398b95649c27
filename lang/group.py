"""`ProgramStateGroup`: the states that a fork made. Created by state.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Self

from . import ir
from .ir import Expr
from .op_queue import sync_all, sync_all_async

if TYPE_CHECKING:
    from .state import ProgramState

Appended = Expr | str


class ProgramStateGroup:
    """`g[i]`, `len(g)`, iteration; `g += x` appends to all; `g.join()` brings them together."""

    def __init__(self, states: list[ProgramState], src_state: ProgramState) -> None:
        self.states = states
        self.src_state = src_state

    def __len__(self) -> int:
        return len(self.states)

    def __iter__(self) -> Iterator[ProgramState]:
        return iter(self.states)

    def __getitem__(self, index: int) -> ProgramState:
        return self.states[index]

    def __setitem__(self, index: int, state: ProgramState) -> None:
        """For `g[i] += x`, which assigns the state that it got."""
        if state is not self.states[index]:
            raise TypeError("a group's states cannot be replaced; append with g[i] += ...")

    def __iadd__(self, other: Appended | Sequence[Appended] | Callable[[int], Appended]) -> Self:
        """Append an expression or text to every state, element i of a list or tuple to state i,
        or `other(i)` to state i."""
        if isinstance(other, Expr | str):
            each: list[Appended] = [other] * len(self)
        elif callable(other):
            each = [other(index) for index in range(len(self))]
        elif isinstance(other, list | tuple):
            if len(other) != len(self):
                raise ValueError(f"{len(other)} expressions for {len(self)} states")
            each = list(other)
        else:
            raise TypeError(
                f"cannot append {type(other).__name__} to a group; give an expression, text, a "
                "list of them, or a function of the state's number"
            )
        for state, expr in zip(self.states, each, strict=True):
            state += expr
        return self

    def join(self, mode: str = "gather_variable") -> None:
        """Wait for every state and bring their results to the state they came from.

        "gather_variable": each variable that is new in the children becomes a list, in the order
        of the children. A name that the parent has is left alone, unless its value came from an
        earlier join and the children wrote it anew: then it becomes the new list.
        "concate_and_append": the text that the children added is appended, one after the other.

        Raises the error of a child that failed as soon as it has. The others go on, for who catches
        that and reads them; if nobody does they end with the program. In a plan nobody can catch
        it, so they end at once.
        """
        _check_mode(mode)
        children = [state.stream_executor for state in self.states]
        if self.src_state.stream_executor.join_later(children, mode):
            return
        sync_all(children, "await group.join_async()")
        self._merge(mode)

    async def join_async(self, mode: str = "gather_variable") -> None:
        """`join` for coroutines."""
        _check_mode(mode)
        await sync_all_async([state.stream_executor for state in self.states])
        self._merge(mode)

    def _merge(self, mode: str) -> None:
        children = [state.stream_executor for state in self.states]
        if mode == "gather_variable":
            parent = self.src_state.stream_executor
            for cell in parent.gather(children):
                cell.complete_gathered()
                parent.set_cell(cell)
        else:
            additions = tuple(child.transcript.since(child.fork_point) for child in children)
            self.src_state.stream_executor.submit(ir.AppendChildren(additions))
        for child in children:
            child.finish()


def _check_mode(mode: str) -> None:
    if mode not in ("gather_variable", "concate_and_append"):
        raise ValueError(f"join: mode={mode!r}: expected 'gather_variable' or 'concate_and_append'")
