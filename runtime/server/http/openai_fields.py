"""The fields that OpenAI's chat and text completions share, and what they become on the wire. Used
by chat.py and completions.py."""

from __future__ import annotations

import time
from typing import Any, Literal

from msgspec import Struct

from ...protocol import (
    MAX_NEW_TOKENS,
    Done,
    FinishReason,
    ModelInfo,
    SamplingParams,
    TokenLogprob,
    Usage,
)
from ...tokenizer import Tokenizer
from .errors import ApiError, refuse
from .guided import HeldRequest


class StreamOptions(Struct, forbid_unknown_fields=True):
    """`include_usage` adds a last event with the token counts. Padding is never added."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class CommonRequest(HeldRequest, kw_only=True, forbid_unknown_fields=True):
    """Bounds are those of the wire (protocol.SamplingParams). The second block is ours, not
    OpenAI's; the third is taken and has no effect."""

    model: str | None = None
    n: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[int, float] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    min_tokens: int | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool | None = None
    skip_special_tokens: bool | None = None

    user: str | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None


class PromptTokensDetails(Struct, frozen=True):
    """`cached_tokens` came from the radix cache."""

    cached_tokens: int


class UsageBody(Struct, frozen=True):
    """Token counts of a request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


def check_common(body: CommonRequest, model: ModelInfo) -> None:
    """Refuse another model, and options that contradict each other."""
    check_model(body.model, model)
    if body.stream_options is not None and not body.stream:
        raise refuse("stream_options needs stream: true", "stream_options")


def check_model(asked: str | None, model: ModelInfo) -> None:
    """Refuse another model than the one that is served."""
    if asked is not None and asked not in (model.name, model.path):
        raise ApiError(
            404,
            f"the model {asked[:128]!r} is not served here; this server has {model.name!r}",
            param="model",
            code="model_not_found",
        )


def sampling_of(body: CommonRequest, max_new_tokens: int | None) -> SamplingParams:
    """What the fields mean; `max_new_tokens=None` is as many as the context holds."""
    stop = [body.stop] if isinstance(body.stop, str) else body.stop
    given: dict[str, Any] = {
        "max_new_tokens": MAX_NEW_TOKENS if max_new_tokens is None else max_new_tokens,
        "min_new_tokens": body.min_tokens,
        "n": body.n,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "top_k": body.top_k,
        "min_p": body.min_p,
        "frequency_penalty": body.frequency_penalty,
        "presence_penalty": body.presence_penalty,
        "repetition_penalty": body.repetition_penalty,
        "seed": body.seed,
        "stop": stop,
        "stop_token_ids": body.stop_token_ids,
        "ignore_eos": body.ignore_eos,
        "skip_special_tokens": body.skip_special_tokens,
        "logit_bias": body.logit_bias,
    }
    return SamplingParams(**{name: value for name, value in given.items() if value is not None})


def usage_body(usages: list[Usage]) -> UsageBody:
    """The sum over several calls."""
    prompt = sum(usage.prompt_tokens for usage in usages)
    completion = sum(usage.completion_tokens for usage in usages)
    cached = sum(usage.cached_tokens for usage in usages)
    return UsageBody(prompt, completion, prompt + completion, PromptTokensDetails(cached))


def usage_of(dones: list[Done]) -> UsageBody:
    return usage_body([done.usage for done in dones])


def finish_reason(reason: FinishReason) -> Literal["stop", "length"]:
    """OpenAI's word; a cancelled sequence never gets an answer."""
    return "length" if reason == "length" else "stop"


def now() -> int:
    """Unix time, whole seconds."""
    return int(time.time())


def refuse_fields(body: Struct, reasons: dict[str, str]) -> None:
    """Refuse fields that change the output and that this server does not have, unless they are
    given as null or empty."""
    for name, reason in reasons.items():
        if getattr(body, name) not in (None, [], {}, False, "none"):
            raise refuse(f"{name} is not supported: {reason}", name)


def token_text(tokenizer: Tokenizer, token_id: int) -> tuple[str, bytes]:
    """A token as text and as the exact bytes it stands for."""
    exact = tokenizer.bytes_of([token_id], skip_special_tokens=False)
    return exact.decode("utf-8", "replace"), exact


def logprob_value(token: TokenLogprob) -> float:
    """JSON has no infinity: a token that a mask or a bias made impossible gets -9999, as in
    OpenAI's API."""
    return finite(token.logprob)


def finite(logprob: float | None) -> float:
    return max(-9999.0, logprob) if logprob is not None else -9999.0
