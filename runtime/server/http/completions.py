"""/v1/completions: prompts as they are, without a chat template."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from fastapi import FastAPI, Request
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

from ...protocol import Chunk, Done, Generate, LogprobParams, Output, Part, TokenLogprob, Tokens
from ...tokenizer import Tokenizer
from . import body as bodies
from .answer import EventStream, complete, event
from .errors import refuse
from .frame import TextFrame
from .link import Arrival, Link
from .metrics import Metrics
from .openai_fields import (
    CommonRequest,
    UsageBody,
    check_common,
    finish_reason,
    finite,
    now,
    refuse_fields,
    sampling_of,
    token_text,
    usage_of,
)
from .outputs import serial
from .prompts import PromptField, prompts_of
from .schema import describe, json_response

_DEFAULT_MAX_TOKENS: Final = 16
_UNSUPPORTED: Final = {"suffix": "the model continues a text and cannot fill a gap in one"}


class CompletionRequest(CommonRequest, kw_only=True, forbid_unknown_fields=True):
    """Prompts to continue: a text, several texts, token ids, or several lists of token ids.

    `echo` puts the prompt in front of the text. With `markup` the prompt's control tokens are
    recognised; by default they are text like any other.
    """

    prompt: PromptField
    echo: bool | None = None
    logprobs: int | None = None
    best_of: int | None = None
    suffix: Any = None
    markup: bool = False


class CompletionLogprobs(Struct, frozen=True):
    """Natural log probabilities, one entry for each token of the text. A token that is only part of
    a character stands as `bytes:\\xNN`. Offsets count characters of the text."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(Struct, frozen=True):
    """One continuation: prompt number times `n` plus its own number is its index."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: Literal["stop", "length"] | None = None


class Completion(Struct, frozen=True):
    """A whole answer, or one event of a stream."""

    id: str
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: UsageBody | UnsetType | None = UNSET
    object: Literal["text_completion"] = "text_completion"
    system_fingerprint: None = None


_DECODER: Final = msgspec.json.Decoder(CompletionRequest)


def add_completion_routes(app: FastAPI, link: Link, metrics: Metrics) -> None:
    """`link` leads to the runtime."""

    @app.post("/v1/completions", **describe(Completion, body=CompletionRequest, stream=True))
    async def completions(request: Request) -> Response:
        """Continue one or more prompts."""
        body = await bodies.read(request, _DECODER)
        model, tokenizer = link.require()
        check_common(body, model)
        refuse_fields(body, _UNSUPPORTED)
        prompts = prompts_of(body.prompt, "prompt", markup=body.markup)
        namespace = request.scope["state"]["namespace"]
        generates = [generate_of(body, prompt, namespace) for prompt in prompts]
        echoes = [_text_of(prompt, tokenizer) if body.echo else "" for prompt in prompts]
        if body.stream:
            writer = CompletionWriter(body, model.name, tokenizer, echoes)
            return EventStream(link, metrics, generates, writer)
        dones = await complete(request, link, metrics, generates)
        choices = [
            _choice(number * len(done.outputs) + index, echo, done, output, tokenizer)
            for number, (done, echo) in enumerate(zip(dones, echoes, strict=True))
            for index, output in enumerate(done.outputs)
        ]
        return json_response(
            Completion(f"cmpl-{serial()}", now(), model.name, choices, usage=usage_of(dones))
        )


def generate_of(body: CompletionRequest, prompt: list[Part], namespace: str) -> Generate:
    """The call for one prompt. Raises ApiError for what this API does not have."""
    if body.best_of is not None and body.best_of != (body.n or 1):
        raise refuse("best_of must equal n: no continuation is thrown away", "best_of")
    if body.echo and body.stream and body.logprobs is not None:
        raise refuse("echo with logprobs cannot be streamed; ask without stream", "echo")
    most = _DEFAULT_MAX_TOKENS if body.max_tokens is None else body.max_tokens
    logprobs = None
    if body.logprobs is not None:
        logprobs = LogprobParams(top=body.logprobs, prompt_start=0 if body.echo else None)
    return Generate(
        rid="-",
        prompt=prompt,
        sampling=sampling_of(body, most),
        constraint=body.constraint(),
        logprobs=logprobs,
        stream=bool(body.stream),
        namespace=namespace,
    )


class CompletionWriter:
    """The events of one stream."""

    def __init__(
        self, body: CompletionRequest, model: str, tokenizer: Tokenizer, echoes: list[str]
    ) -> None:
        self._id = f"cmpl-{serial()}"
        self._created = now()
        self._model = model
        self._tokenizer = tokenizer
        self._with_usage = bool(body.stream_options and body.stream_options.include_usage)
        self._n = body.n or 1
        self._lengths: dict[int, int] = {}
        self._frames: dict[int, TextFrame] = {}
        self._dones: list[Done] = []
        self._echoes: list[str] | None = echoes if body.echo else None
        self._num_prompts = len(echoes)

    def events(self, arrivals: list[Arrival]) -> bytes:
        events = b""
        if self._echoes is not None:
            for index in range(self._num_prompts * self._n):
                echo = self._echoes[index // self._n]
                self._lengths[index] = len(echo)
                events += self._event([CompletionChoice(index, echo)])
            self._echoes = None
        for number, message in arrivals:
            if isinstance(message, Chunk):
                events += self._piece(number * self._n + message.index, message)
            elif isinstance(message, Done):
                self._dones.append(message)
                for position, output in enumerate(message.outputs):
                    index = number * self._n + position
                    reason = finish_reason(output.finish_reason)
                    events += self._event([CompletionChoice(index, "", None, reason)])
                if self._with_usage and len(self._dones) == self._num_prompts:
                    events += self._event([], usage_of(self._dones))
        return events

    def _piece(self, index: int, chunk: Chunk) -> bytes:
        if chunk.logprobs is None:
            frame = self._frames.get(index)
            if frame is None:
                frame = TextFrame(lambda text: self._event([CompletionChoice(index, text)]))
                self._frames[index] = frame
            return frame.around(chunk.text)
        start = self._lengths.get(index, 0)
        self._lengths[index] = start + len(chunk.text)
        logprobs = completion_logprobs(chunk.logprobs, self._tokenizer, start)
        return self._event([CompletionChoice(index, chunk.text, logprobs)])

    def _event(self, choices: list[CompletionChoice], usage: UsageBody | None = None) -> bytes:
        shown = usage if self._with_usage else UNSET
        return event(Completion(self._id, self._created, self._model, choices, shown))


def _choice(
    index: int, echo: str, done: Done, output: Output, tokenizer: Tokenizer
) -> CompletionChoice:
    entries = output.logprobs
    if done.prompt_logprobs is not None:
        entries = done.prompt_logprobs + (entries or [])
    return CompletionChoice(
        index,
        echo + output.text,
        completion_logprobs(entries, tokenizer, 0),
        finish_reason(output.finish_reason),
    )


def completion_logprobs(
    entries: list[TokenLogprob] | None, tokenizer: Tokenizer, start: int
) -> CompletionLogprobs | None:
    """OpenAI's older form; `start` is where the first token's text begins."""
    if entries is None:
        return None
    result = CompletionLogprobs([], [], [], [])
    for entry in entries:
        text = _written(tokenizer, entry.token_id)
        result.tokens.append(text)
        result.text_offset.append(start)
        start += len(text)
        if entry.logprob is None:
            result.token_logprobs.append(None)
            result.top_logprobs.append(None)
            continue
        result.token_logprobs.append(finite(entry.logprob))
        result.top_logprobs.append(
            {_written(tokenizer, token_id): finite(logprob) for logprob, token_id, _ in entry.top}
        )
    return result


def _written(tokenizer: Tokenizer, token_id: int) -> str:
    """A token's text, or the bytes of one that is only part of a character."""
    text, exact = token_text(tokenizer, token_id)
    if "\N{REPLACEMENT CHARACTER}" in text:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in exact)
    return text


def _text_of(prompt: list[Part], tokenizer: Tokenizer) -> str:
    return "".join(
        tokenizer.decode(part.ids, skip_special_tokens=False)
        if isinstance(part, Tokens)
        else part.text
        for part in prompt
    )
