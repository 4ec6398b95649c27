"""OpenAI's fields of tools and tool calls, and what they mean. Used by chat.py, messages.py,
responses.py and ollama.py."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from .conversation import ToolUse, tool_spec, tool_use
from .errors import refuse


class FunctionSpec(Struct, forbid_unknown_fields=True):
    """A function that the model may call; `parameters` is a JSON Schema, left out for none. Calls
    are held to it whatever `strict` says."""

    name: str
    description: str | None = None
    parameters: Any = None
    strict: bool | None = None


class FunctionTool(Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    """A tool; functions are the only kind."""

    function: FunctionSpec


class FunctionName(Struct, forbid_unknown_fields=True):
    """Which function."""

    name: str


class NamedTool(Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    """The function that must be called."""

    function: FunctionName


class AllowedTool(Struct, forbid_unknown_fields=True):
    """One of the functions that may be called."""

    function: FunctionName
    type: Literal["function"] = "function"


class AllowedTools(Struct, forbid_unknown_fields=True):
    """Some of the tools, any or at least one of which to call."""

    mode: Literal["auto", "required"]
    tools: list[AllowedTool]


class AllowedToolsChoice(Struct, tag_field="type", tag="allowed_tools", forbid_unknown_fields=True):
    """Only some of the tools may be called; the prompt shows all."""

    allowed_tools: AllowedTools


ToolChoice = Literal["none", "auto", "required"] | NamedTool | AllowedToolsChoice


class FunctionCall(Struct, forbid_unknown_fields=True):
    """A call's function and the JSON text of its arguments."""

    name: str
    arguments: str


class ToolCall(Struct, kw_only=True, forbid_unknown_fields=True):
    """A call that the model made. `index` is sent back by clients that gathered a stream."""

    id: str | None = None
    function: FunctionCall
    type: Literal["function"] = "function"
    index: int | None = None


def tool_use_of(
    tools: list[FunctionTool] | None, choice: ToolChoice | None, parallel: bool | None
) -> ToolUse | None:
    """What the fields of a chat request mean. Raises ApiError."""
    specs = [
        tool_spec(
            tool.function.name,
            tool.function.description,
            tool.function.parameters,
            f"tools.{index}.function",
        )
        for index, tool in enumerate(tools or ())
    ]
    # Left out means yes, as in OpenAI's API.
    several = parallel is not False
    match choice:
        case NamedTool(function=FunctionName(name=name)):
            # A named call is one call.
            return tool_use(specs, "required", parallel=False, only=[name])
        case AllowedToolsChoice(allowed_tools=allowed):
            names = [tool.function.name for tool in allowed.tools]
            if not names:
                raise refuse("allowed_tools names no tool", "tool_choice.allowed_tools.tools")
            return tool_use(specs, allowed.mode, parallel=several, only=names)
        case _:
            return tool_use(specs, choice or "auto", parallel=several)
