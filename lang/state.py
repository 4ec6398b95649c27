"""`ProgramState`: the `s` of a program. A thin face over its executor; forks live in group.py,
turns in turn.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from operator import index
from typing import Any, Literal, Self, SupportsIndex, TypeVar, overload

from branchline.runtime.protocol import Usage

from . import ir
from .cells import Cell, Meta, value_of
from .executor import StreamExecutor
from .group import ProgramStateGroup
from .ir import Expr
from .printable import printable
from .readings import unknown_variable
from .streaming import (
    iterate_text,
    iterate_text_async,
    iterate_variable,
    iterate_variable_async,
)
from .timeline import Timeline, state_html
from .tool_run import ToolResult, run_tools, run_tools_async
from .turn import State, Turn

Value = TypeVar("Value")


class ProgramState(State):
    """The prompt of one program instance, and its variables.

    `s += x` appends and returns at once; `s["x"]`, `text()` and the like wait for what they need
    and raise `GenerationError` with the cause when that failed. A name that nothing declares
    raises KeyError.

    Appended text is text: a control token of the model that is spelled out in it, inside a role
    or outside, is not that token. Only the markup of roles is.
    """

    def __init__(self, executor: StreamExecutor) -> None:
        self.stream_executor = executor
        self.ret_value: Any = None

    # --- appending ---

    def __iadd__(self, other: Expr | str) -> Self:
        if other is None:
            raise ValueError("Tried to append None to state.")
        if isinstance(other, Turn):
            other = other.left_for(self)
        if not isinstance(other, Expr | str):
            raise TypeError(
                f"cannot append {type(other).__name__} to a state; append text, or an expression "
                "such as gen(...); use str(...) for other values"
            )
        self.stream_executor.submit(other)
        return self

    @contextmanager
    def var_scope(self, name: str) -> Iterator[None]:
        """`with s.var_scope("x"):` makes `x` the text that is appended inside."""
        self.stream_executor.submit(ir.VarScopeBegin(name))
        try:
            yield
        finally:
            self.stream_executor.submit(ir.VarScopeEnd(name))

    # --- tools ---

    def run_tools(
        self, name: str | None = None, *, role: str = "tool", timeout: float | None = None
    ) -> list[ToolResult]:
        """Run the calls in the variable `name`, by default the last that `bl.tool_call` made, and
        append a turn of `role` with each result. Returns the results in the order of the calls,
        an empty list when the model called nothing.

        The calls run at the same time: plain functions in threads, async ones as tasks. An
        exception, arguments that do not validate, and a call that is not done in `timeout`
        seconds (or in the tool's own) become results that tell the model so. Results are text:
        what they hold is never read as control tokens.
        """
        return run_tools(self, name, role, timeout)

    async def run_tools_async(
        self, name: str | None = None, *, role: str = "tool", timeout: float | None = None
    ) -> list[ToolResult]:
        """`run_tools` for coroutines."""
        return await run_tools_async(self, name, role, timeout)

    # --- branches ---

    def fork(self, size: int = 1, position_ids_offset: object = None) -> ProgramStateGroup:
        """`size` states that go on from here in parallel. Waits for what this state still does.

        `position_ids_offset` is accepted for programs that pass it and has no effect.
        """
        size = checked_fork_size(size)
        children = [ProgramState(child) for child in self.stream_executor.fork(size)]
        return ProgramStateGroup(children, self)

    async def fork_async(self, size: int = 1) -> ProgramStateGroup:
        """`fork` for coroutines."""
        size = checked_fork_size(size)
        children = [ProgramState(child) for child in await self.stream_executor.fork_async(size)]
        return ProgramStateGroup(children, self)

    @contextmanager
    def copy(self, position_ids_offset: object = None) -> Iterator[ProgramState]:
        """`with s.copy() as c:` works on a copy; its new variables come back as one-element
        lists."""
        group = self.fork(1)
        try:
            yield group[0]
        except BaseException:
            group[0].cancel()
            raise
        group.join()

    # --- reading ---

    def __getitem__(self, name: str) -> Any:
        return self._known(name, self.stream_executor.cell(name)).value

    async def get(self, name: str) -> Any:
        """`s[name]` for coroutines."""
        return self._known(name, await self.stream_executor.cell_async(name)).value

    def __setitem__(self, name: str, value: Any) -> None:
        self.stream_executor.set_variable(name, value)

    def __contains__(self, name: object) -> bool:
        return name in self.stream_executor.variables

    def get_var(self, name: str) -> Any:
        return self[name]

    def set_var(self, name: str, value: Any) -> None:
        self[name] = value

    @overload
    def value(self, name: str) -> Any: ...
    @overload
    def value(self, name: str, as_type: type[Value]) -> Value: ...
    @overload
    def value(self, name: str, as_type: Any) -> Any: ...
    def value(self, name: str, as_type: Any = None) -> Any:
        """The variable as a Python object: validated against the `schema` that it was generated
        under (JSON data for `json_schema`, a number for `dtype=int`, ...), or read as `as_type`.

        A variable of n > 1 sequences gives a list, and so does one that a join has gathered, whose
        branches' types may differ; `as_type` is then list[T], or T. Raises InvalidOutput when the
        output does not validate.
        """
        return value_of(self._known(name, self.stream_executor.cell(name)), as_type)

    @overload
    async def get_value(self, name: str) -> Any: ...
    @overload
    async def get_value(self, name: str, as_type: type[Value]) -> Value: ...
    @overload
    async def get_value(self, name: str, as_type: Any) -> Any: ...
    async def get_value(self, name: str, as_type: Any = None) -> Any:
        """`s.value(name)` for coroutines."""
        return value_of(self._known(name, await self.stream_executor.cell_async(name)), as_type)

    def get_meta_info(self, name: str) -> Meta | None:
        """About the call that made the variable: "id", "finish_reason", "prompt_tokens",
        "completion_tokens", "cached_tokens", log probabilities if asked for, "closed_by_budget"
        where `max_tokens` left no room for all that a form would have allowed. It stays where the
        variable is written by hand afterwards. None for a variable that no call made."""
        return self.stream_executor.get_meta_info(name)

    def usages(self) -> list[Usage]:
        """Token counts of every call appended so far, of branches and of programs called inside
        too. Waits like `sync`; failed calls have none."""
        self.stream_executor.wait_idle()
        return [record.usage for record in self.stream_executor.records if record.usage is not None]

    def timeline(self) -> Timeline:
        """When each call was queued, started and finished, and its tokens: of this state, of its
        branches and of programs called inside. `print` it, or `.save("page.html")`. Waits like
        `error`."""
        self.stream_executor.wait_idle()
        return Timeline.of(self.stream_executor.program, self.stream_executor.records)

    def text(self) -> str:
        """The whole text: prompt, role markup and output."""
        self.stream_executor.sync()
        return self.stream_executor.text_

    def messages(self) -> list[dict[str, Any]]:
        """The finished turns, as {"role", "content"}. The content is text, or OpenAI's content
        parts in a turn with pictures."""
        self.stream_executor.sync()
        return [dict(message) for message in self.stream_executor.transcript.messages]

    def text_iter(self, var_name: str | None = None) -> Iterator[str]:
        """The text, or one variable's, in pieces as they come (`run(stream=True)`)."""
        if var_name is None:
            yield from iterate_text(self.stream_executor)
            return
        for piece, meta in iterate_variable(self.stream_executor, var_name):
            # A stream's last piece may hold nothing but how the call ended.
            if piece or not meta:
                yield piece

    @overload
    def text_async_iter(
        self, var_name: str | None = None, return_meta_data: Literal[False] = False
    ) -> AsyncIterator[str]: ...
    @overload
    def text_async_iter(
        self, var_name: str, return_meta_data: Literal[True]
    ) -> AsyncIterator[tuple[str, Meta]]: ...
    async def text_async_iter(
        self, var_name: str | None = None, return_meta_data: bool = False
    ) -> AsyncIterator[Any]:
        """`text_iter` for coroutines. With `return_meta_data`, a variable's pieces come as (text,
        meta info of that piece)."""
        if var_name is None:
            if return_meta_data:
                raise ValueError("text_async_iter: return_meta_data needs a variable's name")
            async for piece in iterate_text_async(self.stream_executor):
                yield piece
            return
        async for piece, meta in iterate_variable_async(self.stream_executor, var_name):
            if return_meta_data:
                yield piece, meta
            elif piece or not meta:
                yield piece

    def sync(self) -> None:
        """Wait until everything appended is done; raises what went wrong."""
        self.stream_executor.sync()

    async def wait(self) -> None:
        """`sync` for coroutines: after it, reads of what was appended do not wait."""
        await self.stream_executor.sync_async()

    def error(self) -> BaseException | None:
        """Wait like `sync`; what went wrong, or None."""
        self.stream_executor.wait_idle()
        return self.stream_executor.failure

    def cancel(self) -> None:
        """Stop what runs in this state and its branches, in the runtime too. An `async def` body
        gets a CancelledError, a plain one at its next read. May be called from any thread."""
        self.stream_executor.cancel()

    def __enter__(self) -> Self:
        """`with f.run(..., stream=True) as state:` cancels at its end what still runs."""
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def _known(self, name: str, cell: Cell | None) -> Cell:
        if cell is None:
            raise unknown_variable(self.stream_executor, name)
        return cell

    def __repr__(self) -> str:
        self.stream_executor.wait_idle()
        return printable(f"ProgramState({self.stream_executor.text_})")

    def _repr_html_(self) -> str:
        """For notebooks: the text, with what the model wrote marked."""
        executor = self.stream_executor
        executor.wait_idle()
        transcript = executor.transcript
        return state_html(executor.program, transcript.text, transcript.spans, executor.failure)


def checked_fork_size(size: object) -> int:
    """A number of branches; ValueError for what is none."""
    if not isinstance(size, SupportsIndex) or (number := index(size)) < 1:
        raise ValueError(f"fork: size={size!r}: expected a whole number of at least 1")
    return number
