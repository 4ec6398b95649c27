"""top-k, top-p and min-p as one logit threshold per row; called by `sample`.

A token stays when its logit is at least the threshold. Tokens of equal logit stay or go together,
so the result does not depend on the order of a sort.
"""

from __future__ import annotations

import torch

# Enough candidates for nearly every nucleus; the few rows that need more are sorted whole.
_CANDIDATES = 128


def thresholds(
    logits: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor, min_p: torch.Tensor
) -> torch.Tensor:
    """Lowest logit that stays, [rows], for `logits: [rows, vocab]` after temperature.

    top_k: int64 [rows], vocab or more where it is off; top_p, min_p: [rows], 1 and 0 where off.
    In the order of transformers' warpers: the k most likely tokens (ties stay); of these,
    renormalised, the fewest whose probabilities reach top_p; of these the ones at least min_p
    times as likely as the most likely.
    """
    vocab = logits.shape[1]
    log_total = logits.logsumexp(1, keepdim=True)
    if vocab <= 2 * _CANDIDATES:
        ranked = logits.sort(1, descending=True).values
        return _of_ranked(ranked, vocab, log_total, top_k, top_p, min_p)[0]
    ranked = logits.topk(_CANDIDATES, 1).values
    limit, decided = _of_ranked(ranked, vocab, log_total, top_k, top_p, min_p)
    if not decided.all():
        rows = (~decided).nonzero().squeeze(1)
        ranked = logits[rows].sort(1, descending=True).values
        limit[rows] = _of_ranked(
            ranked, vocab, log_total[rows], top_k[rows], top_p[rows], min_p[rows]
        )[0]
    return limit


def _of_ranked(
    ranked: torch.Tensor,
    vocab: int,
    log_total: torch.Tensor,
    top_k: torch.Tensor,
    top_p: torch.Tensor,
    min_p: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`thresholds` from each row's highest logits in descending order, [rows, n], and for which
    rows these n decide it. log_total: [rows, 1], log of the whole exponential sum."""
    count = ranked.shape[1]
    top_k, top_p = top_k.unsqueeze(1), top_p.unsqueeze(1)
    k_on = top_k < vocab
    kth = ranked.gather(1, top_k.clamp(max=count) - 1).where(k_on, -torch.inf)
    kept = ranked.where(ranked >= kth, -torch.inf)
    probabilities = (kept - kept.logsumexp(1, keepdim=True).where(k_on, log_total)).exp()
    in_nucleus = probabilities.cumsum(1) - probabilities < top_p
    last = (in_nucleus.sum(1, keepdim=True) - 1).clamp(min=0)
    by_nucleus = kept.gather(1, last).where(top_p < 1, -torch.inf)
    by_min_p = ranked[:, :1] + min_p.unsqueeze(1).log()
    limit = torch.cat((kth, by_nucleus, by_min_p), 1).amax(1)
    # All of top-k's tokens with their ties, or else the whole nucleus, must be among the n.
    decided = torch.where(
        k_on,
        (top_k < count) & (ranked[:, -1:] < kth),
        (top_p >= 1) | ~in_nucleus[:, -1:],
    )
    return limit, decided.squeeze(1)
