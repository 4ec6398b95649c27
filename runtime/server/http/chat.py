"""/v1/chat/completions."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from fastapi import FastAPI, Request
from starlette.responses import Response

from ...protocol import Generate, LogprobParams, ModelInfo
from . import body as bodies
from .answer import EventStream, complete
from .chat_answer import ChatCompletion, ChatWriter, chat_completion
from .conversation import conversation_parts, held_to_tools
from .errors import refuse
from .link import Link
from .messages import Message, turns_of
from .metrics import Metrics
from .openai_fields import (
    CommonRequest,
    check_common,
    refuse_fields,
    sampling_of,
)
from .outputs import Reading, reading_of
from .schema import describe, json_response
from .tool_fields import FunctionTool, ToolChoice, tool_use_of

NAMES: Final = {"prompt": "messages"}
_FIXED_TEMPLATE: Final = (
    "the model's own template renders conversations, without arguments of a request; for another "
    "one render the prompt yourself and send it to /v1/completions with markup: true"
)
_UNSUPPORTED: Final = {
    "chat_template": _FIXED_TEMPLATE,
    "chat_template_kwargs": _FIXED_TEMPLATE,
    "functions": "this older kind of tools is not supported; use tools",
    "function_call": "this older kind of tools is not supported; use tool_choice",
    "audio": "the model reads and writes text",
    "prediction": "outputs are not predicted",
    "reasoning_effort": "the model has no such setting",
    "verbosity": "the model has no such setting",
    "web_search_options": "no URL is ever fetched",
    "store": "nothing is stored",
}


class ChatRequest(CommonRequest, kw_only=True, forbid_unknown_fields=True):
    """A conversation to continue. `max_tokens` is the older name of `max_completion_tokens`;
    without either the answer may fill the context. `separate_reasoning` puts a model's thinking
    into `reasoning_content`."""

    messages: list[Message]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None

    tools: list[FunctionTool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    separate_reasoning: bool = True

    modalities: list[Literal["text"]] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None

    chat_template: Any = None
    chat_template_kwargs: Any = None
    functions: Any = None
    function_call: Any = None
    audio: Any = None
    prediction: Any = None
    reasoning_effort: Any = None
    verbosity: Any = None
    web_search_options: Any = None
    store: Any = None


_DECODER: Final = msgspec.json.Decoder(ChatRequest)


def add_chat_routes(app: FastAPI, link: Link, metrics: Metrics) -> None:
    """`link` leads to the runtime."""

    @app.post("/v1/chat/completions", **describe(ChatCompletion, body=ChatRequest, stream=True))
    async def chat_completions(request: Request) -> Response:
        """Continue a conversation."""
        body = await bodies.read(request, _DECODER)
        model, tokenizer = link.require()
        check_common(body, model)
        generate, reading = generate_of(body, model, request.scope["state"]["namespace"])
        if body.stream:
            with_usage = bool(body.stream_options and body.stream_options.include_usage)
            n = generate.sampling.n
            writer = ChatWriter(reading, model.name, tokenizer, n=n, with_usage=with_usage)
            return EventStream(link, metrics, [generate], writer, NAMES)
        [done] = await complete(request, link, metrics, [generate])
        return json_response(chat_completion(done, reading, model.name, tokenizer))


def generate_of(body: ChatRequest, model: ModelInfo, namespace: str) -> tuple[Generate, Reading]:
    """The call on the wire, and how what comes is read. Raises ApiError for what this API does not
    have."""
    refuse_fields(body, _UNSUPPORTED)
    if body.top_logprobs is not None and not body.logprobs:
        raise refuse("top_logprobs needs logprobs: true", "top_logprobs")
    if None not in (body.max_tokens, body.max_completion_tokens):
        raise refuse("give max_completion_tokens or max_tokens, not both", "max_tokens")
    most = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    tools = tool_use_of(body.tools, body.tool_choice, body.parallel_tool_calls)
    sampling = sampling_of(body, most)
    form = body.constraint()
    constraint, sampling = held_to_tools(tools, model, form, sampling)
    prompt = conversation_parts(
        turns_of(body.messages), model, tools, constrained=constraint is not None
    )
    generate = Generate(
        rid="-",
        prompt=prompt,
        sampling=sampling,
        constraint=constraint,
        logprobs=LogprobParams(top=body.top_logprobs or 0) if body.logprobs else None,
        stream=bool(body.stream),
        namespace=namespace,
    )
    calls = tools is not None and tools.active
    constrained = constraint is not None or not body.separate_reasoning
    return generate, reading_of(model, calls=calls, constrained=constrained)
