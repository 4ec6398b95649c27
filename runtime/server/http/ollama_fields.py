"""Ollama's requests, and what they become on the wire. Used by ollama.py."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from ...protocol import (
    MAX_NEW_TOKENS,
    Constraint,
    Generate,
    JsonSchema,
    ModelInfo,
    Part,
    SamplingParams,
    Text,
)
from ...tool_formats import RawCall
from .conversation import Turn, conversation_parts, held_to_tools
from .errors import refuse
from .openai_fields import check_model, refuse_fields
from .outputs import Reading, reading_of
from .tool_fields import FunctionTool, tool_use_of

NAMES: Final = {
    "max_new_tokens": "options.num_predict",
    "prompt": "messages",
    "repetition_penalty": "options.repeat_penalty",
    "constraint": "format",
}
_IMAGES: Final = "the model reads text only"
_UNSUPPORTED: Final = {
    "images": _IMAGES,
    "suffix": "the model continues a text and cannot fill a gap in one",
    "template": "the model's own chat template is used; send raw: true for none",
    "context": "nothing is stored; send the whole conversation to /api/chat",
}
# Seconds, or one of Go's durations.
_AT_ONCE: Final = ("0", "0.0", "0s", "0m", "0h")


class OllamaOptions(Struct, kw_only=True, forbid_unknown_fields=True):
    """How tokens are chosen. `num_predict` -1 or -2 fills the context. The last block is about how
    Ollama runs models, and has no effect."""

    num_predict: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None

    num_ctx: int | None = None
    num_keep: int | None = None
    num_batch: int | None = None
    num_gpu: int | None = None
    main_gpu: int | None = None
    num_thread: int | None = None
    use_mmap: bool | None = None
    low_vram: bool | None = None
    numa: bool | None = None
    repeat_last_n: int | None = None


class OllamaRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """What both routes share. `format` is "json" or a JSON Schema. `keep_alive` has no effect but
    on what is answered where no text is asked for: the model stays."""

    model: str
    stream: bool = True
    format: Literal["json", ""] | dict[str, Any] | None = None
    options: OllamaOptions | None = None
    think: bool | str | None = None
    keep_alive: Any = None


class OllamaFunctionCall(Struct):
    """A call of an earlier answer."""

    name: str
    arguments: dict[str, Any] = {}


class OllamaToolCall(Struct):
    """The same."""

    function: OllamaFunctionCall


class OllamaMessage(Struct, kw_only=True, forbid_unknown_fields=True):
    """One turn. Thinking of earlier answers is not shown to the model."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    thinking: str | None = None
    tool_calls: list[OllamaToolCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    name: str | None = None
    images: Any = None


class OllamaChat(OllamaRequest, kw_only=True, forbid_unknown_fields=True):
    """A conversation to continue; with none the model is "loaded"."""

    messages: list[OllamaMessage] | None = None
    tools: list[FunctionTool] | None = None


class OllamaGenerate(OllamaRequest, kw_only=True, forbid_unknown_fields=True):
    """A prompt to answer; with `raw` to continue as it is; with none the model is "loaded"."""

    prompt: str | None = None
    system: str | None = None
    raw: bool = False

    images: Any = None
    suffix: Any = None
    template: Any = None
    context: Any = None


def load_asked(
    body: OllamaChat | OllamaGenerate, model: ModelInfo
) -> Literal["load", "unload"] | None:
    """What Ollama's clients ask of a model with no prompt; None where there is one. Raises ApiError
    for another model and for fields that this server does not have."""
    # Ollama's clients add a tag where the user gave none.
    check_model(body.model.removesuffix(":latest"), model)
    if isinstance(body, OllamaGenerate):
        refuse_fields(body, _UNSUPPORTED)
    if body.messages if isinstance(body, OllamaChat) else body.prompt:
        return None
    return "unload" if str(body.keep_alive) in _AT_ONCE else "load"


def chat_call(body: OllamaChat, model: ModelInfo, namespace: str) -> tuple[Generate, Reading]:
    """The call on the wire, and how what comes is read, where `load_asked` is None. Raises
    ApiError."""
    tools = tool_use_of(body.tools, None, None)
    constraint, sampling = held_to_tools(tools, model, _form_of(body), _sampling_of(body))
    messages = body.messages or ()
    turns = [_turn(message, f"messages.{index}") for index, message in enumerate(messages)]
    constrained = constraint is not None or body.think is False
    prompt = conversation_parts(turns, model, tools, constrained=constrained)
    generate = _generate(body, prompt, constraint, sampling, namespace)
    return generate, reading_of(
        model, calls=tools is not None and tools.active, constrained=constraint is not None
    )


def generate_call(
    body: OllamaGenerate, model: ModelInfo, namespace: str
) -> tuple[Generate, Reading]:
    """The same for a prompt."""
    text = body.prompt or ""
    form = _form_of(body)
    chats = not body.raw and model.role_markup is not None
    if chats:
        turns = [Turn("system", body.system, "system")] if body.system else []
        turns.append(Turn("user", text, "prompt"))
        constrained = form is not None or body.think is False
        prompt = conversation_parts(turns, model, constrained=constrained)
    elif body.system:
        raise refuse("a prompt that is continued as it is has no system message", "system")
    else:
        prompt = [Text(text)]
    generate = _generate(body, prompt, form, _sampling_of(body), namespace)
    return generate, reading_of(model, calls=False, constrained=form is not None or not chats)


def _generate(
    body: OllamaRequest,
    prompt: list[Part],
    constraint: Constraint | None,
    sampling: SamplingParams,
    namespace: str,
) -> Generate:
    return Generate(
        rid="-",
        prompt=prompt,
        sampling=sampling,
        constraint=constraint,
        stream=body.stream,
        namespace=namespace,
    )


def _form_of(body: OllamaRequest) -> Constraint | None:
    if not body.format:
        return None
    schema = {"type": "object"} if body.format == "json" else body.format
    return JsonSchema(msgspec.json.encode(schema).decode())


def _sampling_of(body: OllamaRequest) -> SamplingParams:
    options = body.options or OllamaOptions()
    most = options.num_predict
    given: dict[str, Any] = {
        "max_new_tokens": MAX_NEW_TOKENS if most is None or most < 0 else most,
        "temperature": options.temperature,
        "top_k": options.top_k,
        "top_p": options.top_p,
        "min_p": options.min_p,
        "seed": options.seed,
        "stop": [options.stop] if isinstance(options.stop, str) else options.stop,
        "repetition_penalty": options.repeat_penalty,
        "presence_penalty": options.presence_penalty,
        "frequency_penalty": options.frequency_penalty,
    }
    return SamplingParams(**{name: value for name, value in given.items() if value is not None})


def _turn(message: OllamaMessage, place: str) -> Turn:
    if message.images:
        raise refuse(_IMAGES, f"{place}.images")
    calls = tuple(
        RawCall(call.function.name, msgspec.json.encode(call.function.arguments).decode())
        for call in message.tool_calls or ()
    )
    if calls and message.role != "assistant":
        raise refuse("tool_calls belong to a message of the role assistant", place)
    return Turn(message.role, message.content, place, calls)
