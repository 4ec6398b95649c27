"""`bl.OpenAI`: any server with OpenAI's HTTP API as a backend, through the `openai` package."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from branchline.runtime import protocol
from branchline.runtime.tool_formats import RawCall

from ..chat_template import ChatTemplate
from ..errors import InternalError, InvalidRequest
from .base import Capabilities, OnChunk
from .choosing import choose_by_bias, encoding_of
from .completion_types import Form, asked, form_of, read
from .conversation import turn_to_write
from .vendor import VendorBackend, finish_reason, nothing_to_generate, total
from .vendor_tools import OfferedTools, openai_messages, openai_tools, told_text, turns_of

# Models that take max_completion_tokens and refuse max_tokens.
_REASONING = re.compile(r"(o\d|gpt-[5-9])")
# Models that make one call at a time and refuse to be told so.
_ONE_CALL = re.compile(r"o\d")
_CHAT = Capabilities(regex=False, select=False, stop_regex=False, tool_calls=True, images=True)
_COMPLETION = Capabilities(regex=False, dtype=True, json_schema=False, stop_regex=False)


class OpenAI(VendorBackend):
    """A model behind OpenAI's API, or behind any server that speaks it (`base_url=`).

    model_name: what the API calls the model.
    is_chat_model: whether it is asked through chat completions (the default for all but
        "gpt-3.5-turbo-instruct") or through completions.
    chat_template: of how roles look in `s.text()` and in the prompt of a completion model.
    is_azure: use the package's Azure client.
    client_options: of the package's client: `base_url, api_key, organization, timeout,
        max_retries, default_headers, ...`.

    A chat model writes assistant turns, one gen each; `json_schema` and `schema` go through
    response_format, the tools of `bl.tool_call` through the API's own; a user's turn may hold
    pictures, where the model sees. A completion model takes any text, `dtype`, and `select`: by the
    log probabilities of an echoed prompt, or, where the server refuses those (OpenAI's own), by
    what the model takes token by token under a logit_bias.
    Regular expressions are not to be had over this API.
    Parameters of other servers (top_k, min_p, ...) are sent when `base_url` is given.

    Raises ImportError when the package is not installed, ValueError when there is no key.
    """

    package = "openai"

    def __init__(
        self,
        model_name: str,
        is_chat_model: bool | None = None,
        chat_template: ChatTemplate | str | None = None,
        is_azure: bool = False,
        **client_options: Any,
    ) -> None:
        if is_chat_model is None:
            is_chat_model = model_name != "gpt-3.5-turbo-instruct"
        self._azure = is_azure
        self._foreign = client_options.get("base_url") is not None
        # Until the server says otherwise.
        self._echoes = True
        self.capabilities = _CHAT if is_chat_model else _COMPLETION
        super().__init__(model_name, chat_template, client_options, chat=is_chat_model)

    def _new_client(self) -> Any:
        kind = self._api.AsyncAzureOpenAI if self._azure else self._api.AsyncOpenAI
        try:
            return kind(**self.client_options)
        except self._api.OpenAIError as error:
            raise ValueError(f"{type(self).__name__}: {error}") from error

    async def generate(
        self,
        prompt: list[protocol.Part],
        sampling: protocol.SamplingParams,
        *,
        constraint: protocol.Constraint | None = None,
        logprobs: protocol.LogprobParams | None = None,
        on_chunk: OnChunk | None = None,
    ) -> protocol.Done:
        if sampling.max_new_tokens == 0:
            return nothing_to_generate(self._model.name, sampling.n)
        request = self._sampling(sampling)
        form: Form | None = None
        if self.is_chat_model:
            told = turn_to_write(prompt, self.chat_template, repr(self), prefill=False)
            request["messages"] = openai_messages(turns_of(told.messages))
            if isinstance(constraint, OfferedTools):
                return await self._with_tools(request, constraint, on_chunk)
            request |= _response_format(constraint)
            if logprobs is not None:
                request |= {"logprobs": True, "top_logprobs": logprobs.top}
        else:
            form = None if constraint is None else form_of(constraint)
            request |= asked(form, prompt_text(prompt), sampling.stop)
            if logprobs is not None:
                request["logprobs"] = max(1, logprobs.top)
        if logprobs is not None:
            self.refuse(logprob_start_len=logprobs.prompt_start is not None)
        # A typed value comes as one piece: it is read when it is whole.
        if on_chunk is not None and form is None:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        api = self.client.chat.completions if self.is_chat_model else self.client.completions
        with self.asking():
            answer = await api.create(**request)
            if on_chunk is not None and form is None:
                return await self._streamed(answer, sampling.n, on_chunk)
            outputs = [self._output(choice) for choice in answer.choices]
        if form is not None:
            outputs = [read(form, output) for output in outputs]
            if on_chunk is not None:
                on_chunk(protocol.Chunk(answer.id, 0, 0, outputs[0].text, []))
        return self.done(answer.id, outputs, _usage(answer.usage))

    async def _with_tools(
        self, request: dict[str, Any], tools: OfferedTools, on_chunk: OnChunk | None
    ) -> protocol.Done:
        """A turn that may call tools. It comes as one piece: half a call says nothing."""
        may_limit = self._foreign or not _ONE_CALL.match(self._model.name)
        asked = openai_tools(tools, _closed, may_limit=may_limit)
        with self.asking():
            answer = await self.client.chat.completions.create(**request, **asked)
            output = self._output(answer.choices[0])
            told = answer.choices[0].message.tool_calls or ()
            calls = [RawCall(one.function.name, one.function.arguments or "{}") for one in told]
        output = msgspec.structs.replace(output, text=told_text(output.text, calls, tools))
        if on_chunk is not None:
            on_chunk(protocol.Chunk(answer.id, 0, 0, output.text, []))
        return self.done(answer.id, [output], _usage(answer.usage))

    async def score(
        self, prompt: list[protocol.Part], choices: Sequence[str], *, unconditional: bool = False
    ) -> protocol.Scores:
        """Scores by echo: the server tells the log probabilities of the prompt that ends in a
        choice. A token that spans the prompt's end counts as the choice's. A server that refuses
        to echo them has the model choose token by token."""
        if unconditional:
            raise InvalidRequest(
                f"{self!r}: the API scores no choices without their prompt; take "
                "token_length_normalized or greedy_token_selection",
                pointer="choices_method",
            )
        text = prompt_text(prompt)
        if not self._echoes:
            return await self._chosen(text, choices)
        with self.asking():
            try:
                answer = await self.client.completions.create(
                    model=self._model.name,
                    prompt=[text + choice for choice in choices],
                    # One token more than needed: not every server takes 0.
                    max_tokens=1,
                    temperature=0.0,
                    logprobs=1,
                    echo=True,
                )
            except self._api.BadRequestError as error:
                if "echo" not in str(error).lower():
                    raise
                self._echoes = False
                return await self._chosen(text, choices)
            return self._scores(answer, text, choices)

    def _scores(self, answer: Any, text: str, choices: Sequence[str]) -> protocol.Scores:
        usage = _usage(answer.usage)
        self.token_usage.add(usage)
        by_index = {choice.index: choice for choice in answer.choices}
        if by_index.keys() != set(range(len(choices))):
            raise InternalError(f"{self!r}: {len(choices)} choices, {len(by_index)} scores")
        scores = [
            _score(by_index[i].logprobs, len(text), len(text) + len(choice))
            for i, choice in enumerate(choices)
        ]
        return protocol.Scores(rid=answer.id, choices=scores, usage=usage)

    async def _chosen(self, text: str, choices: Sequence[str]) -> protocol.Scores:
        usages: list[protocol.Usage] = []

        async def ask(prompt: list[int], bias: dict[int, float]) -> str:
            answer = await self.client.completions.create(
                model=self._model.name,
                prompt=prompt,
                max_tokens=1,
                temperature=0.0,
                logit_bias={str(token): value for token, value in bias.items()},
            )
            usages.append(_usage(answer.usage))
            self.token_usage.add(usages[-1])
            return str(answer.choices[0].text)

        encoding = encoding_of(self._model.name, repr(self))
        with self.asking():
            scores = await choose_by_bias(ask, encoding, text, choices)
        return protocol.Scores(rid="", choices=scores, usage=total(usages))

    def _sampling(self, sampling: protocol.SamplingParams) -> dict[str, Any]:
        reasoning = self.is_chat_model and not self._foreign and _REASONING.match(self._model.name)
        request: dict[str, Any] = {
            "model": self._model.name,
            "max_completion_tokens" if reasoning else "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        optional: dict[str, Any] = {
            "n": sampling.n if sampling.n > 1 else None,
            "stop": sampling.stop or None,
            "seed": sampling.seed,
            "frequency_penalty": sampling.frequency_penalty or None,
            "presence_penalty": sampling.presence_penalty or None,
            "logit_bias": {str(token): bias for token, bias in sampling.logit_bias.items()} or None,
        }
        request |= {name: value for name, value in optional.items() if value is not None}
        foreign: dict[str, Any] = {
            "top_k": sampling.top_k if sampling.top_k > 0 else None,
            "min_p": sampling.min_p or None,
            "min_tokens": sampling.min_new_tokens or None,
            "ignore_eos": sampling.ignore_eos or None,
            "stop_token_ids": sampling.stop_token_ids or None,
            "repetition_penalty": (
                sampling.repetition_penalty if sampling.repetition_penalty != 1.0 else None
            ),
        }
        given = {name: value for name, value in foreign.items() if value is not None}
        if given and not self._foreign:
            self.refuse(**given)
        return request | ({"extra_body": given} if given else {})

    def _output(self, choice: Any) -> protocol.Output:
        if self.is_chat_model:
            refusal = getattr(choice.message, "refusal", None)
            text = choice.message.content or refusal or ""
        else:
            text = choice.text
        return protocol.Output(
            text=text,
            token_ids=[],
            finish_reason=finish_reason(choice.finish_reason),
            logprobs=_logprobs(getattr(choice, "logprobs", None)),
        )

    async def _streamed(
        self, answer: AsyncIterator[Any], num_outputs: int, on_chunk: OnChunk
    ) -> protocol.Done:
        texts = [""] * num_outputs
        ends: list[str | None] = [None] * num_outputs
        logprobs: list[list[protocol.TokenLogprob] | None] = [None] * num_outputs
        usage = protocol.Usage(0, 0, 0)
        rid, seq = "", 0
        async for event in answer:
            rid = event.id or rid
            if getattr(event, "usage", None) is not None:
                usage = _usage(event.usage)
            for choice in event.choices:
                delta = choice.delta.content if self.is_chat_model else choice.text
                tokens = _logprobs(getattr(choice, "logprobs", None))
                ends[choice.index] = choice.finish_reason or ends[choice.index]
                if tokens is not None:
                    logprobs[choice.index] = [*(logprobs[choice.index] or []), *tokens]
                if not delta:
                    continue
                texts[choice.index] += delta
                on_chunk(protocol.Chunk(rid, seq, choice.index, delta, [], tokens))
                seq += 1
        if None in ends:
            raise InternalError(f"{self!r}: the stream ended before the output did")
        outputs = [
            protocol.Output(text, [], finish_reason(end), logprobs=tokens)
            for text, end, tokens in zip(texts, ends, logprobs, strict=True)
        ]
        return self.done(rid, outputs, usage)


def prompt_text(prompt: Sequence[protocol.Part]) -> str:
    """A prompt as the text that a completion model goes on from."""
    pieces = []
    for part in prompt:
        if isinstance(part, protocol.Tokens):
            raise InvalidRequest("token ids cannot be sent to an API")
        pieces.append(part.text)
    return "".join(pieces)


def _response_format(constraint: protocol.Constraint | None) -> dict[str, Any]:
    if constraint is None:
        return {}
    if not isinstance(constraint, protocol.JsonSchema):
        raise InvalidRequest(f"the API takes no {type(constraint).__name__} constraint")
    schema = json.loads(constraint.schema)
    # OpenAI enforces a schema only where all its objects are closed and complete.
    form = {"name": "output", "schema": schema, "strict": _closed(schema)}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


def _closed(schema: object) -> bool:
    """Whether every object in the schema requires all it declares and allows nothing else."""
    if isinstance(schema, list):
        return all(map(_closed, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" and (
        schema.get("additionalProperties") is not False
        or set(schema.get("required", ())) != set(properties or ())
    ):
        return False
    return all(map(_closed, schema.values()))


def _usage(told: Any) -> protocol.Usage:
    if told is None:
        return protocol.Usage(0, 0, 0)
    details = getattr(told, "prompt_tokens_details", None)
    cached = getattr(details, "cached_tokens", None) or 0
    return protocol.Usage(told.prompt_tokens, told.completion_tokens or 0, cached)


def _logprobs(told: Any) -> list[protocol.TokenLogprob] | None:
    """The API tells texts and no token ids: those are -1."""
    if told is None:
        return None
    content = getattr(told, "content", None)
    if content is not None:
        return [
            protocol.TokenLogprob(
                token.logprob,
                -1,
                token.token,
                [(other.logprob, -1, other.token) for other in token.top_logprobs or ()],
            )
            for token in content
        ]
    if getattr(told, "token_logprobs", None) is None:
        return None
    tops = told.top_logprobs or [None] * len(told.tokens)
    return [
        protocol.TokenLogprob(
            logprob, -1, token, [(value, -1, other) for other, value in (top or {}).items()]
        )
        for token, logprob, top in zip(told.tokens, told.token_logprobs, tops, strict=True)
    ]


def _score(told: Any, start: int, end: int) -> protocol.ChoiceScore:
    """The tokens of an echoed text that lie in [start, end)."""
    tokens = [
        protocol.TokenLogprob(logprob, -1, token)
        for token, logprob, at in zip(
            told.tokens, told.token_logprobs, told.text_offset, strict=True
        )
        if at < end and at + len(token) > start
    ]
    return protocol.ChoiceScore(token_ids=[-1] * len(tokens), logprobs=tokens)
