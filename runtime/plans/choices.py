"""How a plan's selections decide: the language's rules (its choices.py), on the wire's scores, so
that the runtime need not ask. Called by instance.py; the client decides again and compares."""

from __future__ import annotations

from collections.abc import Sequence

from ..protocol import ChoiceScore, PlanMethod, TokenLogprob


def decide(method: PlanMethod, scores: Sequence[ChoiceScore]) -> int:
    """The index of the choice; the first one on ties."""
    rows = [_values(score.logprobs) for score in scores]
    if method == "greedy_token_selection":
        return _greedy(rows)
    if method == "unconditional_likelihood_normalized":
        alone = [_values(score.unconditional or []) for score in scores]
        return _first_best(
            [
                _mean([a - b for a, b in zip(given, without, strict=True)])
                for given, without in zip(rows, alone, strict=True)
            ]
        )
    return _first_best([_mean(_known(score.logprobs)) for score in scores])


def _greedy(rows: list[list[float]]) -> int:
    """Token by token the choices with the likeliest next token stay; one that has ended goes on
    with its own mean."""
    width = max(len(row) for row in rows)
    matrix = [row + [_mean(row)] * (width - len(row)) for row in rows]
    remaining = list(range(len(rows)))
    for column in range(width):
        best = max(matrix[index][column] for index in remaining)
        remaining = [index for index in remaining if matrix[index][column] == best]
        if len(remaining) == 1:
            break
    return remaining[0]


def _values(tokens: list[TokenLogprob]) -> list[float]:
    """Log probabilities; the first token of a prompt, which has none, counts as certain."""
    return [0.0 if token.logprob is None else token.logprob for token in tokens]


def _known(tokens: list[TokenLogprob]) -> list[float]:
    return [token.logprob for token in tokens if token.logprob is not None]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _first_best(values: list[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)
