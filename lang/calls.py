"""One generation or selection call: from a node and a prompt to a result. Called by executor.py;
knows nothing of states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from branchline.runtime import protocol

from .backend.base import Backend
from .choices import mean_logprob
from .errors import GenerationError, InternalError, InvalidRequest
from .ir import Gen, Select
from .meta import Meta, chunk_meta, generation_meta, logprob_tuples, usage_meta
from .sampling import SamplingOptions

OnDelta = Callable[[str, Meta], None]


@dataclass(frozen=True)
class Generated:
    """`texts` has one entry per sequence; `token_ids` stand for the first. `thinking` was cut out
    of the first text (None when the call does not separate it)."""

    texts: list[str]
    token_ids: list[int]
    meta: Meta
    usage: protocol.Usage
    thinking: str | None = None


@dataclass(frozen=True)
class Chosen:
    decision: str
    meta: Meta
    usage: protocol.Usage


async def generate(
    backend: Backend,
    prompt: list[protocol.Part],
    node: Gen,
    defaults: SamplingOptions,
    on_delta: OnDelta | None,
) -> Generated:
    """Run a Gen. `on_delta` gets the text of the first sequence as it comes."""
    options = node.sampling.over(defaults)
    stops = (*node.extra_stops, *backend.chat_template.stop_str)
    sampling = options.sampling_params(stops)
    logprobs = options.logprob_params()
    backend.require(
        regex=isinstance(node.constraint, protocol.Regex),
        json_schema=isinstance(node.constraint, protocol.JsonSchema),
        logprobs=logprobs is not None,
        multiple_outputs=sampling.n > 1,
        stop_regex=bool(options.stop_regex),
    )
    _check_stops(sampling.stop)
    peek = sampling.max_new_tokens == 0 and logprobs is not None
    if peek:
        # "What would come next": the candidates are those of one generated token, which is then
        # thrown away.
        sampling = _with_one_token(sampling)
    done = await backend.generate(
        prompt,
        sampling,
        constraint=node.constraint,
        logprobs=logprobs,
        on_chunk=None if on_delta is None or peek else _first_sequence(on_delta),
    )
    if len(done.outputs) != sampling.n:
        raise InternalError(f"asked for {sampling.n} outputs, got {len(done.outputs)}")
    meta = generation_meta(done)
    if peek:
        meta["completion_tokens"] = 0
        return Generated([""] * sampling.n, [], meta, done.usage)
    texts = [output.text for output in done.outputs]
    if node.reasoning is None:
        return Generated(texts, done.outputs[0].token_ids, meta, done.usage)
    split = [node.reasoning.split(text) for text in texts]
    # The answer without the thinking is other text than was generated: it has no tokens yet.
    return Generated([answer for _, answer in split], [], meta, done.usage, thinking=split[0][0])


async def choose(backend: Backend, prompt: list[protocol.Part], node: Select) -> Chosen:
    """Score every choice and let the node's method decide."""
    backend.require(select=True)
    method = node.choices_method
    unconditional = method.requires_unconditional_logprobs
    scores = await backend.score(prompt, node.choices, unconditional=unconditional)
    if len(scores.choices) != len(node.choices):
        raise InternalError(f"{len(node.choices)} choices, {len(scores.choices)} scores")
    alone = [logprob_tuples(score.unconditional or ()) for score in scores.choices]
    decision = method(
        choices=node.choices,
        normalized_prompt_logprobs=[
            mean_logprob([token.logprob for token in score.logprobs]) for score in scores.choices
        ],
        input_token_logprobs=[logprob_tuples(score.logprobs) for score in scores.choices],
        output_token_logprobs=[[] for _ in scores.choices],
        unconditional_token_logprobs=alone if unconditional else None,
    )
    if decision.decision not in node.choices:
        raise GenerationError(
            f"{method!r} decided for {decision.decision!r}, which is none of the choices"
        )
    meta = usage_meta(scores.rid, scores.usage) | (decision.meta_info or {})
    return Chosen(decision.decision, meta, scores.usage)


async def cache_prefix(backend: Backend, prompt: list[protocol.Part]) -> protocol.Usage:
    """Compute a prompt and leave it in the runtime's cache."""
    done = await backend.generate(prompt, protocol.SamplingParams(max_new_tokens=0))
    return done.usage


def _first_sequence(on_delta: OnDelta) -> Callable[[protocol.Chunk], None]:
    completion_tokens = 0

    def on_chunk(chunk: protocol.Chunk) -> None:
        nonlocal completion_tokens
        if chunk.index == 0:
            completion_tokens += len(chunk.token_ids)
            on_delta(chunk.text, chunk_meta(chunk, completion_tokens))

    return on_chunk


def _with_one_token(sampling: protocol.SamplingParams) -> protocol.SamplingParams:
    values = {name: getattr(sampling, name) for name in sampling.__struct_fields__}
    return protocol.SamplingParams(**{**values, "max_new_tokens": 1, "min_new_tokens": 0})


def _check_stops(stops: Sequence[str]) -> None:
    if len(stops) > protocol.MAX_STOPS:
        raise InvalidRequest(
            f"{len(stops)} stop strings (with those of the chat template and the dtype); "
            f"at most {protocol.MAX_STOPS} are allowed",
            pointer="stop",
        )
