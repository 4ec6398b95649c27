"""/v1/chat/completions."""

from __future__ import annotations

import secrets
from typing import Any, Final, Literal

import msgspec
from fastapi import FastAPI, Request
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

from ...protocol import Chunk, Done, Generate, LogprobParams, Part, TokenLogprob
from ...tokenizer import Tokenizer
from . import body as bodies
from .answer import EventStream, complete, event
from .errors import refuse
from .link import Arrival, Link
from .messages import Message, chat_parts
from .metrics import Metrics
from .openai_fields import (
    CommonRequest,
    UsageBody,
    check_common,
    constraint_of,
    finish_reason,
    finite,
    now,
    refuse_fields,
    sampling_of,
    token_text,
    usage_of,
)
from .schema import describe, json_response

NAMES: Final = {"prompt": "messages"}
_UNSUPPORTED: Final = {
    "tools": "this server has no tool calls over HTTP",
    "functions": "this server has no tool calls over HTTP",
    "function_call": "this server has no tool calls over HTTP",
    "audio": "the model reads and writes text",
    "prediction": "outputs are not predicted",
    "reasoning_effort": "the model has no such setting",
    "verbosity": "the model has no such setting",
    "web_search_options": "no URL is ever fetched",
    "store": "nothing is stored",
}


class ChatRequest(CommonRequest, kw_only=True, forbid_unknown_fields=True):
    """A conversation to continue. `max_tokens` is the older name of `max_completion_tokens`;
    without either the answer may fill the context."""

    messages: list[Message]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None

    modalities: list[Literal["text"]] | None = None
    parallel_tool_calls: bool | None = None
    tool_choice: Literal["none", "auto"] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None

    tools: Any = None
    functions: Any = None
    function_call: Any = None
    audio: Any = None
    prediction: Any = None
    reasoning_effort: Any = None
    verbosity: Any = None
    web_search_options: Any = None
    store: Any = None


class TopLogprob(Struct, frozen=True):
    """One of the likeliest tokens at a position."""

    token: str
    logprob: float
    bytes: list[int]


class ChatTokenLogprob(Struct, frozen=True):
    """A token of the answer with its natural log probability before temperature and masks."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class ChatLogprobs(Struct, frozen=True):
    """One entry for each token of the content."""

    content: list[ChatTokenLogprob]
    refusal: None = None


class AnswerMessage(Struct, frozen=True):
    """What the model said."""

    content: str
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class ChatChoice(Struct, frozen=True):
    """One of the `n` answers."""

    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: Literal["stop", "length"]


class ChatCompletion(Struct, frozen=True):
    """A whole answer."""

    id: str
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageBody
    object: Literal["chat.completion"] = "chat.completion"
    system_fingerprint: None = None


class Delta(Struct, frozen=True, omit_defaults=True):
    """What a stream's event adds to the message."""

    content: str | UnsetType = UNSET
    role: str | UnsetType = UNSET


class ChunkChoice(Struct, frozen=True):
    """An event's news of one of the `n` answers."""

    index: int
    delta: Delta
    logprobs: ChatLogprobs | None = None
    finish_reason: Literal["stop", "length"] | None = None


class ChatChunk(Struct, frozen=True):
    """One event of a stream."""

    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: UsageBody | UnsetType | None = UNSET
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"


_DECODER: Final = msgspec.json.Decoder(ChatRequest)


def add_chat_routes(app: FastAPI, link: Link, metrics: Metrics) -> None:
    """`link` leads to the runtime."""

    @app.post("/v1/chat/completions", **describe(ChatCompletion, body=ChatRequest, stream=True))
    async def chat_completions(request: Request) -> Response:
        """Continue a conversation."""
        body = await bodies.read(request, _DECODER)
        model, tokenizer = link.require()
        check_common(body, model)
        generate = generate_of(body, chat_parts(body.messages, model), request)
        if body.stream:
            writer = ChatWriter(body, model.name, tokenizer)
            return EventStream(link, metrics, [generate], writer, NAMES)
        [done] = await complete(request, link, metrics, [generate])
        return json_response(
            ChatCompletion(
                id=_new_id(),
                created=now(),
                model=model.name,
                choices=[
                    ChatChoice(
                        index,
                        AnswerMessage(output.text),
                        chat_logprobs(output.logprobs, tokenizer),
                        finish_reason(output.finish_reason),
                    )
                    for index, output in enumerate(done.outputs)
                ],
                usage=usage_of([done]),
            )
        )


def generate_of(body: ChatRequest, prompt: list[Part], request: Request) -> Generate:
    """The call on the wire. Raises ApiError for what this API does not have."""
    refuse_fields(body, _UNSUPPORTED)
    if body.top_logprobs is not None and not body.logprobs:
        raise refuse("top_logprobs needs logprobs: true", "top_logprobs")
    if None not in (body.max_tokens, body.max_completion_tokens):
        raise refuse("give max_completion_tokens or max_tokens, not both", "max_tokens")
    most = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    return Generate(
        rid="-",
        prompt=prompt,
        sampling=sampling_of(body, most),
        constraint=constraint_of(body.response_format),
        logprobs=LogprobParams(top=body.top_logprobs or 0) if body.logprobs else None,
        stream=bool(body.stream),
        namespace=request.scope["state"]["namespace"],
    )


class ChatWriter:
    """The events of one conversation's stream."""

    def __init__(self, body: ChatRequest, model: str, tokenizer: Tokenizer) -> None:
        self._id = _new_id()
        self._created = now()
        self._model = model
        self._tokenizer = tokenizer
        self._with_usage = bool(body.stream_options and body.stream_options.include_usage)
        self._n = body.n or 1
        self._opened = False

    def events(self, arrivals: list[Arrival]) -> bytes:
        events = b""
        if not self._opened:
            self._opened = True
            opening = Delta(content="", role="assistant")
            for index in range(self._n):
                events += self._event([ChunkChoice(index, opening)])
        for _, message in arrivals:
            if isinstance(message, Chunk):
                logprobs = chat_logprobs(message.logprobs, self._tokenizer)
                delta = Delta(content=message.text)
                events += self._event([ChunkChoice(message.index, delta, logprobs)])
            elif isinstance(message, Done):
                for index, output in enumerate(message.outputs):
                    reason = finish_reason(output.finish_reason)
                    events += self._event([ChunkChoice(index, Delta(), None, reason)])
                if self._with_usage:
                    events += self._event([], usage_of([message]))
        return events

    def _event(self, choices: list[ChunkChoice], usage: UsageBody | None = None) -> bytes:
        shown = usage if self._with_usage else UNSET
        return event(ChatChunk(self._id, self._created, self._model, choices, shown))


def chat_logprobs(logprobs: list[TokenLogprob] | None, tokenizer: Tokenizer) -> ChatLogprobs | None:
    """OpenAI's form of log probabilities; None where none were asked for."""
    if logprobs is None:
        return None
    content = []
    for entry in logprobs:
        text, exact = token_text(tokenizer, entry.token_id)
        top = []
        for logprob, token_id, _ in entry.top:
            top_text, top_exact = token_text(tokenizer, token_id)
            top.append(TopLogprob(top_text, finite(logprob), list(top_exact)))
        content.append(ChatTokenLogprob(text, finite(entry.logprob), list(exact), top))
    return ChatLogprobs(content)


def _new_id() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"
