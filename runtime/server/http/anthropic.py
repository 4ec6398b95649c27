"""/v1/messages: Anthropic's API."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

import msgspec
from fastapi import FastAPI, Request
from msgspec import Struct
from starlette.responses import Response

from ...protocol import Chunk, Done, Output, SamplingParams, Usage
from . import body as bodies
from .answer import SSE_WITHOUT_DONE, EventStream, complete
from .anthropic_fields import (
    NAMES,
    AnthropicRequest,
    CountRequest,
    generate_of,
    prompt_of,
    shows_thinking,
)
from .errors import AnthropicErrorBody
from .link import Arrival, Link
from .metrics import Metrics
from .outputs import OutputEvent, OutputReader, Reading, new_id
from .schema import BODY_ERRORS, describe, json_response

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]
_COUNT: Final = msgspec.json.Decoder(CountRequest)
_MESSAGE: Final = msgspec.json.Decoder(AnthropicRequest)


class TextAnswer(Struct, frozen=True, tag_field="type", tag="text"):
    """Text of the answer."""

    text: str


class ThinkingAnswer(Struct, frozen=True, tag_field="type", tag="thinking"):
    """Thinking that came before. It is not signed."""

    thinking: str
    signature: str = ""


class ToolUseAnswer(Struct, frozen=True, tag_field="type", tag="tool_use"):
    """A call; `input` validates against the tool's schema."""

    id: str
    name: str
    input: msgspec.Raw


class AnthropicUsage(Struct, frozen=True):
    """Token counts; those from the radix cache are not among the `input_tokens`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0


class AnthropicAnswer(Struct, frozen=True):
    """A whole answer, or the empty one that opens a stream."""

    id: str
    model: str
    content: list[TextAnswer | ThinkingAnswer | ToolUseAnswer]
    stop_reason: StopReason | None = None
    stop_sequence: str | None = None
    usage: AnthropicUsage = AnthropicUsage()
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"


class TokenCount(Struct, frozen=True):
    """How many tokens the prompt has."""

    input_tokens: int


def add_anthropic_routes(app: FastAPI, link: Link, metrics: Metrics) -> None:
    """`link` leads to the runtime."""

    @app.post(
        "/v1/messages",
        **describe(AnthropicAnswer, body=AnthropicRequest, stream=True, error=AnthropicErrorBody),
    )
    async def messages(request: Request) -> Response:
        """Continue a conversation."""
        body = await bodies.read(request, _MESSAGE)
        model, _ = link.require()
        generate, reading = generate_of(body, model, request.scope["state"]["namespace"])
        shown = shows_thinking(body)
        if body.stream:
            writer = AnthropicWriter(reading, model.name, shown)
            return EventStream(link, metrics, [generate], writer, NAMES, SSE_WITHOUT_DONE)
        [done] = await complete(request, link, metrics, [generate])
        return json_response(_answer(done, reading, model.name, shown))

    @app.post(
        "/v1/messages/count_tokens",
        **describe(
            TokenCount, body=CountRequest, error=AnthropicErrorBody, errors=(404, *BODY_ERRORS)
        ),
    )
    async def count_tokens(request: Request) -> Response:
        """How many tokens a conversation has as a prompt."""
        body = await bodies.read(request, _COUNT)
        model, tokenizer = link.require()
        prompt, *_ = prompt_of(body, model, SamplingParams())
        ids = await asyncio.to_thread(tokenizer.encode, prompt)
        return json_response(TokenCount(len(ids)))


def _answer(done: Done, reading: Reading, model: str, shown: bool) -> AnthropicAnswer:
    [output] = done.outputs
    said = reading.read(output.text)
    content: list[TextAnswer | ThinkingAnswer | ToolUseAnswer] = []
    if said.thinking and shown:
        content.append(ThinkingAnswer(said.thinking))
    if said.text:
        content.append(TextAnswer(said.text))
    for call in said.calls:
        arguments = msgspec.Raw(call.arguments.encode())
        content.append(ToolUseAnswer(new_id("toolu"), call.name, arguments))
    reason, matched = _stop_of(output, bool(said.calls))
    return AnthropicAnswer(new_id("msg"), model, content, reason, matched, _usage_of(done.usage))


class AnthropicWriter:
    """The events of one stream: blocks that open, grow and close, one after the other."""

    def __init__(self, reading: Reading, model: str, shows_thinking: bool) -> None:
        self._reader = OutputReader(reading)
        self._model = model
        self._shows_thinking = shows_thinking
        self._opened = False
        self._num_blocks = 0
        self._block: str | None = None
        self._called = False

    def events(self, arrivals: list[Arrival]) -> bytes:
        events = b""
        if not self._opened:
            self._opened = True
            empty = AnthropicAnswer(new_id("msg"), self._model, [])
            events += _event("message_start", message=empty)
        for _, message in arrivals:
            if isinstance(message, Chunk):
                events += self._pieces(self._reader.feed(message.text))
            elif isinstance(message, Done):
                [output] = message.outputs
                events += self._pieces(self._reader.finish()) + self._close()
                reason, matched = _stop_of(output, self._called)
                delta = {"stop_reason": reason, "stop_sequence": matched}
                events += _event("message_delta", delta=delta, usage=_usage_of(message.usage))
                events += _event("message_stop")
        return events

    def _pieces(self, pieces: list[OutputEvent]) -> bytes:
        events = b""
        for kind, text, _ in pieces:
            if kind == "text":
                events += self._open(kind, {"type": "text", "text": ""})
                events += self._delta(type="text_delta", text=text)
            elif kind == "thinking" and self._shows_thinking:
                block: dict[str, Any] = {"type": "thinking", "thinking": "", "signature": ""}
                events += self._open(kind, block)
                events += self._delta(type="thinking_delta", thinking=text)
            elif kind == "name":
                self._called = True
                block = {"type": "tool_use", "id": new_id("toolu"), "name": text, "input": {}}
                events += self._close() + self._open("call", block)
            elif kind == "arguments":
                events += self._delta(type="input_json_delta", partial_json=text)
        return events

    def _open(self, kind: str, block: dict[str, Any]) -> bytes:
        """Begin a block, unless one of the kind is open."""
        if self._block == kind:
            return b""
        closing = self._close()
        self._block = kind
        return closing + _event("content_block_start", index=self._num_blocks, content_block=block)

    def _delta(self, **delta: str) -> bytes:
        return _event("content_block_delta", index=self._num_blocks, delta=delta)

    def _close(self) -> bytes:
        if self._block is None:
            return b""
        self._block = None
        self._num_blocks += 1
        return _event("content_block_stop", index=self._num_blocks - 1)


def _stop_of(output: Output, called: bool) -> tuple[StopReason, str | None]:
    if output.finish_reason == "length":
        return "max_tokens", None
    if isinstance(output.matched_stop, str):
        return "stop_sequence", output.matched_stop
    return ("tool_use" if called else "end_turn"), None


def _usage_of(usage: Usage) -> AnthropicUsage:
    fresh = usage.prompt_tokens - usage.cached_tokens
    return AnthropicUsage(fresh, usage.completion_tokens, usage.cached_tokens)


def _event(kind: str, **fields: object) -> bytes:
    data = msgspec.json.encode({"type": kind, **fields})
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
