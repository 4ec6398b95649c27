"""Log probabilities of the model's own distribution, as the wire carries them.

Called by `sample` for generated tokens and by the engine core for prompt tokens. Texts are left
None; whoever knows the tokenizer fills them in.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..protocol import TokenLogprob


def token_logprobs(
    logits: torch.Tensor, token_ids: Sequence[int], tops: Sequence[int]
) -> list[TokenLogprob]:
    """One TokenLogprob per row of `logits: [rows, vocab]`, with that row's `tops` best tokens."""
    if not token_ids:
        return []
    logprobs = logits.float().log_softmax(-1)
    ids = torch.tensor(token_ids, device=logits.device).unsqueeze(1)
    chosen: list[float] = logprobs.gather(1, ids).squeeze(1).tolist()
    most = min(max(tops), logits.shape[1])
    best_values: list[list[float]] = [[]] * len(token_ids)
    best_ids: list[list[int]] = [[]] * len(token_ids)
    if most:
        best = logprobs.topk(most, -1)
        best_values, best_ids = best.values.tolist(), best.indices.tolist()
    return [
        TokenLogprob(
            logprob=chosen[row],
            token_id=token_ids[row],
            top=[(best_values[row][i], best_ids[row][i], None) for i in range(min(top, most))],
        )
        for row, top in enumerate(tops)
    ]


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
