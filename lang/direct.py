"""Calls without a program: a prompt and a dict of parameters in, a dict out, as SGLang's runtimes
take and give them. Behind `Runtime.generate`, `Engine.generate` and their async forms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from branchline.runtime.protocol import Done, EmbedParams, Part, Text, Tokens

from . import ir
from .api import gen
from .backend.base import Backend
from .function import Function
from .loop import shared_loop
from .meta import Meta, usage_meta
from .state import ProgramState
from .streaming import iterate_variable, iterate_variable_async
from .transcript import Addition

Prompt = str | Sequence[int]
Params = Mapping[str, Any]
Answer = dict[str, Any]

# Names of sampling parameters in SGLang that `gen` has other names for.
_GEN_NAMES = {
    "max_new_tokens": "max_tokens",
    "min_new_tokens": "min_tokens",
    "sampling_seed": "seed",
    "ebnf": "grammar",
}
_SAME_NAMES = (
    "n", "stop", "stop_token_ids", "stop_regex", "temperature", "top_p", "top_k", "min_p",
    "frequency_penalty", "presence_penalty", "repetition_penalty", "logit_bias", "ignore_eos",
    "regex", "json_schema", "seed", "skip_special_tokens",
)  # fmt: skip
# Our tokenizers put no spaces there, whatever is asked.
_WITHOUT_EFFECT = "spaces_between_special_tokens"
_KNOWN = (*_GEN_NAMES, *_SAME_NAMES, _WITHOUT_EFFECT)
_LOGPROBS = (
    "return_logprob", "logprob_start_len", "top_logprobs_num", "return_text_in_logprobs",
)  # fmt: skip
# SGLang's arguments that only their absence is taken of, and why.
_NOT_OFFERED: Final = {
    "lora_path": "adapters (LoRA) are not served; merge one into its model and serve that",
    "image_data": "models are served for text only",
    "audio_data": "models are served for text only",
    "video_data": "models are served for text only",
    "token_ids_logprob": "ask for top_logprobs_num",
    "return_hidden_states": "hidden states are not kept; `encode` makes embeddings of them",
    "custom_logit_processor": "code does not travel to a runtime; take logit_bias or a constraint",
}


def generate(
    backend: Backend,
    prompt: str | Sequence[str] | None = None,
    sampling_params: Params | Sequence[Params] | None = None,
    *,
    input_ids: Sequence[int] | Sequence[Sequence[int]] | None = None,
    **logprobs: Any,
) -> Answer | list[Answer]:
    """Continue one prompt, or several at the same time: `{"text", "meta_info"}`, or a list of
    those for several prompts or `n` above 1.

    prompt: the whole prompt as text; the model's control tokens that are written in it are those
    tokens, as a rendered chat template needs it. input_ids: the prompt as token ids instead.
    sampling_params: `max_new_tokens`, `temperature`, `regex`, ...; a list has each prompt's own.
    logprobs: `return_logprob, logprob_start_len, top_logprobs_num, return_text_in_logprobs`.

    Raises ValueError for wrong parameters and for those that are not offered (`lora_path`, ...),
    and GenerationError for what the runtime refuses.
    """
    states, many = _begin(backend, prompt, sampling_params, input_ids, logprobs)
    answers = [answer for state in states for answer in _answers(state)]
    return answers if many or len(answers) > 1 else answers[0]


async def generate_async(
    backend: Backend,
    prompt: str | Sequence[str] | None = None,
    sampling_params: Params | Sequence[Params] | None = None,
    *,
    input_ids: Sequence[int] | Sequence[Sequence[int]] | None = None,
    **logprobs: Any,
) -> Answer | list[Answer]:
    """`generate` for coroutines."""
    states, many = _begin(backend, prompt, sampling_params, input_ids, logprobs)
    try:
        for state in states:
            await state.wait()
    except BaseException:
        for state in states:
            state.cancel()
        raise
    answers = [answer for state in states for answer in _answers(state)]
    return answers if many or len(answers) > 1 else answers[0]


async def stream(
    backend: Backend,
    prompt: str | None = None,
    sampling_params: Mapping[str, Any] | None = None,
    *,
    input_ids: Sequence[int] | None = None,
) -> AsyncIterator[str]:
    """The answer to one prompt in pieces, as they come. Leaving the loop ends the call."""
    state = _started(backend, prompt, sampling_params, input_ids, {})
    try:
        async for piece in state.text_async_iter("text"):
            if piece:
                yield piece
    finally:
        state.cancel()


def stream_answers(
    backend: Backend,
    prompt: str | None = None,
    sampling_params: Mapping[str, Any] | None = None,
    *,
    input_ids: Sequence[int] | None = None,
    **logprobs: Any,
) -> Iterator[Answer]:
    """The answer to one prompt, as `generate` gives it, again and again while it grows, at last the
    whole. It is asked for now; leaving the loop ends the call."""
    state = _started(backend, prompt, sampling_params, input_ids, logprobs)

    def answers() -> Iterator[Answer]:
        so_far = _Growing()
        try:
            for piece, meta in iterate_variable(state.stream_executor, "text"):
                if piece:
                    yield so_far.add(piece, meta)
            yield _answers(state)[0]
        finally:
            state.cancel()

    return answers()


def stream_answers_async(
    backend: Backend,
    prompt: str | None = None,
    sampling_params: Mapping[str, Any] | None = None,
    *,
    input_ids: Sequence[int] | None = None,
    **logprobs: Any,
) -> AsyncIterator[Answer]:
    """`stream_answers` for coroutines."""
    state = _started(backend, prompt, sampling_params, input_ids, logprobs)

    async def answers() -> AsyncIterator[Answer]:
        so_far = _Growing()
        try:
            async for piece, meta in iterate_variable_async(state.stream_executor, "text"):
                if piece:
                    yield so_far.add(piece, meta)
            yield _answers(state)[0]
        finally:
            state.cancel()

    return answers()


def encode(
    backend: Backend,
    prompt: str | Sequence[str],
    *,
    pooling: Literal["mean", "last"] = "mean",
    dimensions: int | None = None,
) -> Answer | list[Answer]:
    """What the model makes of a text, or of several: `{"embedding": [...], "meta_info"}`, vectors
    of length 1. `pooling`: the mean of the last hidden states, or the last token's; `dimensions`
    keeps the first so many. Raises InvalidRequest where the backend has no embeddings."""
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    params = EmbedParams(pooling, dimensions)

    async def embed() -> list[Done]:
        asked = (backend.embed([Text(text)], params) for text in prompts)
        return list(await asyncio.gather(*asked))

    answers = [
        {
            "embedding": list(memoryview(done.embedding or b"").cast("f")),
            "meta_info": usage_meta(done.rid, done.usage),
        }
        for done in shared_loop().run(embed())
    ]
    return answers[0] if isinstance(prompt, str) else answers


def load_tokenizer(backend: Backend) -> Any:
    """The served model's tokenizer, as transformers loads it. Its files must lie on this machine,
    or on the hub."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(backend.model_info.path)


def _begin(
    backend: Backend,
    prompt: Any,
    sampling_params: Params | Sequence[Params] | None,
    input_ids: Any,
    options: Mapping[str, Any],
) -> tuple[list[ProgramState], bool]:
    """The states of all prompts, and whether these came as a list."""
    prompts, many = _prompts(prompt, input_ids)
    asked = zip(prompts, _nodes(sampling_params, options, len(prompts)), strict=True)
    return [_PROGRAM.run(one, node, backend=backend) for one, node in asked], many


def _prompts(prompt: Any, input_ids: Any) -> tuple[list[Prompt], bool]:
    """The prompts one by one, and whether they came as a list."""
    if (prompt is None) == (input_ids is None):
        raise ValueError("generate: give either a prompt or input_ids")
    if prompt is not None:
        return ([prompt], False) if isinstance(prompt, str) else (list(prompt), True)
    ids = list(input_ids)
    several = bool(ids) and not isinstance(ids[0], int)
    return (ids, True) if several else ([ids], False)


def _started(
    backend: Backend,
    prompt: Any,
    sampling_params: Mapping[str, Any] | None,
    input_ids: Any,
    logprobs: Mapping[str, Any],
) -> ProgramState:
    """A call whose answer streams."""
    [given, *others], many = _prompts(prompt, input_ids)
    if many or others or dict(sampling_params or {}).get("n") not in (None, 1):
        raise ValueError("a stream is of one prompt and one output; start one for each")
    return _PROGRAM.run(given, _node(sampling_params, logprobs), backend=backend, stream=True)


class _Growing:
    """An answer while it comes; log probabilities are told of all tokens so far."""

    def __init__(self) -> None:
        self._text = ""
        self._tokens: dict[str, list[Any]] = {}

    def add(self, piece: str, meta: Meta) -> Answer:
        self._text += piece
        for name in ("output_token_logprobs", "output_top_logprobs"):
            if name in meta:
                self._tokens[name] = self._tokens.get(name, []) + meta[name]
        return {"text": self._text, "meta_info": {**meta, **self._tokens}}


def _nodes(
    sampling_params: Params | Sequence[Params] | None, options: Mapping[str, Any], number: int
) -> list[ir.Expr]:
    """The call of each of `number` prompts."""
    if sampling_params is None or isinstance(sampling_params, Mapping):
        return [_node(sampling_params, options)] * number
    if len(sampling_params) != number:
        raise ValueError(
            f"generate: sampling_params: {len(sampling_params)} for {number} prompts; give one for "
            "each, or one dict for all"
        )
    return [_node(params, options) for params in sampling_params]


def _node(sampling_params: Mapping[str, Any] | None, options: Mapping[str, Any]) -> ir.Expr:
    for name, value in options.items():
        if name in _NOT_OFFERED and value is not None and value is not False:
            raise ValueError(f"generate: {name}={value!r}: {_NOT_OFFERED[name]}")
        if name not in _NOT_OFFERED and name not in _LOGPROBS:
            known = ", ".join(("prompt", "sampling_params", "input_ids", *_LOGPROBS))
            raise TypeError(f"generate: no argument {name!r}; known: {known}")
    logprobs = {name: value for name, value in options.items() if name in _LOGPROBS}
    given = dict(sampling_params or {})
    unknown = given.keys() - set(_KNOWN)
    if unknown:
        raise ValueError(
            f"generate: sampling_params: unknown {', '.join(sorted(unknown))}; known: "
            f"{', '.join(_KNOWN)}"
        )
    given.pop(_WITHOUT_EFFECT, None)
    named = {_GEN_NAMES.get(name, name): value for name, value in given.items()}
    return gen("text", **named, **logprobs)


def _ask(s: ProgramState, prompt: Prompt, node: ir.Expr) -> None:
    text, part = _part(prompt)
    s += ir.AppendChildren((Addition(text, (part,)),)) + node


def _part(prompt: Prompt) -> tuple[str, Part]:
    # Token ids have no text on this side of the wire.
    return (
        (prompt, Text(prompt, markup=True))
        if isinstance(prompt, str)
        else ("", Tokens(list(prompt)))
    )


def _answers(state: ProgramState) -> list[Answer]:
    output, meta = state["text"], state.get_meta_info("text") or {}
    if isinstance(output, str):
        return [{"text": output, "meta_info": meta}]
    shared: Meta = {key: value for key, value in meta.items() if key != "sequences"}
    each = zip(output, meta["sequences"], strict=True)
    return [{"text": text, "meta_info": {**shared, **own}} for text, own in each]


_PROGRAM: Function[None] = Function(_ask)
_PROGRAM.name = "generate"
