"""A conversation with tools as prompt parts and as a constraint, in the model family's own form.
Every chat API turns its messages into these turns: chat.py, tokens.py, responses.py, anthropic.py
and ollama.py."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from ...protocol import MAX_TAGS, Constraint, ModelInfo, Part, SamplingParams, Text
from ...reasoning import detected_format
from ...tool_formats import RawCall, ToolFormat, ToolSpec, tool_format_for
from .errors import refuse

MAX_TURNS: Final = 2_048
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NO_PARAMETERS: Final = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: `role` is system, user, assistant or tool; `calls` are what an assistant called
    after its text; `place` names the message in errors."""

    role: str
    text: str
    place: str
    calls: tuple[RawCall, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The tools that a prompt shows, and those of them that the answer may call: any or none
    ("auto"), at least one ("required"), or none ("none"); one call, or several (`parallel`)."""

    shown: tuple[ToolSpec, ...]
    callable: tuple[ToolSpec, ...]
    choice: str
    parallel: bool

    @property
    def active(self) -> bool:
        """Whether the answer may hold a call."""
        return self.choice != "none"


def tool_spec(name: str, description: str | None, parameters: object, place: str) -> ToolSpec:
    """A tool as it came: the JSON Schema of its arguments, None for a tool without any. Raises
    ApiError."""
    if not _NAME.fullmatch(name):
        raise refuse(
            f"tool name {name[:80]!r}: expected 1 to 64 letters, digits and _ . -", f"{place}.name"
        )
    if parameters is None:
        parameters = _NO_PARAMETERS
    if not isinstance(parameters, dict):
        raise refuse("a tool's parameters are a JSON Schema, an object", f"{place}.parameters")
    return ToolSpec(name, description or "", _as_object(parameters))


def _as_object(schema: dict[str, Any]) -> dict[str, Any]:
    """Arguments are an object, also where the schema leaves its type out, and hold nothing where
    it declares that they have no properties."""
    if not {"type", "$ref", "anyOf", "oneOf", "allOf"} & schema.keys():
        schema = {"type": "object", **schema}
    if schema.get("properties") == {}:
        schema = {"additionalProperties": False, **schema}
    return schema


def tool_use(
    specs: list[ToolSpec], choice: str, *, parallel: bool, only: list[str] | None = None
) -> ToolUse | None:
    """What the tools of a request mean; None without any. `choice` is as in ToolUse, `only` names
    the tools that may be called. Raises ApiError."""
    if not specs:
        if choice == "required" or only is not None:
            raise refuse("tool_choice needs tools", "tool_choice")
        return None
    names = [spec.name for spec in specs]
    if len(specs) > MAX_TAGS:
        raise refuse(f"{len(specs)} tools; at most {MAX_TAGS} are allowed", "tools")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise refuse(f"two tools have the name {twice!r}", "tools")
    for name in only or ():
        if name not in names:
            raise refuse(f"tool_choice: there is no tool {name[:64]!r}", "tool_choice")
    may = tuple(spec for spec in specs if only is None or spec.name in only)
    return ToolUse(tuple(specs), may, choice, parallel)


def held_to_tools(
    tools: ToolUse | None, model: ModelInfo, form: Constraint | None, sampling: SamplingParams
) -> tuple[Constraint | None, SamplingParams]:
    """What an answer is held to, so that every call in it parses and validates, and the sampling
    that goes with it. `form` is what the request says of the answer otherwise. Raises ApiError for
    what could break a call."""
    if tools is None or (form is not None and not tools.active):
        return form, sampling
    if form is not None:
        raise refuse(
            "an answer is held to response_format or may call tools, not both; leave one out, or "
            "give tool_choice: none",
            "response_format",
        )
    if tools.active and (sampling.stop or sampling.stop_token_ids):
        raise refuse(
            "a stop could cut a tool call; leave it out, or give tool_choice: none", "stop"
        )
    constraint = tool_format_for(model).constraint(
        tools.callable if tools.active else (),
        max_calls=None if tools.parallel else 1,
        text=tools.choice != "required",
    )
    # What marks a call may be a special token.
    return constraint, replace(sampling, skip_special_tokens=False)


def conversation_parts(
    turns: list[Turn],
    model: ModelInfo,
    tools: ToolUse | None = None,
    *,
    add_generation_prompt: bool = True,
    constrained: bool = False,
    continue_last: bool = False,
) -> list[Part]:
    """The prompt: only the template's and the tool format's own text is markup, contents never are.
    Raises ApiError.

    constrained: the answer's form leaves no room for thinking, so where the template opens
    thinking it is closed at once. continue_last: an assistant's turn at the end is the beginning
    of the answer.
    """
    roles = model.role_markup
    if roles is None:
        raise refuse(
            f"the model {model.name!r} has no chat template that can be used; "
            f"send a prompt to /v1/completions",
            "messages",
        )
    if not turns:
        raise refuse("messages is empty; give at least one message", "messages")
    if len(turns) > MAX_TURNS:
        raise refuse(f"{len(turns)} messages; at most {MAX_TURNS} are allowed", "messages")
    turns = list(turns)
    if turns[0].role != "system" and model.default_system_prompt is not None:
        turns.insert(0, Turn("system", model.default_system_prompt, "messages"))
    elif turns[0].role != "system" and tools is not None and "system" in roles:
        turns.insert(0, Turn("system", "", "messages"))
    tool_format = tool_format_for(model)
    listing = _listing(tools, tool_format)
    shown_in = 0 if "system" in roles else _first_user(turns)
    parts: list[Part] = []
    for index, turn in enumerate(turns):
        prefix, suffix = roles[_role(turn, roles)]
        parts += [Text(prefix, markup=True), Text(turn.text)]
        if listing and index == shown_in:
            parts += [Text(tool_format.tools_joint), *listing] if turn.text else listing
        if turn.calls:
            parts += [Text(text, markup) for text, markup in tool_format.pieces(turn.calls)]
        if continue_last and turn is turns[-1] and turn.role == "assistant" and not turn.calls:
            return parts
        parts.append(Text(suffix, markup=True))
    if add_generation_prompt:
        parts.append(Text(_opening(model, roles["assistant"][0], constrained), markup=True))
    return parts


def _opening(model: ModelInfo, prefix: str, constrained: bool) -> str:
    """What stands in front of the answer."""
    if constrained and model.reasoning_tags is not None:
        reasoning = detected_format(model.reasoning_tags, prefix)
        if reasoning.starts_inside:
            return f"{prefix.rstrip()}\n\n{reasoning.end}\n\n"
    return prefix


def _role(turn: Turn, roles: dict[str, tuple[str, str]]) -> str:
    if turn.role in roles:
        return turn.role
    # Templates without results of tools have them from the user.
    if turn.role == "tool" and "user" in roles:
        return "user"
    raise refuse(
        f"the model's chat template has no role {turn.role!r}; it has: {', '.join(roles)}",
        f"{turn.place}.role",
    )


def _first_user(turns: list[Turn]) -> int:
    return next((index for index, turn in enumerate(turns) if turn.role == "user"), 0)


def _listing(tools: ToolUse | None, tool_format: ToolFormat) -> list[Part]:
    if tools is None:
        return []
    try:
        # A pattern from a client may take any time to try.
        pieces = tool_format.listing(tools.shown, match_patterns=False)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        # A schema that is none: the outline trusts its shape.
        raise refuse(
            f"a tool's parameters cannot be shown to the model: {error!r:.200}", "tools"
        ) from None
    return [Text(text, markup) for text, markup in pieces]


def checked_arguments(text: str, place: str) -> str:
    """The JSON text of a call's arguments, as it came. Raises ApiError when it is no object."""
    text = text.strip() or "{}"
    try:
        msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        raise refuse("the arguments of a call are the JSON text of an object", place) from None
    return text
