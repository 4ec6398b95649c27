"""Tool calls over vendors' APIs, which take tools and tell calls as data and not as text. Called by
openai.py and anthropic.py; tool_calls.py hands the tools over as a constraint.

In a state's text the calls stand in `CALL_FORM`. They are read back out of it for the next request,
so a state needs no memory of the API's own ids: each call gets one by its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from branchline.runtime import protocol
from branchline.runtime.tool_formats import EMBEDDED, RawCall, ToolSpec

from ..errors import GenerationError, InvalidRequest

CALL_FORM = EMBEDDED
TOOL_ROLE = "tool"
# The names that the APIs take; ours may have dots.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class OfferedTools(protocol.Tagged, frozen=True, tag="offered_tools"):
    """Tools for an API that has tools itself; `choice` as in `bl.tool_call`. Never on the wire."""

    specs: tuple[ToolSpec, ...] = ()
    parallel: bool = False
    choice: str = "auto"


@dataclass(frozen=True)
class Call:
    """A call as the APIs know it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Turn:
    """A message: an assistant's with `calls`, or with role "tool" what a call came to. `content` is
    text, or a user's content parts with pictures in them."""

    role: str
    content: Any
    calls: tuple[Call, ...] = ()
    call_id: str = ""


def offered(specs: Sequence[ToolSpec], *, parallel: bool, choice: str) -> OfferedTools:
    """The constraint of a call. Raises InvalidRequest for a name that the APIs do not take."""
    for spec in specs:
        if not _NAME.fullmatch(spec.name):
            raise InvalidRequest(
                f"tool {spec.name!r}: the API takes letters, digits, _ and - in the names of tools",
                pointer="tools",
            )
    return OfferedTools(tags=[], specs=tuple(specs), parallel=parallel, choice=choice)


def told_text(content: str, calls: Sequence[RawCall], tools: OfferedTools) -> str:
    """An answer as the state's text has it."""
    if len(calls) > 1 and not tools.parallel:
        raise GenerationError(
            f"the API made {len(calls)} calls where one was asked for; allow them with "
            "tool_call(..., parallel=True)"
        )
    return content + (CALL_FORM.render(calls) if calls else "")


def turns_of(messages: Sequence[dict[str, Any]]) -> list[Turn]:
    """Messages with the calls in them as data. A turn counts as one with calls where a tool turn
    follows for each of them; else it is what somebody wrote. Raises InvalidRequest for a result
    without a call."""
    turns: list[Turn] = []
    place = 0
    while place < len(messages):
        message = messages[place]
        place += 1
        role, content = message["role"], message["content"]
        if role == TOOL_ROLE:
            raise InvalidRequest(
                f"the tool turn {content!r} answers no call: as many of them follow a turn with "
                "calls as it has calls (s.run_tools() appends them)"
            )
        text, raw = _read(content) if role == "assistant" else (content, [])
        results = messages[place : place + len(raw)]
        if raw and all(one["role"] == TOOL_ROLE for one in results) and len(results) == len(raw):
            calls = tuple(
                # Nine letters and digits: the ids that every server takes.
                Call(f"c{len(turns):05d}{number:03d}", call.name, call.arguments)
                for number, call in enumerate(raw)
            )
            turns.append(Turn(role, text, calls))
            turns += [
                Turn(TOOL_ROLE, result["content"], call_id=call.id)
                for call, result in zip(calls, results, strict=True)
            ]
            place += len(raw)
        else:
            turns.append(Turn(role, content))
    return turns


def openai_messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Turns as chat completions take them."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        message: dict[str, Any] = {"role": turn.role, "content": turn.content}
        if turn.calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in turn.calls
            ]
        if turn.call_id:
            message["tool_call_id"] = turn.call_id
        messages.append(message)
    return messages


def openai_tools(
    tools: OfferedTools, closed: Callable[[object], bool], *, may_limit: bool
) -> dict[str, Any]:
    """What a chat completion is asked for. closed: tells schemas that the API can enforce.
    may_limit: the model takes the word that it is to make one call."""
    functions = [
        {
            "name": spec.name,
            "description": spec.description,
            "parameters": spec.parameters,
            "strict": closed(spec.parameters),
        }
        for spec in tools.specs
    ]
    choice: Any = tools.choice
    if choice not in ("auto", "required", "none"):
        choice = {"type": "function", "function": {"name": choice}}
    asked: dict[str, Any] = {
        "tools": [{"type": "function", "function": function} for function in functions],
        "tool_choice": choice,
    }
    if may_limit and not tools.parallel and choice != "none":
        asked["parallel_tool_calls"] = False
    return asked


def anthropic_messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Turns as the Messages API takes them: results stand together in one user turn."""
    messages: list[dict[str, Any]] = []
    previous = ""
    for turn in turns:
        if turn.call_id:
            result = {
                "type": "tool_result",
                "tool_use_id": turn.call_id,
                "content": turn.content,
            }
            if previous == TOOL_ROLE:
                messages[-1]["content"].append(result)
            else:
                messages.append({"role": "user", "content": [result]})
        elif turn.calls:
            text = [{"type": "text", "text": turn.content}] if turn.content.strip() else []
            uses = [
                {
                    "type": "tool_use",
                    "id": call.id,
                    "name": call.name,
                    "input": json.loads(call.arguments),
                }
                for call in turn.calls
            ]
            messages.append({"role": turn.role, "content": [*text, *uses]})
        else:
            messages.append({"role": turn.role, "content": _anthropic_content(turn.content)})
        previous = turn.role
    return messages


def _anthropic_content(content: Any) -> Any:
    """Text as it is; OpenAI's content parts as the Messages API's blocks."""
    if isinstance(content, str):
        return content
    blocks: list[dict[str, Any]] = []
    for part in content:
        if part["type"] == "image_url":
            media_type, _, data = (
                part["image_url"]["url"].removeprefix("data:").partition(";base64,")
            )
            source = {"type": "base64", "media_type": media_type, "data": data}
            blocks.append({"type": "image", "source": source})
        else:
            blocks.append(part)
    return blocks


def anthropic_tools(tools: OfferedTools | None, turns: Sequence[Turn]) -> dict[str, Any]:
    """What a message is asked for. A conversation with calls must name their tools, even where
    none may be called any more."""
    if tools is not None:
        described = [
            {"name": s.name, "description": s.description, "input_schema": s.parameters}
            for s in tools.specs
        ]
        kind = {"required": "any"}.get(tools.choice, tools.choice)
        choice: dict[str, Any] = {"type": kind}
        if kind not in ("auto", "any", "none"):
            choice = {"type": "tool", "name": kind}
        if kind != "none":
            choice["disable_parallel_tool_use"] = not tools.parallel
        return {"tools": described, "tool_choice": choice}
    names = dict.fromkeys(call.name for turn in turns for call in turn.calls)
    if not names:
        return {}
    stubs = [{"name": name, "input_schema": {"type": "object"}} for name in names]
    return {"tools": stubs, "tool_choice": {"type": "none"}}


def _read(content: str) -> tuple[str, list[RawCall]]:
    try:
        return CALL_FORM.parse(content)
    except ValueError:
        # It begins like a call and is none: text.
        return content, []
