"""From the logits of one step to one token per row; called by the engine core after each forward.

Order of work: penalties, bias, minimum length, token mask, temperature, truncation, choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ..protocol import TokenLogprob
from .logits import TokenMask, apply_bias, apply_masks, apply_penalties, forbid_ends
from .logprobs import token_logprobs
from .state import SamplingState
from .truncation import thresholds


@dataclass(frozen=True, slots=True)
class Sampled:
    """What `sample` chose, by row.

    token_ids: -1 in a failed row. logprobs: None in rows that ask for none and in failed rows.
    failures: for a failed row the reason, in words for the user.
    """

    token_ids: list[int]
    logprobs: list[TokenLogprob | None]
    failures: dict[int, str] = field(default_factory=dict)


def sample(
    logits: torch.Tensor,
    states: Sequence[SamplingState],
    masks: Sequence[TokenMask | None] | None = None,
) -> Sampled:
    """Choose a token for each row of `logits: float32 [rows, vocab]`, which stay unchanged.

    masks: packed int32 words per row, least significant bit first, or None where all tokens are
    allowed. A row without an allowed token, or with NaN logits, is a failure of that row alone.
    Random numbers come from each state's own stream, so a row's token does not depend on the
    other rows. The caller appends the token to the state when it accepts it.
    """
    scores = _changed(logits, states, masks)
    best = scores.max(-1)
    token_ids: list[int] = best.indices.tolist()
    failures: dict[int, str] = {}
    if not best.values.isfinite().all():
        failures = _failures(best.values.tolist())
        for row in failures:
            token_ids[row] = -1

    random_rows = [i for i, s in enumerate(states) if not s.greedy and i not in failures]
    if random_rows:
        chosen = _draw(scores, [states[i] for i in random_rows], random_rows)
        for row, token_id in zip(random_rows, chosen, strict=True):
            token_ids[row] = token_id
    return Sampled(token_ids, _logprobs(logits, states, token_ids), failures)


def _changed(
    logits: torch.Tensor,
    states: Sequence[SamplingState],
    masks: Sequence[TokenMask | None] | None,
) -> torch.Tensor:
    """The logits after penalties, bias, minimum length and masks; a copy only where needed."""
    masked = masks is not None and any(mask is not None for mask in masks)
    if not masked and all(state.plain for state in states):
        return logits
    scores = logits.clone()
    if rows := [i for i, s in enumerate(states) if s.penalized]:
        apply_penalties(scores, states, rows)
    if rows := [i for i, s in enumerate(states) if len(s.bias_ids)]:
        apply_bias(scores, states, rows)
    if masks is not None:
        apply_masks(scores, masks)
    if rows := [i for i, s in enumerate(states) if s.ends_forbidden]:
        forbid_ends(scores, states, rows)
    return scores


def _failures(highest: Sequence[float]) -> dict[int, str]:
    failures = {}
    for row, value in enumerate(highest):
        if value == -torch.inf:
            failures[row] = "no token is allowed here"
        elif value == torch.inf or value != value:
            failures[row] = "the model's logits are not finite"
    return failures


def _draw(scores: torch.Tensor, states: Sequence[SamplingState], rows: Sequence[int]) -> list[int]:
    """One token per row by inverting the cumulative distribution at the state's next number."""
    if len(rows) < len(scores):
        scores = scores[torch.tensor(rows, device=scores.device)]
    # Relative to the highest score nothing overflows, however small the temperature.
    temperature = _column([s.params.temperature for s in states], scores)
    scaled = (scores - scores.amax(1, keepdim=True)) / temperature
    if any(s.truncated for s in states):
        vocab = scores.shape[1]
        top_k = [s.params.top_k if s.params.top_k > 0 else vocab for s in states]
        limit = thresholds(
            scaled,
            torch.tensor(top_k, device=scores.device),
            _column([s.params.top_p for s in states], scores).squeeze(1),
            _column([s.params.min_p for s in states], scores).squeeze(1),
        )
        scaled = scaled.where(scaled >= limit.unsqueeze(1), -torch.inf)
    # float64: in float32 the sum over a large vocabulary would lose its unlikely tokens.
    cumulative = scaled.exp().cumsum(1, dtype=torch.float64)
    total = cumulative[:, -1:]
    drawn = torch.tensor([[s.draw()] for s in states], dtype=torch.float64, device=scores.device)
    # Below the total, so that the search ends on a token of positive probability.
    target = torch.minimum(drawn * total, torch.nextafter(total, torch.zeros_like(total)))
    token_ids: list[int] = torch.searchsorted(cumulative, target, right=True).squeeze(1).tolist()
    return token_ids


def _column(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)


def _logprobs(
    logits: torch.Tensor, states: Sequence[SamplingState], token_ids: Sequence[int]
) -> list[TokenLogprob | None]:
    found: list[TokenLogprob | None] = [None] * len(states)
    rows, tops = [], []
    for row, state in enumerate(states):
        if state.logprobs is not None and token_ids[row] >= 0:
            rows.append(row)
            tops.append(state.logprobs.top)
    if rows:
        wanted = logits[torch.tensor(rows, device=logits.device)]
        values = token_logprobs(wanted, [token_ids[row] for row in rows], tops)
        for row, value in zip(rows, values, strict=True):
            found[row] = value
    return found
