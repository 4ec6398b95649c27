"""Ollama's API: /api/chat and /api/generate. Streams are lines of JSON, and on unless the request
says otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
from fastapi import FastAPI, Request
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

from ...protocol import Chunk, Done, Generate
from . import body as bodies
from .answer import LINES, EventStream, complete
from .errors import OllamaErrorBody
from .link import Arrival, Link
from .metrics import Metrics
from .ollama_fields import (
    NAMES,
    OllamaChat,
    OllamaGenerate,
    chat_call,
    generate_call,
    load_asked,
)
from .outputs import OutputEvent, OutputReader, Reading, Said
from .schema import describe, json_response

_CHAT: Final = msgspec.json.Decoder(OllamaChat)
_GENERATE: Final = msgspec.json.Decoder(OllamaGenerate)


class OllamaFunction(Struct, frozen=True):
    """A call's function; the arguments are an object here."""

    name: str
    arguments: msgspec.Raw


class OllamaCall(Struct, frozen=True):
    """A call that the model makes."""

    function: OllamaFunction


class OllamaSaid(Struct, frozen=True):
    """More of the answer, or all of it."""

    content: str
    thinking: str | UnsetType = UNSET
    tool_calls: list[OllamaCall] | UnsetType = UNSET
    role: Literal["assistant"] = "assistant"


class OllamaAnswer(Struct, kw_only=True):
    """An answer, or one line of a stream: `message` for a chat, else `response`. Counts and times
    in nanoseconds come with the last line."""

    model: str
    created_at: str
    message: OllamaSaid | UnsetType = UNSET
    response: str | UnsetType = UNSET
    thinking: str | UnsetType = UNSET
    done: bool = False
    done_reason: Literal["stop", "length", "load", "unload"] | UnsetType = UNSET
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET


def add_ollama_routes(app: FastAPI, link: Link, metrics: Metrics) -> None:
    """`link` leads to the runtime."""

    async def answer(
        request: Request, generate: Generate, reading: Reading, model: str, chat: bool
    ) -> Response:
        writer = OllamaWriter(reading, model, chat=chat)
        if generate.stream:
            return EventStream(link, metrics, [generate], writer, NAMES, LINES)
        [done] = await complete(request, link, metrics, [generate])
        return json_response(writer.whole(done))

    kind: dict[str, Any] = {
        "stream": True,
        "stream_type": "application/x-ndjson",
        "error": OllamaErrorBody,
    }

    @app.post("/api/chat", **describe(OllamaAnswer, body=OllamaChat, **kind))
    async def chat(request: Request) -> Response:
        """Continue a conversation."""
        body = await bodies.read(request, _CHAT)
        model, _ = link.require()
        if (asked := load_asked(body, model)) is not None:
            return json_response(_loaded(model.name, asked, message=OllamaSaid("")))
        namespace = request.scope["state"]["namespace"]
        return await answer(request, *chat_call(body, model, namespace), model.name, True)

    @app.post("/api/generate", **describe(OllamaAnswer, body=OllamaGenerate, **kind))
    async def generate(request: Request) -> Response:
        """Answer a prompt, or continue it as it is with `raw`."""
        body = await bodies.read(request, _GENERATE)
        model, _ = link.require()
        if (asked := load_asked(body, model)) is not None:
            return json_response(_loaded(model.name, asked, response=""))
        namespace = request.scope["state"]["namespace"]
        return await answer(request, *generate_call(body, model, namespace), model.name, False)


class OllamaWriter:
    """The lines of one answer; calls are told whole."""

    def __init__(self, reading: Reading, model: str, *, chat: bool) -> None:
        self._reading = reading
        self._reader = OutputReader(reading)
        self._model = model
        self._shape: Callable[[Said], OllamaAnswer] = self._as_chat if chat else self._as_text
        self._said = Said()
        self._started_s = time.monotonic()

    def events(self, arrivals: list[Arrival]) -> bytes:
        lines = b""
        for _, message in arrivals:
            if isinstance(message, Chunk):
                lines += self._lines(self._reader.feed(message.text))
            elif isinstance(message, Done):
                lines += self._lines(self._reader.finish())
                # Calls whose arguments are whole now.
                last = self._ended(self._shape(Said(calls=self._said.calls)), message)
                lines += msgspec.json.encode(last) + b"\n"
        return lines

    def whole(self, done: Done) -> OllamaAnswer:
        """Everything at once. Raises RequestError."""
        return self._ended(self._shape(self._reading.read(done.outputs[0].text)), done)

    def _lines(self, pieces: list[OutputEvent]) -> bytes:
        lines = b""
        for piece in pieces:
            if piece.kind in ("name", "arguments"):
                self._said.add(piece)
            else:
                said = Said()
                said.add(piece)
                lines += msgspec.json.encode(self._shape(said)) + b"\n"
        return lines

    def _as_chat(self, said: Said) -> OllamaAnswer:
        calls = [
            OllamaCall(OllamaFunction(call.name, msgspec.Raw(call.arguments.encode())))
            for call in said.calls
        ]
        message = OllamaSaid(said.text, said.thinking or UNSET, calls or UNSET)
        return OllamaAnswer(model=self._model, created_at=_now(), message=message)

    def _as_text(self, said: Said) -> OllamaAnswer:
        return OllamaAnswer(
            model=self._model,
            created_at=_now(),
            response=said.text,
            thinking=said.thinking or UNSET,
        )

    def _ended(self, answer: OllamaAnswer, done: Done) -> OllamaAnswer:
        total_s = time.monotonic() - self._started_s
        first_s = min(done.usage.first_token_s or 0.0, total_s)
        answer.done = True
        answer.done_reason = "length" if done.outputs[0].finish_reason == "length" else "stop"
        answer.total_duration = int(total_s * 1e9)
        answer.load_duration = 0
        answer.prompt_eval_count = done.usage.prompt_tokens
        answer.prompt_eval_duration = int(first_s * 1e9)
        answer.eval_count = done.usage.completion_tokens
        answer.eval_duration = int((total_s - first_s) * 1e9)
        return answer


def _loaded(model: str, asked: Literal["load", "unload"], **nothing: Any) -> OllamaAnswer:
    """At once and with no text: the model is there and stays."""
    return OllamaAnswer(model=model, created_at=_now(), done=True, done_reason=asked, **nothing)


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
