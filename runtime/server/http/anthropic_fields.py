"""Anthropic's request, and what it becomes on the wire. Used by anthropic.py."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from ...protocol import Constraint, Generate, JsonSchema, ModelInfo, Part, SamplingParams
from ...tool_formats import RawCall
from .conversation import (
    ToolUse,
    Turn,
    conversation_parts,
    held_to_tools,
    tool_spec,
    tool_use,
)
from .errors import refuse
from .openai_fields import check_model, refuse_fields
from .outputs import Reading, reading_of

NAMES: Final = {"prompt": "messages", "stop": "stop_sequences", "constraint": "output_config"}
_UNSUPPORTED: Final = {
    "container": "code is not executed",
    "mcp_servers": "no URL is ever fetched",
}
_TEXT_ONLY: Final = "the model reads text only, and no URL is ever fetched"


# Blocks of earlier answers come back with whatever fields the client's package knows.


class TextBlock(Struct, tag_field="type", tag="text"):
    """A piece of text. Prefixes are cached without being asked."""

    text: str


class ThinkingBlock(Struct, tag_field="type", tag="thinking"):
    """Thinking of an earlier answer, which is not shown to the model."""

    thinking: str


class ToolUseBlock(Struct, tag_field="type", tag="tool_use"):
    """A call of an earlier answer."""

    id: str
    name: str
    input: dict[str, Any]


class ToolResultBlock(Struct, tag_field="type", tag="tool_result"):
    """What came of a call."""

    tool_use_id: str
    content: str | list[TextBlock | ImageBlock] | None = None


class ImageBlock(Struct, tag_field="type", tag="image"):
    """Refused: the model reads text."""


class DocumentBlock(Struct, tag_field="type", tag="document"):
    """Refused: the model reads text."""


Block = TextBlock | ThinkingBlock | ToolUseBlock | ToolResultBlock | ImageBlock | DocumentBlock


class AnthropicMessage(Struct, forbid_unknown_fields=True):
    """One turn. An assistant's turn at the end is the beginning of the answer."""

    role: Literal["system", "user", "assistant"]
    content: str | list[Block]


class AnthropicTool(Struct, forbid_unknown_fields=True):
    """A tool of the client's own."""

    name: str
    input_schema: dict[str, Any]
    description: str | None = None
    type: Literal["custom"] | None = None
    strict: bool | None = None
    cache_control: Any = None
    eager_input_streaming: bool | None = None


class AutoChoice(Struct, tag_field="type", tag="auto", forbid_unknown_fields=True):
    """Calls or not, as the model likes."""

    disable_parallel_tool_use: bool = False


class AnyChoice(Struct, tag_field="type", tag="any", forbid_unknown_fields=True):
    """At least one call."""

    disable_parallel_tool_use: bool = False


class NamedChoice(Struct, tag_field="type", tag="tool", forbid_unknown_fields=True):
    """A call of this tool."""

    name: str
    disable_parallel_tool_use: bool = False


class NoChoice(Struct, tag_field="type", tag="none", forbid_unknown_fields=True):
    """No call."""


class JsonOutput(Struct, tag_field="type", tag="json_schema", forbid_unknown_fields=True):
    """JSON that validates against a schema."""

    schema: msgspec.Raw


class OutputConfig(Struct, forbid_unknown_fields=True):
    """The answer's form. `effort` has no effect."""

    format: JsonOutput | None = None
    effort: str | None = None


class Thinking(Struct, forbid_unknown_fields=True):
    """Whether the answer shows thinking, where the model thinks. Budgets have no effect."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: int | None = None
    display: str | None = None


class CountRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """A conversation whose tokens are counted. The last block has no effect here."""

    messages: list[AnthropicMessage]
    model: str | None = None
    system: str | list[TextBlock] | None = None
    tools: list[AnthropicTool] | None = None
    tool_choice: AutoChoice | AnyChoice | NamedChoice | NoChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None

    container: Any = None
    mcp_servers: Any = None

    cache_control: Any = None


class AnthropicRequest(CountRequest, kw_only=True, forbid_unknown_fields=True):
    """A conversation to continue. The last block has no effect here."""

    max_tokens: int
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None

    metadata: dict[str, Any] | None = None
    service_tier: str | None = None


def generate_of(
    body: AnthropicRequest, model: ModelInfo, namespace: str
) -> tuple[Generate, Reading]:
    """The call on the wire, and how what comes is read. Raises ApiError."""
    given = {
        "max_new_tokens": body.max_tokens,
        "temperature": body.temperature,
        "top_k": body.top_k,
        "top_p": body.top_p,
        "stop": body.stop_sequences,
    }
    sampling = SamplingParams(**{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
    prompt, constraint, sampling, tools = prompt_of(body, model, sampling)
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


def prompt_of(
    body: CountRequest, model: ModelInfo, sampling: SamplingParams
) -> tuple[list[Part], Constraint | None, SamplingParams, ToolUse | None]:
    """The prompt, and what the answer is held to. Raises ApiError."""
    refuse_fields(body, _UNSUPPORTED)
    check_model(body.model, model)
    tools = _tools_of(body)
    form = body.output_config.format if body.output_config is not None else None
    wanted = JsonSchema(bytes(form.schema).decode()) if form is not None else None
    constraint, sampling = held_to_tools(tools, model, wanted, sampling)
    prompt = conversation_parts(
        _turns_of(body),
        model,
        tools,
        constrained=constraint is not None or not shows_thinking(body),
        continue_last=True,
    )
    return prompt, constraint, sampling, tools


def shows_thinking(body: CountRequest) -> bool:
    """Whether the answer has blocks of thinking."""
    return body.thinking is not None and body.thinking.type != "disabled"


def _tools_of(body: CountRequest) -> ToolUse | None:
    specs = [
        tool_spec(tool.name, tool.description, tool.input_schema, f"tools.{index}")
        for index, tool in enumerate(body.tools or ())
    ]
    match body.tool_choice:
        case NamedChoice(name=name):
            return tool_use(specs, "required", parallel=False, only=[name])
        case AnyChoice(disable_parallel_tool_use=single):
            return tool_use(specs, "required", parallel=not single)
        case AutoChoice(disable_parallel_tool_use=single):
            return tool_use(specs, "auto", parallel=not single)
        case NoChoice():
            return tool_use(specs, "none", parallel=True)
        case _:
            return tool_use(specs, "auto", parallel=True)


def _turns_of(body: CountRequest) -> list[Turn]:
    turns = []
    if body.system:
        turns.append(Turn("system", _joined(body.system, "system"), "system"))
    for index, message in enumerate(body.messages):
        turns += _turns(message, f"messages.{index}")
    return turns


def _turns(message: AnthropicMessage, place: str) -> list[Turn]:
    """A message as turns: results of tools are turns of their own."""
    if isinstance(message.content, str):
        return [Turn(message.role, message.content, place)]
    turns: list[Turn] = []
    texts: list[str] = []
    calls: list[RawCall] = []
    for number, block in enumerate(message.content):
        where = f"{place}.content.{number}"
        match block:
            case TextBlock(text=text):
                texts.append(text)
            case ThinkingBlock() if message.role == "assistant":
                pass
            case ToolUseBlock(name=name, input=arguments) if message.role == "assistant":
                calls.append(RawCall(name, msgspec.json.encode(arguments).decode()))
            case ToolResultBlock(content=content) if message.role == "user":
                turns.append(Turn("tool", _joined(content or "", where), where))
            case ImageBlock() | DocumentBlock():
                raise refuse(_TEXT_ONLY, where)
            case _:
                raise refuse(f"a message of the role {message.role} has no such block", where)
    if texts or calls or not turns:
        turns.append(Turn(message.role, "".join(texts), place, tuple(calls)))
    return turns


def _joined(content: str | list[Any], place: str) -> str:
    if isinstance(content, str):
        return content
    if any(isinstance(block, ImageBlock) for block in content):
        raise refuse(_TEXT_ONLY, place)
    return "".join(block.text for block in content)
