"""`bl.SGLang`: a server with SGLang's HTTP API (`/generate`) as a backend: SGLang's own, or
`branchline serve --http`."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from branchline.runtime import protocol

from ..chat_template import get_chat_template
from ..closing import Closing
from ..errors import (
    GenerationError,
    InternalError,
    InvalidRequest,
    Overloaded,
    RuntimeUnavailable,
)
from ..loop import shared_loop
from ..picture import Picture
from .base import Backend, Capabilities, OnChunk
from .http_client import HttpClient, HttpStatus

# Named otherwise there, written otherwise, or not there.
_OWN_FIELDS = ("seed", "logit_bias", "token_healing")
_NOTHING = {"max_new_tokens": 0, "temperature": 0.0}


class _ModelInfo(msgspec.Struct):
    """What is read of a server's answer; SGLang's tells no more than the path."""

    model_path: str
    context_length: int | None = None
    role_markup: dict[str, tuple[str, str]] | None = None
    default_system_prompt: str | None = None


class SGLang(Closing, Backend):
    """A model behind SGLang's `/generate`.

    base_url: `http://host:port`; api_key: sent as a bearer token; verify: False for any
        certificate, or a file with those to accept.
    chat_template_name: a registered template. Without one it is the model's own where the server
        tells it, as `branchline serve` does; SGLang's does not, and it is told from the model's
        path.

    Prompts travel as text: outputs are tokenized again, and control tokens that are spelled out
    in a program's text are control tokens. Over `bl.RuntimeEndpoint` neither is so. Pictures go
    along; a model that sees none is the server's to tell.

    Raises RuntimeUnavailable when nobody answers there.
    """

    capabilities = Capabilities(grammar=True, images=True)

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        verify: bool | str | None = None,
        chat_template_name: str | None = None,
    ) -> None:
        self._http = HttpClient(base_url, api_key=api_key, verify=verify)
        answer = shared_loop().run(self._ask("GET", "/get_model_info"))
        try:
            info = msgspec.convert(answer, _ModelInfo)
        except msgspec.ValidationError as error:
            raise RuntimeUnavailable(
                f"{base_url} does not speak SGLang's API: /get_model_info: {error}"
            ) from None
        self._model = protocol.ModelInfo(
            name=info.model_path,
            path=info.model_path,
            architecture="sglang",
            context_length=info.context_length or 0,
            vocab_size=0,
            eos_token_ids=[],
            role_markup=info.role_markup,
            default_system_prompt=info.default_system_prompt,
        )
        if chat_template_name is not None:
            self.chat_template = get_chat_template(chat_template_name)

    @property
    def base_url(self) -> str:
        return self._http.base_url

    @property
    def model_info(self) -> protocol.ModelInfo:
        """The model's path; what the API does not tell is 0 or empty."""
        return self._model

    async def generate(
        self,
        prompt: list[protocol.Part],
        sampling: protocol.SamplingParams,
        *,
        constraint: protocol.Constraint | None = None,
        logprobs: protocol.LogprobParams | None = None,
        on_chunk: OnChunk | None = None,
    ) -> protocol.Done:
        body: dict[str, Any] = {
            "text": _text_of(prompt),
            "sampling_params": {**_sampling(sampling), **_constraint(constraint)},
            **_logprob_fields(logprobs),
            **_image_data(prompt),
        }
        if on_chunk is None:
            answer = await self._ask("POST", "/generate", body)
            return _done(answer if isinstance(answer, list) else [answer], sampling.n, logprobs)
        stream = _Stream(on_chunk)
        with self._told_errors():
            events = self._http.events("/generate", {**body, "stream": True})
            async with contextlib.aclosing(events):
                async for event in events:
                    stream.take(event)
        return _done(stream.answers(), sampling.n, logprobs)

    async def score(
        self, prompt: list[protocol.Part], choices: Sequence[str], *, unconditional: bool = False
    ) -> protocol.Scores:
        """As SGLang's frontend scores: the prompt, then all choices behind it, then, where it is
        asked for, their tokens alone."""
        text = _text_of(prompt)
        nothing = {"text": text, "sampling_params": _NOTHING, **_image_data(prompt)}
        alone = await self._ask("POST", "/generate", nothing)
        num_prompt_tokens = int(alone["meta_info"]["prompt_tokens"])
        start = max(num_prompt_tokens - 2, 0)
        asked = {
            "text": [text + choice for choice in choices],
            **_image_data(prompt, len(choices)),
        }
        answers = await self._logprobs(asked, start)
        scored = [
            _of_choice(_tokens(answer["meta_info"]["input_token_logprobs"]), choice)
            for answer, choice in zip(answers, choices, strict=True)
        ]
        ids = [[token.token_id for token in tokens] for tokens in scored]
        free: list[list[protocol.TokenLogprob] | None] = [None] * len(scored)
        if unconditional:
            answers = await self._logprobs({"input_ids": ids}, 0)
            free = [_tokens(answer["meta_info"]["input_token_logprobs"]) for answer in answers]
        return protocol.Scores(
            rid=str(alone["meta_info"].get("id", "")),
            choices=[
                protocol.ChoiceScore(token_ids, tokens, without)
                for token_ids, tokens, without in zip(ids, scored, free, strict=True)
            ],
            usage=_usage([alone]),
        )

    async def drop_cache(self) -> int:
        answer = await self._ask("POST", "/flush_cache")
        return int(answer.get("freed_tokens", 0)) if isinstance(answer, dict) else 0

    async def server_info(self) -> protocol.Info:
        with self._told_errors():
            try:
                answer = await self._http.json("GET", "/server_info")
            except HttpStatus as error:
                if error.status != 404:
                    raise
                # Its name up to SGLang 0.4.
                answer = await self._http.json("GET", "/get_server_info")
        numbers = {
            name: float(value)
            for name, value in (answer if isinstance(answer, dict) else {}).items()
            if isinstance(value, int | float)
        }
        return protocol.Info(rid="info", model=self._model, stats=numbers)

    def close(self) -> None:
        """Nothing: every request has a connection of its own."""

    async def _logprobs(self, prompts: dict[str, Any], start: int) -> list[dict[str, Any]]:
        body = {
            **prompts,
            "sampling_params": _NOTHING,
            "return_logprob": True,
            "return_text_in_logprobs": True,
            "logprob_start_len": start,
        }
        answers = await self._ask("POST", "/generate", body)
        return answers if isinstance(answers, list) else [answers]

    async def _ask(self, method: str, path: str, body: object = None) -> Any:
        with self._told_errors():
            return await self._http.json(method, path, body)

    @contextlib.contextmanager
    def _told_errors(self) -> Iterator[None]:
        try:
            yield
        except HttpStatus as error:
            raise _error(error, self.base_url) from None

    def __repr__(self) -> str:
        return f"SGLang({self.base_url!r})"


class _Stream:
    """Events hold all text so far; chunks what is new."""

    def __init__(self, on_chunk: OnChunk) -> None:
        self._on_chunk = on_chunk
        self._latest: dict[int, dict[str, Any]] = {}
        self._num_chunks = 0

    def take(self, event: dict[str, Any]) -> None:
        if "error" in event:
            raise InternalError(f"the server ended the stream: {event['error']}")
        index = int(event.get("index") or 0)
        before = self._latest.get(index, {"text": "", "meta_info": {}})
        self._latest[index] = event
        meta, meta_before = event["meta_info"], before["meta_info"]
        text = event["text"][len(before["text"]) :]
        num_new = int(meta["completion_tokens"]) - int(meta_before.get("completion_tokens", 0))
        entries = meta.get("output_token_logprobs")
        new = len(meta_before.get("output_token_logprobs") or ())
        if not text and not num_new:
            return
        self._on_chunk(
            protocol.Chunk(
                rid=str(meta.get("id", "")),
                seq=self._num_chunks,
                index=index,
                text=text,
                # Only counted: prompts of this API are texts.
                token_ids=list((event.get("output_ids") or [])[-num_new:]) if num_new else [],
                logprobs=None if entries is None else _tokens(entries, _tops(meta))[new:],
            )
        )
        self._num_chunks += 1

    def answers(self) -> list[dict[str, Any]]:
        if not self._latest:
            raise InternalError("the server ended the stream without an answer")
        return [self._latest[index] for index in sorted(self._latest)]


def _text_of(prompt: list[protocol.Part]) -> str:
    texts = []
    for part in prompt:
        if not isinstance(part, protocol.Text):
            raise InvalidRequest("a prompt for SGLang's API holds tokens, which only text may")
        texts.append(part.text)
    return "".join(texts)


def _image_data(prompt: list[protocol.Part], num_texts: int = 0) -> dict[str, Any]:
    """The pictures of a prompt, in its order; of `num_texts` that begin with it, for each."""
    pictures = [part.base64 for part in prompt if isinstance(part, Picture)]
    if not pictures:
        return {}
    return {"image_data": [pictures] * num_texts if num_texts else pictures}


def _sampling(sampling: protocol.SamplingParams) -> dict[str, Any]:
    names = [name for name in sampling.__struct_fields__ if name not in _OWN_FIELDS]
    values = {name: getattr(sampling, name) for name in names}
    if sampling.seed is not None:
        values["sampling_seed"] = sampling.seed
    if sampling.logit_bias:
        values["logit_bias"] = {str(key): bias for key, bias in sampling.logit_bias.items()}
    return {name: value for name, value in values.items() if value not in ([], None)}


def _constraint(constraint: protocol.Constraint | None) -> dict[str, str]:
    match constraint:
        case None:
            return {}
        case protocol.Regex(pattern=pattern):
            return {"regex": pattern}
        case protocol.JsonSchema(schema=schema):
            return {"json_schema": schema}
        case protocol.Ebnf(grammar=grammar):
            return {"ebnf": grammar}
        case protocol.Choices(choices=choices):
            return {"regex": "|".join(f"({re.escape(choice)})" for choice in choices)}
    raise InvalidRequest("SGLang's API has no tool calls at this route", pointer="constraint")


def _logprob_fields(logprobs: protocol.LogprobParams | None) -> dict[str, Any]:
    if logprobs is None:
        return {}
    return {
        "return_logprob": True,
        "logprob_start_len": -1 if logprobs.prompt_start is None else logprobs.prompt_start,
        "top_logprobs_num": logprobs.top,
        "return_text_in_logprobs": logprobs.with_text,
    }


def _done(
    answers: list[dict[str, Any]], number: int, logprobs: protocol.LogprobParams | None
) -> protocol.Done:
    if len(answers) != number:
        raise InternalError(f"asked for {number} outputs, the server gave {len(answers)}")
    first = answers[0]["meta_info"]
    prompt = first.get("input_token_logprobs") if logprobs is not None else None
    return protocol.Done(
        rid=str(first.get("id", "")),
        outputs=[_output(answer) for answer in answers],
        usage=_usage(answers),
        prompt_logprobs=_tokens(prompt, first.get("input_top_logprobs")) if prompt else None,
    )


def _output(answer: dict[str, Any]) -> protocol.Output:
    meta = answer["meta_info"]
    reason = meta.get("finish_reason") or {}
    if reason.get("type") == "abort":
        raise GenerationError(f"the server gave up: {reason.get('message') or 'no reason given'}")
    entries = meta.get("output_token_logprobs")
    return protocol.Output(
        text=answer["text"],
        token_ids=[],
        finish_reason="length" if reason.get("type") == "length" else "stop",
        matched_stop=reason.get("matched"),
        closed_by_budget=bool(meta.get("closed_by_budget")),
        logprobs=None if entries is None else _tokens(entries, _tops(meta)),
    )


def _usage(answers: list[dict[str, Any]]) -> protocol.Usage:
    metas = [answer["meta_info"] for answer in answers]
    return protocol.Usage(
        prompt_tokens=int(metas[0].get("prompt_tokens", 0)),
        completion_tokens=sum(int(meta.get("completion_tokens", 0)) for meta in metas),
        cached_tokens=int(metas[0].get("cached_tokens", 0)),
    )


def _tops(meta: dict[str, Any]) -> list[Any] | None:
    tops: list[Any] | None = meta.get("output_top_logprobs")
    return tops


def _tokens(entries: list[Any], tops: list[Any] | None = None) -> list[protocol.TokenLogprob]:
    tops = tops or [None] * len(entries)
    return [
        protocol.TokenLogprob(
            logprob, token_id, text, [(entry[0], entry[1], entry[2]) for entry in top or []]
        )
        for (logprob, token_id, text), top in zip(entries, tops, strict=True)
    ]


def _of_choice(tokens: list[protocol.TokenLogprob], choice: str) -> list[protocol.TokenLogprob]:
    """The tokens that end a text and spell `choice`; a token that it shares with the text before
    is one of them."""
    length = 0
    for start in range(len(tokens) - 1, -1, -1):
        length += len(tokens[start].text or "")
        if length >= len(choice):
            return tokens[start:]
    return tokens


def _error(error: HttpStatus, base_url: str) -> GenerationError:
    message = f"{base_url}: {_message(error.body)}"
    if error.status == 429:
        return Overloaded(message, retry_after_s=error.retry_after_s)
    if error.status in (502, 503, 504):
        return RuntimeUnavailable(message, retry_after_s=error.retry_after_s)
    if 400 <= error.status < 500:
        return InvalidRequest(f"{message} (HTTP status {error.status})")
    return InternalError(f"{message} (HTTP status {error.status})")


def _message(body: str) -> str:
    with contextlib.suppress(ValueError, TypeError, KeyError):
        found = json.loads(body)
        found = found.get("error", found) if isinstance(found, dict) else found
        found = found.get("message", found) if isinstance(found, dict) else found
        return str(found)
    return body[:500] or "no reason given"
