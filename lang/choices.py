"""How `select` decides: rules from the choices' token log probabilities to one choice. Called by
the executor; users subclass ChoicesSamplingMethod for rules of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Logprob = tuple[float | None, int, str | None]  # (log probability, token id, text)


@dataclass(frozen=True)
class ChoicesDecision:
    """The chosen string and what `get_meta_info` shows about the decision."""

    decision: str
    meta_info: dict[str, Any] | None = None


class ChoicesSamplingMethod(ABC):
    """A rule. All sequences are parallel to `choices`; of a choice's tokens only the first can
    have no log probability (None), and only when nothing stands before it."""

    @property
    def requires_unconditional_logprobs(self) -> bool:
        """Whether the choices' log probabilities without the prompt are needed as well."""
        return False

    @abstractmethod
    def __call__(
        self,
        *,
        choices: Sequence[str],
        normalized_prompt_logprobs: Sequence[float],
        input_token_logprobs: Sequence[Sequence[Logprob]],
        output_token_logprobs: Sequence[Sequence[Logprob]],
        unconditional_token_logprobs: Sequence[Sequence[Logprob]] | None = None,
    ) -> ChoicesDecision: ...

    def __repr__(self) -> str:
        return type(self).__name__


class TokenLengthNormalized(ChoicesSamplingMethod):
    """The choice whose tokens have the highest mean log probability; the first on ties."""

    def __call__(
        self,
        *,
        choices: Sequence[str],
        normalized_prompt_logprobs: Sequence[float],
        input_token_logprobs: Sequence[Sequence[Logprob]],
        output_token_logprobs: Sequence[Sequence[Logprob]],
        unconditional_token_logprobs: Sequence[Sequence[Logprob]] | None = None,
    ) -> ChoicesDecision:
        return ChoicesDecision(
            choices[_argmax(normalized_prompt_logprobs)],
            _meta(normalized_prompt_logprobs, input_token_logprobs, output_token_logprobs),
        )


class GreedyTokenSelection(ChoicesSamplingMethod):
    """Token by token, the choices with the likeliest next token stay; a choice that has ended
    goes on with its own mean, so that a long choice does not win by its length."""

    def __call__(
        self,
        *,
        choices: Sequence[str],
        normalized_prompt_logprobs: Sequence[float],
        input_token_logprobs: Sequence[Sequence[Logprob]],
        output_token_logprobs: Sequence[Sequence[Logprob]],
        unconditional_token_logprobs: Sequence[Sequence[Logprob]] | None = None,
    ) -> ChoicesDecision:
        rows = [_values(tokens) for tokens in input_token_logprobs]
        width = max(len(row) for row in rows)
        matrix = [row + [mean_logprob(row)] * (width - len(row)) for row in rows]
        remaining = list(range(len(choices)))
        for column in range(width):
            best = max(matrix[index][column] for index in remaining)
            remaining = [index for index in remaining if matrix[index][column] == best]
            if len(remaining) == 1:
                break
        meta = _meta(normalized_prompt_logprobs, input_token_logprobs, output_token_logprobs)
        return ChoicesDecision(choices[remaining[0]], meta | {"greedy_logprob_matrix": matrix})


class UnconditionalLikelihoodNormalized(ChoicesSamplingMethod):
    """The choice that the prompt makes likelier by most over its likelihood without the prompt."""

    @property
    def requires_unconditional_logprobs(self) -> bool:
        return True

    def __call__(
        self,
        *,
        choices: Sequence[str],
        normalized_prompt_logprobs: Sequence[float],
        input_token_logprobs: Sequence[Sequence[Logprob]],
        output_token_logprobs: Sequence[Sequence[Logprob]],
        unconditional_token_logprobs: Sequence[Sequence[Logprob]] | None = None,
    ) -> ChoicesDecision:
        if unconditional_token_logprobs is None:
            raise ValueError("unconditional_likelihood_normalized needs unconditional logprobs")
        gains = [
            mean_logprob([a - b for a, b in zip(_values(given), _values(alone), strict=True)])
            for given, alone in zip(input_token_logprobs, unconditional_token_logprobs, strict=True)
        ]
        meta = _meta(normalized_prompt_logprobs, input_token_logprobs, output_token_logprobs)
        return ChoicesDecision(
            choices[_argmax(gains)],
            meta
            | {
                "unconditional_token_logprobs": unconditional_token_logprobs,
                "normalized_unconditional_prompt_logprobs": gains,
            },
        )


token_length_normalized = TokenLengthNormalized()
greedy_token_selection = GreedyTokenSelection()
unconditional_likelihood_normalized = UnconditionalLikelihoodNormalized()


def mean_logprob(values: Sequence[float | None]) -> float:
    """The mean of the known values. A certain token's 0.0 counts: leaving it out would make a
    choice look less likely than it is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


def _values(tokens: Sequence[Logprob]) -> list[float]:
    return [0.0 if logprob is None else logprob for logprob, _, _ in tokens]


def _argmax(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def _meta(
    normalized: Sequence[float],
    inputs: Sequence[Sequence[Logprob]],
    outputs: Sequence[Sequence[Logprob]],
) -> dict[str, Any]:
    return {
        "normalized_prompt_logprobs": list(normalized),
        "input_token_logprobs": [list(tokens) for tokens in inputs],
        "output_token_logprobs": [list(tokens) for tokens in outputs],
    }
