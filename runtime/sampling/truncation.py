"""top-k, top-p and min-p as one least probability per row; called by `sample`.

A token stays when it is at least that probable. Tokens of equal probability stay or go together,
so the result does not depend on the order of a sort.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

# Enough candidates for nearly every nucleus; the few rows that need more are sorted whole.
_CANDIDATES: Final = 512


def thresholds(
    probabilities: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor, min_p: torch.Tensor
) -> torch.Tensor:
    """Least probability that stays, [rows], for `probabilities: [rows, vocab]`.

    top_k: int64 [rows], vocab or more where it is off; top_p, min_p: [rows], 1 and 0 where off.
    In the order of transformers' warpers: the k most likely tokens (ties stay); of these,
    renormalised, the fewest whose probabilities reach top_p; of these the ones at least min_p
    times as likely as the most likely.
    """
    vocab = probabilities.shape[1]
    if vocab <= 2 * _CANDIDATES:
        return _of_ranked(highest(probabilities, vocab), vocab, top_k, top_p, min_p)[0]
    ranked = highest(probabilities, _CANDIDATES)
    limit, decided = _of_ranked(ranked, vocab, top_k, top_p, min_p)
    if not decided.all():
        rows = (~decided).nonzero().squeeze(1)
        ranked = highest(probabilities[rows], vocab)
        limit[rows] = _of_ranked(ranked, vocab, top_k[rows], top_p[rows], min_p[rows])[0]
    return limit


def highest(probabilities: torch.Tensor, count: int) -> torch.Tensor:
    """The `count` highest of each row in descending order: [rows, count].

    On a CPU by NumPy, whose sort is vectorised: 8 us for a row of 4096 where torch takes 150.
    """
    if probabilities.device.type != "cpu":
        return probabilities.topk(count, 1).values
    values = probabilities.numpy()
    if count < values.shape[1]:
        values = np.partition(values, values.shape[1] - count, axis=1)[:, -count:]
    return torch.from_numpy(np.sort(values, axis=1)[:, ::-1].copy())


def _of_ranked(
    ranked: torch.Tensor,
    vocab: int,
    top_k: torch.Tensor,
    top_p: torch.Tensor,
    min_p: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`thresholds` from each row's highest probabilities in descending order, [rows, n], and for
    which rows these n decide it."""
    count = ranked.shape[1]
    top_k, top_p = top_k.unsqueeze(1), top_p.unsqueeze(1)
    k_on = top_k < vocab
    kth = ranked.gather(1, top_k.clamp(max=count) - 1).masked_fill_(~k_on, 0.0)
    kept = ranked.masked_fill(ranked < kth, 0.0)
    mass = kept.sum(1, keepdim=True).masked_fill_(~k_on, 1.0)
    in_nucleus = kept.cumsum(1) - kept < top_p * mass
    last = (in_nucleus.sum(1, keepdim=True) - 1).clamp(min=0)
    by_nucleus = kept.gather(1, last).masked_fill_(top_p >= 1, 0.0)
    by_min_p = ranked[:, :1] * min_p.unsqueeze(1)
    limit = torch.cat((kth, by_nucleus, by_min_p), 1).amax(1)
    # All of top-k's tokens with their ties, or else the whole nucleus, must be among the n.
    decided = torch.where(
        k_on,
        (top_k < count) & (ranked[:, -1:] < kth),
        (top_p >= 1) | ~in_nucleus[:, -1:],
    )
    return limit, decided.squeeze(1)
