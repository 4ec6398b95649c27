"""The edge: every check of a request that the wire's types cannot state. Called once per request,
by service.py and requests.py; behind it parameters are trusted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from ..errors import RequestError
from ..protocol import (
    MAX_CONSTRAINT_CHARS,
    MAX_PROMPT_CHARS,
    Choices,
    Constraint,
    Generate,
    LogprobParams,
    Part,
    SamplingParams,
    Score,
    Tokens,
)

_FLOAT_FIELDS: Final = (
    "temperature",
    "top_p",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
)


def check_generate(request: Generate, vocab_size: int, context_limit: int) -> None:
    """Everything about a Generate that can be known before its prompt is tokenized."""
    check_sampling(request.sampling, vocab_size)
    check_constraint(request.constraint)
    _check_prompt(request.prompt, vocab_size, context_limit)


def check_score(request: Score, vocab_size: int, context_limit: int) -> None:
    """Everything about a Score that can be known before its prompt is tokenized."""
    _check_prompt(request.prompt, vocab_size, context_limit)
    _check_choices(request.choices, "/choices")


def check_sampling(params: SamplingParams, vocab_size: int) -> None:
    """Checks across fields, against the vocabulary, and for the NaN that every range lets pass."""
    numbers = {name: getattr(params, name) for name in _FLOAT_FIELDS}
    numbers |= {f"logit_bias/{token_id}": bias for token_id, bias in params.logit_bias.items()}
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise RequestError(
                "invalid_request",
                f"{name} must be a finite number, not {number}",
                pointer=f"/sampling/{name}",
            )
    if params.min_new_tokens > params.max_new_tokens:
        raise RequestError(
            "invalid_request",
            f"min_new_tokens={params.min_new_tokens} is over max_new_tokens="
            f"{params.max_new_tokens}; raise max_new_tokens or lower min_new_tokens",
            pointer="/sampling/min_new_tokens",
        )
    _check_token_ids(params.stop_token_ids, vocab_size, "/sampling/stop_token_ids")
    _check_token_ids(params.logit_bias, vocab_size, "/sampling/logit_bias")


def check_constraint(constraint: Constraint | None) -> None:
    """Bounds that need no compiler; the grammar compiler refuses the rest with its own words."""
    if isinstance(constraint, Choices):
        _check_choices(constraint.choices, "/constraint/choices")


def check_prompt_ids(prompt_ids: list[int], sampling: SamplingParams, context_limit: int) -> None:
    """The tokenized prompt and the tokens that must follow it fit the context."""
    if not prompt_ids:
        raise RequestError(
            "invalid_request",
            "the prompt has no tokens; give at least one character",
            pointer="/prompt",
        )
    needed = min(sampling.max_new_tokens, max(1, sampling.min_new_tokens))
    if len(prompt_ids) + needed > context_limit:
        asks = f" and at least {needed} new" if needed else ""
        raise RequestError(
            "context_length",
            f"the prompt has {len(prompt_ids)} tokens{asks}, but the context holds "
            f"{context_limit}; shorten the prompt",
            pointer="/prompt",
        )


def check_logprobs(params: LogprobParams | None, num_prompt_tokens: int) -> None:
    """The first prompt position asked for is a position of the prompt."""
    if params is None or params.prompt_start is None:
        return
    if params.prompt_start > num_prompt_tokens:
        raise RequestError(
            "invalid_request",
            f"prompt_start={params.prompt_start} is beyond the prompt's {num_prompt_tokens} tokens",
            pointer="/logprobs/prompt_start",
        )


def _check_prompt(prompt: list[Part], vocab_size: int, context_limit: int) -> None:
    num_chars = num_tokens = 0
    for index, part in enumerate(prompt):
        if isinstance(part, Tokens):
            num_tokens += len(part.ids)
            _check_token_ids(part.ids, vocab_size, f"/prompt/{index}/ids")
        else:
            num_chars += len(part.text)
    if num_chars > MAX_PROMPT_CHARS:
        raise RequestError(
            "invalid_request",
            f"the prompt has {num_chars} characters; at most {MAX_PROMPT_CHARS} are allowed",
            pointer="/prompt",
        )
    if num_tokens > context_limit:
        raise RequestError(
            "context_length",
            f"the prompt has {num_tokens} token ids, but the context holds {context_limit}; "
            f"shorten the prompt",
            pointer="/prompt",
        )


def _check_choices(choices: list[str], pointer: str) -> None:
    num_chars = 0
    seen: set[str] = set()
    for index, choice in enumerate(choices):
        num_chars += len(choice)
        if not choice:
            raise RequestError(
                "invalid_request",
                f"choice {index} is empty; every choice needs at least one character",
                pointer=f"{pointer}/{index}",
            )
        if choice in seen:
            raise RequestError(
                "invalid_request",
                f"choice {index} repeats {choice[:80]!r}; choices must differ",
                pointer=f"{pointer}/{index}",
            )
        seen.add(choice)
    if num_chars > MAX_CONSTRAINT_CHARS:
        raise RequestError(
            "invalid_request",
            f"the choices have {num_chars} characters together; at most "
            f"{MAX_CONSTRAINT_CHARS} are allowed",
            pointer=pointer,
        )


def _check_token_ids(ids: Iterable[int], vocab_size: int, pointer: str) -> None:
    highest = max(ids, default=0)
    if highest >= vocab_size:
        raise RequestError(
            "invalid_request",
            f"token id {highest} is not in the vocabulary of {vocab_size} tokens",
            pointer=pointer,
        )
