"""SGLang's own request, and what it becomes on the wire. Used by native.py."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from ...protocol import (
    Constraint,
    Ebnf,
    Generate,
    JsonSchema,
    LogprobParams,
    Part,
    Regex,
    SamplingParams,
)
from .errors import refuse
from .formats import StructuralTagFormat
from .openai_fields import refuse_fields
from .prompts import PromptField, prompts_of

Item = TypeVar("Item")

_UNSUPPORTED: Final = {
    "image_data": "the model reads text",
    "audio_data": "the model reads text",
    "video_data": "the model reads text",
    "input_embeds": "clients cannot send tensors",
    "token_ids_logprob": "ask for top_logprobs_num",
    "return_hidden_states": "hidden states are not kept",
    "lora_path": "there are no adapters",
    "session_params": "there are no sessions over HTTP",
}
_UNSUPPORTED_SAMPLING: Final = {
    "no_stop_trim": "the stop string is always cut off",
    "custom_params": "there are none",
}


class NativeSampling(Struct, kw_only=True, forbid_unknown_fields=True):
    """SGLang's sampling parameters; bounds are those of the wire."""

    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    n: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    sampling_seed: int | None = None
    stop: str | list[str] | None = None
    stop_regex: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool | None = None
    skip_special_tokens: bool | None = None
    logit_bias: dict[int, float] | None = None
    regex: str | None = None
    json_schema: str | None = None
    ebnf: str | None = None
    structural_tag: str | None = None

    # No effect: our tokenizers put no spaces between special tokens.
    spaces_between_special_tokens: bool | None = None

    no_stop_trim: Any = None
    custom_params: Any = None


class NativeRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Prompts as text or as token ids, one or several; the other fields hold for all prompts,
    or are lists with one entry for each.

    text: the whole prompt; control tokens in it are recognised unless `markup` is false.
    logprob_start_len: from which prompt token on log probabilities are returned; -1: none. Where it
    is not given, the prompt's are returned if nothing else is asked for: no new token and no
    likeliest next ones, as SGLang's frontend asks to weigh choices by their own likelihood.
    """

    text: str | list[str] | None = None
    input_ids: list[int | list[int]] | None = None
    sampling_params: NativeSampling | list[NativeSampling] | None = None
    return_logprob: bool | list[bool] | None = None
    logprob_start_len: int | list[int] | None = None
    top_logprobs_num: int | list[int] | None = None
    return_text_in_logprobs: bool | None = None
    stream: bool | None = None
    rid: str | list[str] | None = None
    markup: bool = True

    image_data: Any = None
    audio_data: Any = None
    video_data: Any = None
    input_embeds: Any = None
    token_ids_logprob: Any = None
    return_hidden_states: Any = None
    lora_path: Any = None
    session_params: Any = None


class NativeCall(Struct, frozen=True):
    """One prompt's call. `peek`: it asked for no token but for the likeliest next ones, for which
    one token is generated that nobody sees."""

    generate: Generate
    peek: bool


def prompt_field(body: NativeRequest) -> PromptField:
    """The one of `text` and `input_ids` that was given. Raises ApiError."""
    if (body.text is None) == (body.input_ids is None):
        raise refuse("give either text or input_ids", "text")
    return body.text if body.text is not None else body.input_ids  # type: ignore[return-value]


def calls_of(body: NativeRequest, namespace: str) -> list[NativeCall]:
    """The calls, one for each prompt. Raises ApiError."""
    refuse_fields(body, _UNSUPPORTED)
    name = "text" if body.text is not None else "input_ids"
    prompts = prompts_of(prompt_field(body), name, markup=body.markup)
    count = len(prompts)
    samplings = _spread(body.sampling_params or NativeSampling(), count, "sampling_params")
    wanted = _spread(body.return_logprob or False, count, "return_logprob")
    starts: list[int | None] = [None] * count
    if body.logprob_start_len is not None:
        starts = [*_spread(body.logprob_start_len, count, "logprob_start_len")]
    tops = _spread(body.top_logprobs_num or 0, count, "top_logprobs_num")
    return [
        _call(
            body,
            prompt,
            sampling,
            LogprobParams(top, _start(start, sampling, top)) if wants else None,
            namespace,
        )
        for prompt, sampling, wants, start, top in zip(
            prompts, samplings, wanted, starts, tops, strict=True
        )
    ]


def _start(given: int | None, sampling: NativeSampling, num_top: int) -> int | None:
    """The first prompt token of which log probabilities are told."""
    if given is None:
        return 0 if sampling.max_new_tokens == 0 and not num_top else None
    return given if given >= 0 else None


def _call(
    body: NativeRequest,
    prompt: list[Part],
    given: NativeSampling,
    logprobs: LogprobParams | None,
    namespace: str,
) -> NativeCall:
    sampling = _sampling(given)
    constraint = _constraint(given)
    peek = sampling.max_new_tokens == 0 and logprobs is not None and logprobs.top > 0
    if peek:
        sampling = SamplingParams(max_new_tokens=1, temperature=0.0, ignore_eos=True)
        constraint = None
    generate = Generate(
        rid="-",
        prompt=prompt,
        sampling=sampling,
        constraint=constraint,
        logprobs=logprobs,
        stream=bool(body.stream),
        namespace=namespace,
    )
    return NativeCall(generate, peek)


def _sampling(given: NativeSampling) -> SamplingParams:
    refuse_fields(given, _UNSUPPORTED_SAMPLING)
    fields = {
        name: getattr(given, name)
        for name in SamplingParams.__struct_fields__
        if getattr(given, name, None) is not None
    }
    for name in ("stop", "stop_regex"):
        if isinstance(fields.get(name), str):
            fields[name] = [fields[name]]
    if given.sampling_seed is not None:
        fields["seed"] = given.sampling_seed
    return SamplingParams(**fields)


def _constraint(given: NativeSampling) -> Constraint | None:
    forms = [
        name
        for name in ("regex", "json_schema", "ebnf", "structural_tag")
        if getattr(given, name) is not None
    ]
    if len(forms) > 1:
        raise refuse(f"give one of {' and '.join(forms)}", f"sampling_params.{forms[0]}")
    if given.regex is not None:
        return Regex(given.regex)
    if given.ebnf is not None:
        return Ebnf(given.ebnf)
    if given.structural_tag is not None:
        where = "sampling_params.structural_tag"
        try:
            tag = msgspec.json.decode(given.structural_tag, type=StructuralTagFormat)
        except msgspec.DecodeError as error:
            raise refuse(f"not a structural tag: {error}", where) from None
        return tag.constraint(where)
    return JsonSchema(given.json_schema) if given.json_schema is not None else None


def _spread(value: Item | list[Item], count: int, name: str) -> list[Item]:
    """One value for each prompt."""
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        raise refuse(f"{name} has {len(value)} entries for {count} prompts", name)
    return value
