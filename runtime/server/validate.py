"""What the front process checks of a request beyond the wire's types: prompts, choices, context.
Called by service.py and requests.py. Sampling parameters are checked by the engine's intake."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import RequestError
from ..protocol import (
    MAX_CONSTRAINT_CHARS,
    MAX_PROMPT_CHARS,
    Choices,
    Constraint,
    Generate,
    Part,
    SamplingParams,
    Score,
    Tokens,
)
from ..tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Bounds:
    """What prompts are measured against.

    longest_token: the most characters that one token stands for. pool_limits: the KV cache holds
        less than the model's context.
    """

    vocab_size: int
    context_limit: int
    longest_token: int
    pool_limits: bool = False

    @classmethod
    def of(cls, tokenizer: Tokenizer, context_limit: int, *, pool_limits: bool = False) -> Bounds:
        specials = (tokenizer.bytes_of([index], False) for index in tokenizer.special_ids)
        longest = max(map(len, itertools.chain(tokenizer.token_bytes, specials)), default=1)
        return cls(tokenizer.vocab_size, context_limit, max(1, longest), pool_limits)

    def too_long(self, what: str, pointer: str) -> RequestError:
        """The refusal of `what` is too long."""
        holds, advice = "the context holds", "shorten the prompt"
        if self.pool_limits:
            holds, advice = "the KV cache holds", "shorten the prompt or raise --kv-slots"
        message = f"{what}, but {holds} {self.context_limit}; {advice}"
        return RequestError("context_length", message, pointer=pointer)


def check_generate(request: Generate, bounds: Bounds) -> None:
    """Everything about a Generate that can be known before its prompt is tokenized."""
    check_constraint(request.constraint)
    check_prompt(request.prompt, bounds)


def check_score(request: Score, bounds: Bounds) -> None:
    """Everything about a Score that can be known before its prompt is tokenized."""
    check_prompt(request.prompt, bounds)
    _check_choices(request.choices, "/choices")


def check_constraint(constraint: Constraint | None) -> None:
    """Bounds that need no compiler; the grammar compiler refuses the rest with its own words."""
    if isinstance(constraint, Choices):
        _check_choices(constraint.choices, "/constraint/choices", must_differ=True)


def check_prompt_ids(prompt_ids: list[int], sampling: SamplingParams, bounds: Bounds) -> None:
    """The tokenized prompt and the tokens that must follow it fit the context."""
    if not prompt_ids:
        raise RequestError(
            "invalid_request",
            "the prompt has no tokens; give at least one character",
            pointer="/prompt",
        )
    needed = min(sampling.max_new_tokens, max(1, sampling.min_new_tokens))
    if len(prompt_ids) + needed > bounds.context_limit:
        asks = f" and at least {needed} new" if needed else ""
        raise bounds.too_long(f"the prompt has {len(prompt_ids)} tokens{asks}", "/prompt")


def check_prompt(prompt: list[Part], bounds: Bounds) -> None:
    """Token ids exist, and a text that is too long however it is tokenized never starts to be."""
    num_chars = num_tokens = 0
    for index, part in enumerate(prompt):
        if isinstance(part, Tokens):
            num_tokens += len(part.ids)
            _check_token_ids(part.ids, bounds.vocab_size, f"/prompt/{index}/ids")
        else:
            num_chars += len(part.text)
    if num_chars > MAX_PROMPT_CHARS:
        raise RequestError(
            "invalid_request",
            f"the prompt has {num_chars} characters; at most {MAX_PROMPT_CHARS} are allowed",
            pointer="/prompt",
        )
    # Tokenizing megabytes takes seconds.
    least = num_tokens + math.ceil(num_chars / bounds.longest_token)
    if least > bounds.context_limit:
        raise bounds.too_long(f"the prompt has at least {least} tokens", "/prompt")


def _check_choices(choices: list[str], pointer: str, *, must_differ: bool = False) -> None:
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
        if must_differ and choice in seen:
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


def size_of(prompt: list[Part]) -> int:
    """What tokenizing a prompt costs, in characters."""
    return sum(len(part.ids) if isinstance(part, Tokens) else len(part.text) for part in prompt)
