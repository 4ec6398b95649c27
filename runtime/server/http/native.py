"""SGLang's own API, so that its frontend can drive this server: /generate and what goes with it."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

from ...protocol import CacheMiss, Chunk, Done, FlushCache, Flushed, Output, TokenLogprob
from ...tokenizer import Tokenizer
from . import body as bodies
from .answer import EventStream, complete, event
from .health import ask_stats
from .link import Arrival, Link
from .metrics import Metrics
from .native_fields import NativeCall, NativeRequest, calls_of, prompt_field
from .openai_fields import finite, token_text
from .prompts import is_batch
from .schema import describe, json_response

NAMES: Final = {
    "prompt": "text",
    "max_new_tokens": "max_new_tokens",
    "min_new_tokens": "min_new_tokens",
    "top": "top_logprobs_num",
    "prompt_start": "logprob_start_len",
    "seed": "sampling_seed",
    "constraint": "sampling_params",
}

# (log probability, token id, text)
Triple = tuple[float | None, int, str | None]


class MetaInfo(Struct, kw_only=True, omit_defaults=True):
    """Counts, how it ended (null while it runs), log probabilities where asked for. The prompt's
    counts come with the end of a stream."""

    id: str
    finish_reason: dict[str, Any] | None
    completion_tokens: int
    prompt_tokens: int | UnsetType = UNSET
    cached_tokens: int | UnsetType = UNSET
    forced_tokens: int | UnsetType = UNSET
    drafted_tokens: int | UnsetType = UNSET
    accepted_tokens: int | UnsetType = UNSET
    closed_by_budget: bool = False
    cache_miss: CacheMiss | UnsetType | None = UNSET
    e2e_latency: float | UnsetType = UNSET
    input_token_logprobs: list[Triple] | UnsetType = UNSET
    input_top_logprobs: list[list[Triple] | None] | UnsetType = UNSET
    output_token_logprobs: list[Triple] | UnsetType = UNSET
    output_top_logprobs: list[list[Triple] | None] | UnsetType = UNSET


class NativeAnswer(Struct, kw_only=True, omit_defaults=True):
    """One sequence; several come as a list. An event of a stream holds all text so far, and `index`
    where several run."""

    text: str
    output_ids: list[int]
    meta_info: MetaInfo
    index: int | UnsetType = UNSET


class NativeModelInfo(Struct, frozen=True):
    """What SGLang's frontend asks for first, and the markup of the model's own chat template, which
    `bl.SGLang` asks for."""

    model_path: str
    tokenizer_path: str
    context_length: int
    role_markup: dict[str, list[str]] | None
    default_system_prompt: str | None
    is_generation: bool = True


class FlushAnswer(Struct, frozen=True):
    """Prefixes that a running request holds stay."""

    freed_tokens: int
    success: bool = True


_DECODER: Final = msgspec.json.Decoder(NativeRequest)


def add_native_routes(app: FastAPI, link: Link, metrics: Metrics) -> None:
    """`link` leads to the runtime."""

    @app.post("/generate", **describe(NativeAnswer, body=NativeRequest, many=True, stream=True))
    async def generate(request: Request) -> Response:
        """Continue one or more prompts; the answer to several is a list."""
        body = await bodies.read(request, _DECODER)
        _, tokenizer = link.require()
        calls = calls_of(body, request.scope["state"]["namespace"])
        generates = [call.generate for call in calls]
        number = max(call.generate.sampling.n for call in calls)
        many = is_batch(prompt_field(body)) or number > 1
        answers = _Answers(body, calls, tokenizer, many)
        if body.stream:
            return EventStream(link, metrics, generates, answers, NAMES)
        dones = await complete(request, link, metrics, generates)
        results = [
            answers.final(number, index, done, output)
            for number, done in enumerate(dones)
            for index, output in enumerate(done.outputs)
        ]
        return json_response(results if many else results[0])

    @app.get("/get_model_info", **describe(NativeModelInfo, errors=(503,)))
    async def get_model_info() -> Response:
        """The model that is served."""
        model, _ = link.require()
        markup = None
        if model.role_markup is not None:
            markup = {role: list(pair) for role, pair in model.role_markup.items()}
        return json_response(
            NativeModelInfo(
                model.path, model.path, model.context_length, markup, model.default_system_prompt
            )
        )

    async def server_info() -> Response:
        """The runtime's counters."""
        model, _ = link.require()
        stats = await ask_stats(link)
        return json_response({"model_path": model.path, **stats})

    for path in ("/server_info", "/get_server_info"):
        app.get(path, **describe(dict, errors=(503,)))(server_info)

    @app.post("/flush_cache", **describe(FlushAnswer, errors=(503,)))
    async def flush_cache() -> Response:
        """Drop every cached prefix that no running request holds."""
        with link.start([FlushCache(rid="-")]) as call:
            [flushed] = await call.results()
        assert isinstance(flushed, Flushed)
        return json_response(FlushAnswer(flushed.freed_tokens))


class _Answers:
    """Answers in SGLang's form, at the end or all along."""

    def __init__(
        self, body: NativeRequest, calls: list[NativeCall], tokenizer: Tokenizer, many: bool
    ) -> None:
        self._calls = calls
        self._tokenizer = tokenizer
        self._many = many
        self._with_text = bool(body.return_text_in_logprobs)
        self._started_s = time.monotonic()
        stem = f"{time.time_ns():x}"
        rids = body.rid if isinstance(body.rid, list) else [body.rid] * len(calls)
        self._ids = [
            (rids[number] if number < len(rids) else None) or f"{stem}-{number}"
            for number in range(len(calls))
        ]
        self._running: dict[tuple[int, int], NativeAnswer] = {}

    def events(self, arrivals: list[Arrival]) -> bytes:
        events = b""
        for number, message in arrivals:
            if isinstance(message, Chunk) and not self._calls[number].peek:
                events += event(self._longer(number, message))
            elif isinstance(message, Done):
                for index, output in enumerate(message.outputs):
                    events += event(self.final(number, index, message, output))
        return events

    def final(self, number: int, index: int, done: Done, output: Output) -> NativeAnswer:
        """A sequence that has ended."""
        peek = self._calls[number].peek
        meta = MetaInfo(
            id=self._ids[number],
            finish_reason={"type": "length", "length": 0} if peek else _finish_reason(output),
            completion_tokens=0 if peek else len(output.token_ids),
            prompt_tokens=done.usage.prompt_tokens,
            cached_tokens=done.usage.cached_tokens,
            forced_tokens=done.usage.forced_tokens or UNSET,
            drafted_tokens=done.usage.drafted_tokens or UNSET,
            accepted_tokens=done.usage.accepted_tokens or UNSET,
            closed_by_budget=output.closed_by_budget,
            cache_miss=done.usage.cache_miss,
            e2e_latency=time.monotonic() - self._started_s,
        )
        asked = self._calls[number].generate.logprobs
        if asked is not None:
            meta.input_token_logprobs, meta.input_top_logprobs = self._told(
                done.prompt_logprobs or []
            )
            meta.output_token_logprobs, meta.output_top_logprobs = self._told(output.logprobs or [])
        return NativeAnswer(
            text="" if peek else output.text,
            output_ids=[] if peek else output.token_ids,
            meta_info=meta,
            index=self._index(number, index),
        )

    def _longer(self, number: int, chunk: Chunk) -> NativeAnswer:
        """A running sequence with this piece added."""
        answer = self._running.get((number, chunk.index))
        if answer is None:
            meta = MetaInfo(id=self._ids[number], finish_reason=None, completion_tokens=0)
            answer = NativeAnswer(
                text="", output_ids=[], meta_info=meta, index=self._index(number, chunk.index)
            )
            if chunk.logprobs is not None:
                meta.output_token_logprobs, meta.output_top_logprobs = [], []
            self._running[number, chunk.index] = answer
        answer.text += chunk.text
        answer.output_ids += chunk.token_ids
        meta = answer.meta_info
        meta.completion_tokens = len(answer.output_ids)
        if meta.output_token_logprobs is not UNSET and meta.output_top_logprobs is not UNSET:
            tokens, tops = self._told(chunk.logprobs or [])
            meta.output_token_logprobs += tokens
            meta.output_top_logprobs += tops
        return answer

    def _index(self, number: int, index: int) -> int | UnsetType:
        return number * self._calls[number].generate.sampling.n + index if self._many else UNSET

    def _told(self, entries: list[TokenLogprob]) -> tuple[list[Triple], list[list[Triple] | None]]:
        tokens: list[Triple] = []
        tops: list[list[Triple] | None] = []
        for entry in entries:
            known = entry.logprob is not None
            tokens.append(self._triple(entry.logprob, entry.token_id))
            tops.append([self._triple(top[0], top[1]) for top in entry.top] if known else None)
        return tokens, tops

    def _triple(self, logprob: float | None, token_id: int) -> Triple:
        text = token_text(self._tokenizer, token_id)[0] if self._with_text else None
        return (None if logprob is None else finite(logprob)), token_id, text


def _finish_reason(output: Output) -> dict[str, Any]:
    if output.finish_reason == "length":
        return {"type": "length", "length": len(output.token_ids)}
    return {"type": output.finish_reason, "matched": output.matched_stop}
