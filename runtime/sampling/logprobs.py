"""Log probabilities of the model's own distribution, as the wire carries them.

Called by `sample` for generated tokens and by the engine core for prompt tokens. Texts are left
None; whoever knows the tokenizer fills them in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from ..protocol import TokenLogprob


class Scored(NamedTuple):
    """Log probabilities of rows, where their logits are. chosen: [rows], of one token of each;
    best, best_ids: [rows, top], of the likeliest."""

    chosen: torch.Tensor
    best: torch.Tensor
    best_ids: torch.Tensor


def scored(logits: torch.Tensor, token_ids: torch.Tensor, top: int) -> Scored:
    """Nothing here waits for the device. logits: [rows, vocab]; token_ids: int64 [rows]; what
    stands for a token that could not be drawn (negative) means nothing."""
    vocab = logits.shape[1]
    if logits.device.type != "cpu" and vocab % 4:
        # A GPU sums each row in the same order where all begin at multiples of 16 bytes.
        logits = F.pad(logits, (0, -vocab % 4), value=-math.inf)
    logprobs = logits.float().log_softmax(-1)
    chosen = logprobs.gather(1, token_ids.clamp(min=0).unsqueeze(1)).squeeze(1)
    best = logprobs.topk(min(top, vocab), -1)
    return Scored(chosen, best.values, best.indices)


def told(found: Scored, token_ids: Sequence[int], tops: Sequence[int]) -> list[TokenLogprob]:
    """What was found of `token_ids`, with each row's `tops` likeliest tokens, as the wire has it;
    waits for the device."""
    values, ids = found.best.tolist(), found.best_ids.tolist()
    return [
        TokenLogprob(
            logprob=logprob,
            token_id=token_ids[row],
            top=[(*best, None) for best in zip(values[row][:top], ids[row][:top], strict=True)],
        )
        for row, (logprob, top) in enumerate(zip(found.chosen.tolist(), tops, strict=True))
    ]


def token_logprobs(
    logits: torch.Tensor, token_ids: Sequence[int], tops: Sequence[int]
) -> list[TokenLogprob]:
    """One TokenLogprob per row of `logits: [rows, vocab]`, with that row's `tops` best tokens."""
    if not token_ids:
        return []
    ids = torch.tensor(token_ids, device=logits.device)
    return told(scored(logits, ids, max(tops)), token_ids, tops)


def prompt_logprobs(
    logits: torch.Tensor, prompt_ids: Sequence[int], start: int, top: int
) -> list[TokenLogprob]:
    """TokenLogprobs of `prompt_ids[start:]`. The first token of a prompt has none.

    logits: [rows, vocab], of the positions before these tokens: `max(start, 1) - 1` up to
    `len(prompt_ids) - 2`, in order.
    """
    first = max(start, 1)
    targets = list(prompt_ids[first:])
    found = token_logprobs(logits, targets, [top] * len(targets))
    if start == 0 and prompt_ids:
        return [TokenLogprob(logprob=None, token_id=prompt_ids[0]), *found]
    return found
