"""/v1/responses: OpenAI's newer API. Nothing is stored: each request holds its conversation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Literal

import msgspec
from fastapi import FastAPI, Request
from msgspec import Struct
from starlette.responses import Response

from ...protocol import Chunk, Done
from ...tokenizer import Tokenizer
from . import body as bodies
from .answer import SSE_WITHOUT_DONE, EventStream, complete
from .errors import ApiError
from .link import Arrival, Link
from .metrics import Metrics
from .openai_fields import now
from .outputs import OutputEvent, OutputReader, Reading, new_id
from .responses_fields import (
    NAMES,
    ResponseFunction,
    ResponseRequest,
    generate_of,
)
from .schema import describe, json_response

Status = Literal["in_progress", "completed", "incomplete"]
_DECODER: Final = msgspec.json.Decoder(ResponseRequest)


class OutputText(Struct, tag_field="type", tag="output_text"):
    """Text of a message."""

    text: str = ""
    annotations: list[str] = []
    logprobs: list[str] = []


class ReasoningText(Struct, tag_field="type", tag="reasoning_text"):
    """Thinking."""

    text: str = ""


class ResponseMessage(Struct, tag_field="type", tag="message"):
    """What the model said."""

    id: str
    content: list[OutputText] = []
    status: Status = "in_progress"
    role: Literal["assistant"] = "assistant"


class ResponseReasoning(Struct, tag_field="type", tag="reasoning"):
    """What the model thought before."""

    id: str
    content: list[ReasoningText] = []
    summary: list[str] = []
    status: Status = "in_progress"


class ResponseCall(Struct, tag_field="type", tag="function_call"):
    """A call; `arguments` is JSON text that validates against the function's schema."""

    id: str
    call_id: str
    name: str
    arguments: str = ""
    status: Status = "in_progress"


ResponseItem = ResponseMessage | ResponseReasoning | ResponseCall


class InputDetails(Struct, frozen=True):
    """`cached_tokens` came from the radix cache."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputDetails(Struct, frozen=True):
    """How many tokens the thinking's text has."""

    reasoning_tokens: int


class ResponseUsage(Struct, frozen=True):
    """Token counts."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class IncompleteDetails(Struct, frozen=True):
    """Why the answer is not whole."""

    reason: Literal["max_output_tokens"]


class ResponseAnswer(Struct, kw_only=True):
    """An answer, and the settings that it was made with."""

    id: str
    created_at: int
    model: str
    instructions: str | None
    max_output_tokens: int | None
    temperature: float
    top_p: float
    parallel_tool_calls: bool
    tool_choice: Any
    tools: list[ResponseFunction]
    text: Any
    metadata: dict[str, Any]
    output: list[ResponseItem] = []
    status: Status = "in_progress"
    incomplete_details: IncompleteDetails | None = None
    usage: ResponseUsage | None = None
    object: Literal["response"] = "response"
    error: None = None
    previous_response_id: None = None
    store: bool = False
    truncation: Literal["disabled"] = "disabled"


def add_response_routes(app: FastAPI, link: Link, metrics: Metrics) -> None:
    """`link` leads to the runtime."""

    @app.post("/v1/responses", **describe(ResponseAnswer, body=ResponseRequest, stream=True))
    async def responses(request: Request) -> Response:
        """Continue a conversation."""
        body = await bodies.read(request, _DECODER)
        model, tokenizer = link.require()
        generate, reading = generate_of(body, model, request.scope["state"]["namespace"])
        writer = ResponseWriter(_opened(body, model.name), reading, tokenizer)
        if body.stream:
            framing = replace(SSE_WITHOUT_DONE, error=writer.error)
            return EventStream(link, metrics, [generate], writer, NAMES, framing)
        [done] = await complete(request, link, metrics, [generate])
        [output] = done.outputs
        writer.take(output.text)
        writer.finish(done)
        return json_response(writer.answer)


def _opened(body: ResponseRequest, model: str) -> ResponseAnswer:
    """An answer before its first word."""
    form = body.text.format if body.text is not None else None
    return ResponseAnswer(
        id=new_id("resp"),
        created_at=now(),
        model=model,
        instructions=body.instructions,
        max_output_tokens=body.max_output_tokens,
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        tool_choice=body.tool_choice or "auto",
        tools=body.tools or [],
        text={"format": form or {"type": "text"}},
        metadata=body.metadata or {},
    )


class ResponseWriter:
    """Builds one answer, item by item, and the events of its stream along with it."""

    def __init__(self, answer: ResponseAnswer, reading: Reading, tokenizer: Tokenizer) -> None:
        self.answer = answer
        self._reader = OutputReader(reading)
        self._tokenizer = tokenizer
        self._item: ResponseItem | None = None
        self._number = 0
        self._opened = False

    def events(self, arrivals: list[Arrival]) -> bytes:
        events = b""
        if not self._opened:
            self._opened = True
            events += self._event("response.created", response=self.answer)
            events += self._event("response.in_progress", response=self.answer)
        for _, message in arrivals:
            if isinstance(message, Chunk):
                events += self.take(message.text)
            elif isinstance(message, Done):
                events += self.finish(message)
        return events

    def take(self, text: str) -> bytes:
        """More of the output. Raises RequestError."""
        return b"".join(self._piece(piece) for piece in self._reader.feed(text))

    def finish(self, done: Done) -> bytes:
        """The output has ended. Raises RequestError."""
        [output] = done.outputs
        events = b"".join(self._piece(piece) for piece in self._reader.finish())
        answer, whole = self.answer, output.finish_reason != "length"
        status: Status = "completed" if whole else "incomplete"
        events += self._close(status)
        if not answer.output:
            # An answer without a word is a message, too.
            self._open(ResponseMessage(new_id("msg"), [OutputText()]))
            events += self._close(status)
        answer.status = status
        answer.incomplete_details = None if whole else IncompleteDetails("max_output_tokens")
        answer.usage = self._usage(done)
        return events + self._event(f"response.{status}", response=answer)

    def error(self, error: ApiError, path: str) -> bytes:
        """The event of a failure. It holds `error`, too, by which the official clients know one."""
        told = error.told()
        return self._event(
            "error", code=told.code, message=told.message, param=told.param, error=told
        )

    def _piece(self, piece: OutputEvent) -> bytes:
        text = piece.text
        if piece.kind == "name":
            events = self._close("completed")
            return events + self._open(ResponseCall(new_id("fc"), new_id("call"), text))
        events = b""
        if piece.kind == "text" and not isinstance(self._item, ResponseMessage):
            events += self._close("completed")
            events += self._open(ResponseMessage(new_id("msg"), [OutputText()]))
        elif piece.kind == "thinking" and not isinstance(self._item, ResponseReasoning):
            events += self._close("completed")
            events += self._open(ResponseReasoning(new_id("rs"), [ReasoningText()]))
        match self._item:
            case ResponseMessage(content=[part]):
                part.text += text
                events += self._part_event("output_text.delta", delta=text, logprobs=[])
            case ResponseReasoning(content=[thought]):
                thought.text += text
                events += self._part_event("reasoning_text.delta", delta=text)
            case ResponseCall() as call:
                call.arguments += text
                events += self._item_event("function_call_arguments.delta", delta=text)
        return events

    def _open(self, item: ResponseItem) -> bytes:
        self._item = item
        self.answer.output.append(item)
        if isinstance(item, ResponseCall):
            return self._added(item)
        [part] = item.content
        shown = msgspec.structs.replace(item, content=[])
        return self._added(shown) + self._part_event("content_part.added", part=part)

    def _added(self, item: ResponseItem) -> bytes:
        index = len(self.answer.output) - 1
        return self._event("response.output_item.added", output_index=index, item=item)

    def _close(self, status: Status) -> bytes:
        item, events = self._item, b""
        match item:
            case None:
                return b""
            case ResponseMessage(content=[part]):
                events += self._part_event("output_text.done", text=part.text, logprobs=[])
                events += self._part_event("content_part.done", part=part)
            case ResponseReasoning(content=[thought]):
                events += self._part_event("reasoning_text.done", text=thought.text)
                events += self._part_event("content_part.done", part=thought)
            case ResponseCall(name=name, arguments=arguments):
                kind = "function_call_arguments.done"
                events += self._item_event(kind, name=name, arguments=arguments)
        item.status = status
        self._item = None
        index = len(self.answer.output) - 1
        return events + self._event("response.output_item.done", output_index=index, item=item)

    def _part_event(self, kind: str, **fields: object) -> bytes:
        return self._item_event(kind, content_index=0, **fields)

    def _item_event(self, kind: str, **fields: object) -> bytes:
        index = len(self.answer.output) - 1
        item_id = self.answer.output[index].id
        return self._event(f"response.{kind}", item_id=item_id, output_index=index, **fields)

    def _event(self, kind: str, **fields: object) -> bytes:
        data = msgspec.json.encode({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"

    def _usage(self, done: Done) -> ResponseUsage:
        usage = done.usage
        thoughts = [
            i.content[0].text for i in self.answer.output if isinstance(i, ResponseReasoning)
        ]
        thinking = sum(len(self._tokenizer.encode_text(thought)) for thought in thoughts)
        return ResponseUsage(
            usage.prompt_tokens,
            InputDetails(usage.cached_tokens),
            usage.completion_tokens,
            OutputDetails(min(thinking, usage.completion_tokens)),
            usage.prompt_tokens + usage.completion_tokens,
        )
