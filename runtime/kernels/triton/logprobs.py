"""Log probabilities of drawn tokens, on the device; called only for rows that ask for them."""

from __future__ import annotations

import torch


def logprobs_of(
    logits: torch.Tensor, tokens: torch.Tensor, top: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of the model's own distribution, before temperature and masks; nothing waits for the device.

    logits: [rows, vocab]; tokens: int64 [rows]. Returns each token's log probability, float32
    [rows], and the `top` likeliest tokens' log probabilities and ids, each [rows, top]. What stands
    for a token that could not be drawn (negative) means nothing.
    """
    logits = logits.float()
    total = logits.logsumexp(1, keepdim=True)
    chosen = logits.gather(1, tokens.clamp(min=0).unsqueeze(1)) - total
    best, best_ids = logits.topk(min(top, logits.shape[1]), 1)
    return chosen.squeeze(1), best - total, best_ids
