"""One generation or selection call: from a node and a prompt to a result. Called by executor.py;
knows nothing of states."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from branchline.runtime import protocol

from .backend.base import Ahead, Backend, Session
from .choices import mean_logprob
from .errors import GenerationError, InternalError, InvalidRequest, TimeoutExceeded
from .ir import Gen, Select
from .meta import Meta, chunk_meta, generation_meta, logprob_tuples, usage_meta
from .retry import Retry, with_retries
from .sampling import SamplingOptions, wire_params

Result = TypeVar("Result")
OnDelta = Callable[[str, Meta], None]
Asked = tuple[protocol.SamplingParams, protocol.LogprobParams | None, bool]


@dataclass(frozen=True)
class Generated:
    """`texts` has one entry per sequence; `token_ids` stand for the first. `thinking` was cut out
    of the texts (empty when the call does not separate it)."""

    texts: list[str]
    token_ids: list[int]
    meta: Meta
    usage: protocol.Usage
    thinking: list[str] = field(default_factory=list)
    healed_chars: int = 0


@dataclass(frozen=True)
class Chosen:
    decision: str
    meta: Meta
    usage: protocol.Usage


def parameters(backend: Backend, node: Gen, defaults: SamplingOptions) -> Asked:
    """What a Gen asks of a backend, or InvalidRequest. The last one says that it only looks what
    would come next: what it generates for that is thrown away."""
    stops = (*node.extra_stops, *backend.chat_template.stop_str)
    sampling, logprobs = wire_params(node.sampling, defaults, stops)
    if isinstance(node.constraint, protocol.Tagged):
        sampling = _for_tagged(sampling)
    # Only a dtype's outputs are read as one of these.
    typed = backend.capabilities.dtype and node.kind in ("int", "float", "bool", "string")
    backend.require(
        regex=isinstance(node.constraint, protocol.Regex) and not typed,
        json_schema=isinstance(node.constraint, protocol.JsonSchema),
        logprobs=logprobs is not None,
        multiple_outputs=sampling.n > 1,
        stop_regex=bool(sampling.stop_regex),
        token_healing=sampling.token_healing,
        tool_calls=isinstance(node.constraint, protocol.Tagged),
        grammar=isinstance(node.constraint, protocol.Ebnf),
        islands=isinstance(node.constraint, protocol.Islands),
        grammar_options=_has_options(node.constraint),
    )
    _check_stops(sampling.stop)
    peek = sampling.max_new_tokens == 0 and logprobs is not None
    # "What would come next": the candidates are those of one generated token.
    return (_with_one_token(sampling) if peek else sampling), logprobs, peek


def is_plain(sampling: protocol.SamplingParams, *, peek: bool) -> bool:
    """Whether the state goes on with the one output, behind the prompt as it is."""
    return sampling.n == 1 and not sampling.token_healing and not peek


async def generate(
    backend: Backend,
    prompt: list[protocol.Part],
    node: Gen,
    defaults: SamplingOptions,
    on_delta: OnDelta | None,
    retry: Retry,
    session: Session | None = None,
    ahead: Ahead | None = None,
    asked: Asked | None = None,
) -> Generated:
    """Run a Gen. `on_delta` gets the text of the first sequence as it comes. `session` is that of
    the state which goes on with `texts[0]` (`token_ids`); `ahead` tells what it calls next.
    `asked`: its `parameters`, where they are known already."""
    session = session or Session(backend)
    sampling, logprobs, peek = asked or parameters(backend, node, defaults)
    stream = None if on_delta is None or peek else _Stream(on_delta)

    def attempt() -> Awaitable[protocol.Done]:
        return session.generate(
            prompt,
            sampling,
            constraint=node.constraint,
            logprobs=logprobs,
            on_chunk=None if stream is None else stream.take,
            keep_output=not peek and node.reasoning is None,
            ahead=ahead if is_plain(sampling, peek=peek) else None,
        )

    unseen = (lambda: True) if stream is None else (lambda: not stream.begun)
    done = await _within(node.timeout_s, with_retries(retry, backend, attempt, unseen))
    return read_generated(done, node, sampling, peek=peek)


def read_generated(
    done: protocol.Done, node: Gen, sampling: protocol.SamplingParams, *, peek: bool
) -> Generated:
    """What came of a Gen that asked for `sampling`."""
    if len(done.outputs) != sampling.n:
        raise InternalError(f"asked for {sampling.n} outputs, got {len(done.outputs)}")
    meta = generation_meta(done)
    if peek:
        meta["completion_tokens"] = 0
        nothing = [""] * sampling.n
        return Generated(nothing, [], meta, done.usage, thinking=nothing)
    texts = [output.text for output in done.outputs]
    if node.reasoning is None:
        first = done.outputs[0]
        return Generated(texts, first.token_ids, meta, done.usage, healed_chars=first.healed_chars)
    thinking, answers = zip(*map(node.reasoning.split, texts), strict=True)
    # The answer without the thinking is other text than was generated: it has no tokens yet.
    return Generated(list(answers), [], meta, done.usage, thinking=list(thinking))


async def choose(
    backend: Backend,
    prompt: list[protocol.Part],
    node: Select,
    retry: Retry,
    session: Session | None = None,
) -> Chosen:
    """Score every choice and let the node's method decide."""
    session = session or Session(backend)
    backend.require(select=True)
    method = node.choices_method
    unconditional = method.requires_unconditional_logprobs
    scores = await with_retries(
        retry,
        backend,
        lambda: session.score(prompt, node.choices, unconditional=unconditional),
    )
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


async def cache_prefix(
    backend: Backend,
    prompt: list[protocol.Part],
    retry: Retry,
    session: Session | None = None,
) -> protocol.Usage:
    """Compute a prompt and leave it in the runtime's cache."""
    session = session or Session(backend)
    nothing = protocol.SamplingParams(max_new_tokens=0)
    done = await with_retries(retry, backend, lambda: session.generate(prompt, nothing))
    return done.usage


class _Stream:
    """Hands the pieces of the first sequence on. `begun`: somebody has seen one."""

    def __init__(self, on_delta: OnDelta) -> None:
        self.begun = False
        self._on_delta = on_delta
        self._completion_tokens = 0

    def take(self, chunk: protocol.Chunk) -> None:
        if chunk.index == 0:
            self.begun = True
            self._completion_tokens += len(chunk.token_ids)
            self._on_delta(chunk.text, chunk_meta(chunk, self._completion_tokens))


async def _within(timeout_s: float | None, result: Awaitable[Result]) -> Result:
    """The result, or TimeoutExceeded; leaving the call early stops it in the runtime too."""
    if timeout_s is None:
        return await result
    scope = asyncio.timeout(timeout_s)
    try:
        async with scope:
            return await result
    except TimeoutError:
        if not scope.expired():
            raise
        raise TimeoutExceeded(f"no result within {timeout_s:g} s") from None


def _has_options(constraint: protocol.Constraint | None) -> bool:
    """Whether a constraint says more than what the output is."""
    match constraint:
        case protocol.JsonSchema(schema=schema):
            return constraint != protocol.JsonSchema(schema)
        case protocol.Regex() | protocol.Ebnf() | protocol.Choices():
            return constraint.backend != "auto"
        case _:
            return False


def _with_one_token(sampling: protocol.SamplingParams) -> protocol.SamplingParams:
    values = {name: getattr(sampling, name) for name in sampling.__struct_fields__}
    return protocol.SamplingParams(**{**values, "max_new_tokens": 1, "min_new_tokens": 0})


def _for_tagged(sampling: protocol.SamplingParams) -> protocol.SamplingParams:
    """The same parameters without what would cut a tagged value, or hide the control tokens by
    which it is read."""
    values = {name: getattr(sampling, name) for name in sampling.__struct_fields__}
    stops: dict[str, list[str]] = {"stop": [], "stop_regex": [], "stop_token_ids": []}
    whole = {**stops, "n": 1, "skip_special_tokens": False}
    return protocol.SamplingParams(**{**values, **whole})


def _check_stops(stops: Sequence[str]) -> None:
    if len(stops) > protocol.MAX_STOPS:
        raise InvalidRequest(
            f"{len(stops)} stop strings (with those of the chat template and the dtype); "
            f"at most {protocol.MAX_STOPS} are allowed",
            pointer="stop",
        )
