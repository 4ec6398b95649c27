"""The request of OpenAI's /v1/responses, and what it becomes on the wire. Used by responses.py."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from ...protocol import (
    MAX_NEW_TOKENS,
    Constraint,
    Generate,
    JsonSchema,
    ModelInfo,
    SamplingParams,
)
from ...tool_formats import RawCall
from .conversation import (
    ToolUse,
    Turn,
    checked_arguments,
    conversation_parts,
    held_to_tools,
    tool_spec,
    tool_use,
)
from .errors import refuse
from .formats import JsonObjectFormat, TextFormat, constraint_of
from .openai_fields import (
    StreamOptions,
    check_model,
    refuse_fields,
)
from .outputs import Reading, reading_of

NAMES: Final = {
    "prompt": "input",
    "max_new_tokens": "max_output_tokens",
    "constraint": "text.format",
}
_NOT_STORED: Final = "nothing is stored; send the whole conversation as input"
_UNSUPPORTED: Final = {
    "previous_response_id": _NOT_STORED,
    "conversation": _NOT_STORED,
    "store": _NOT_STORED,
    "background": "answers are given at once or as a stream",
    "prompt": "there are no stored prompts",
    "top_logprobs": "ask /v1/chat/completions for log probabilities",
    "max_tool_calls": "tools are called by the client",
}
# What clients ask to be included that this server has nothing of.
_NO_EFFECT: Final = "reasoning.encrypted_content"

Item = TypeVar("Item", bound=Struct)


class ResponseFunction(Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    """A function that the model may call; functions are the only kind of tool."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseNamedTool(Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    """The function that must be called, or one of those that may be."""

    name: str


class ResponseAllowedTools(
    Struct, tag_field="type", tag="allowed_tools", forbid_unknown_fields=True
):
    """Only some of the functions may be called."""

    mode: Literal["auto", "required"]
    tools: list[ResponseNamedTool]


class ResponseJsonSchema(Struct, tag_field="type", tag="json_schema", forbid_unknown_fields=True):
    """JSON that validates against a schema, whatever `strict` says."""

    schema: dict[str, Any]
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseText(Struct, forbid_unknown_fields=True):
    """The answer's form. `verbosity` has no effect."""

    format: TextFormat | JsonObjectFormat | ResponseJsonSchema | None = None
    verbosity: str | None = None


class ResponseRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """A text, or the items of a conversation: messages, calls and their results. The last block is
    taken and has no effect."""

    input: str | list[dict[str, Any]]
    model: str | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool | None = None
    tools: list[ResponseFunction] | None = None
    tool_choice: (
        Literal["none", "auto", "required"] | ResponseNamedTool | ResponseAllowedTools | None
    ) = None
    parallel_tool_calls: bool | None = None
    text: ResponseText | None = None
    truncation: Literal["disabled"] | None = None
    include: list[str] | None = None

    previous_response_id: Any = None
    conversation: Any = None
    store: Any = None
    background: Any = None
    prompt: Any = None
    top_logprobs: Any = None
    max_tool_calls: Any = None

    metadata: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None


class _Content(Struct):
    """A piece of a message, or of a result."""

    type: str
    text: str | None = None
    refusal: str | None = None


class _MessageItem(Struct):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Content]


class _CallItem(Struct):
    name: str
    arguments: str
    call_id: str


class _ResultItem(Struct):
    call_id: str
    output: str | list[_Content]


def generate_of(
    body: ResponseRequest, model: ModelInfo, namespace: str
) -> tuple[Generate, Reading]:
    """The call on the wire, and how what comes is read. Raises ApiError."""
    refuse_fields(body, _UNSUPPORTED)
    check_model(body.model, model)
    for name in body.include or ():
        if name != _NO_EFFECT:
            raise refuse(f"include: there is no {name[:64]!r} here", "include")
    most = MAX_NEW_TOKENS if body.max_output_tokens is None else body.max_output_tokens
    given = {"max_new_tokens": most, "temperature": body.temperature, "top_p": body.top_p}
    sampling = SamplingParams(**{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
    tools = _tools_of(body)
    constraint, sampling = held_to_tools(tools, model, _form_of(body), sampling)
    prompt = conversation_parts(_turns_of(body), model, tools, constrained=constraint is not None)
    generate = Generate(
        rid="-",
        prompt=prompt,
        sampling=sampling,
        constraint=constraint,
        stream=bool(body.stream),
        namespace=namespace,
    )
    calls = tools is not None and tools.active
    return generate, reading_of(model, calls=calls, constrained=constraint is not None)


def _form_of(body: ResponseRequest) -> Constraint | None:
    form = body.text.format if body.text is not None else None
    if isinstance(form, ResponseJsonSchema):
        return JsonSchema(msgspec.json.encode(form.schema).decode())
    return constraint_of(form)


def _tools_of(body: ResponseRequest) -> ToolUse | None:
    specs = [
        tool_spec(tool.name, tool.description, tool.parameters, f"tools.{index}")
        for index, tool in enumerate(body.tools or ())
    ]
    several = body.parallel_tool_calls is not False
    match body.tool_choice:
        case ResponseNamedTool(name=name):
            return tool_use(specs, "required", parallel=False, only=[name])
        case ResponseAllowedTools(mode=mode, tools=allowed):
            if not allowed:
                raise refuse("allowed_tools names no tool", "tool_choice.tools")
            only = [tool.name for tool in allowed]
            return tool_use(specs, mode, parallel=several, only=only)
        case choice:
            return tool_use(specs, choice or "auto", parallel=several)


def _turns_of(body: ResponseRequest) -> list[Turn]:
    turns = []
    if body.instructions:
        turns.append(Turn("system", body.instructions, "instructions"))
    if isinstance(body.input, str):
        return [*turns, Turn("user", body.input, "input")]
    if not body.input:
        raise refuse("input is empty; give a text or at least one item", "input")
    for index, item in enumerate(body.input):
        turn = _turn(item, f"input.{index}")
        last = turns[-1] if turns else None
        if turn is None:
            continue
        if turn.calls and last is not None and last.role == "assistant":
            # The items of one answer are one turn.
            turns[-1] = Turn("assistant", last.text, last.place, last.calls + turn.calls)
        else:
            turns.append(turn)
    return turns


def _turn(item: dict[str, Any], place: str) -> Turn | None:
    """An item as a turn; None for thinking, which is not shown to the model."""
    match item.get("type", "message"):
        case "message":
            message = _as(_MessageItem, item, place)
            role = "system" if message.role == "developer" else message.role
            return Turn(role, _joined(message.content, place), place)
        case "function_call":
            call = _as(_CallItem, item, place)
            arguments = checked_arguments(call.arguments, f"{place}.arguments")
            return Turn("assistant", "", place, (RawCall(call.name, arguments),))
        case "function_call_output":
            result = _as(_ResultItem, item, place)
            return Turn("tool", _joined(result.output, place), place)
        case "reasoning":
            return None
        case kind:
            raise refuse(
                f"an item of the type {str(kind)[:64]!r}; known are message, function_call, "
                f"function_call_output and reasoning",
                f"{place}.type",
            )


def _joined(content: str | list[_Content], place: str) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for number, piece in enumerate(content):
        text = piece.refusal if piece.type == "refusal" else piece.text
        if piece.type not in ("input_text", "output_text", "refusal") or text is None:
            raise refuse(
                f"content of the type {piece.type[:64]!r}: the model reads text only, and no URL "
                f"is ever fetched",
                f"{place}.content.{number}",
            )
        texts.append(text)
    return "".join(texts)


def _as(kind: type[Item], item: dict[str, Any], place: str) -> Item:
    try:
        return msgspec.convert(item, kind)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        raise refuse(f"{place}{where.rstrip('`')}: {reason}", place) from None
