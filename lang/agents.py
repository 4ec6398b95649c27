"""`bl.agent_loop`: call tools until the model answers. For programs; a few lines over `tool_call`
and `run_tools`, to be copied and changed where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .api import assistant
from .tool_calls import tool_call

if TYPE_CHECKING:
    from .state import ProgramState


def agent_loop(
    s: ProgramState,
    tools: Sequence[object],
    *,
    name: str = "answer",
    max_turns: int = 8,
    parallel: bool = True,
    timeout: float | None = None,
    **sampling: Any,
) -> str:
    """Let the model call `tools` and see their results until it answers in text, and return the
    answer. After `max_turns` turns with calls it must answer without.

    The variable `name` holds each turn in turn, at last the answer; `timeout` bounds each tool's
    call in seconds; `sampling` are arguments of `tool_call`. In an async program it is
    `agent_loop_async`.
    """
    for _ in range(max_turns):
        s += assistant(tool_call(name, tools, parallel, **sampling))
        if not s.run_tools(name, timeout=timeout):
            return str(s[name])
    s += assistant(tool_call(name, tools, choice="none", **sampling))
    return str(s[name])


async def agent_loop_async(
    s: ProgramState,
    tools: Sequence[object],
    *,
    name: str = "answer",
    max_turns: int = 8,
    parallel: bool = True,
    timeout: float | None = None,
    **sampling: Any,
) -> str:
    """`agent_loop` for coroutines."""
    for _ in range(max_turns):
        s += assistant(tool_call(name, tools, parallel, **sampling))
        if not await s.run_tools_async(name, timeout=timeout):
            return str(await s.get(name))
    s += assistant(tool_call(name, tools, choice="none", **sampling))
    return str(await s.get(name))
