"""The input of one forward step: what the scheduler hands to the model runner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch


@dataclass(frozen=True, slots=True)
class ForwardBatch:
    """New tokens of several sequences, laid end to end, and where their keys and values live.

    A sequence with one new token decodes; one with more extends (prefill of uncached tokens).
    All index tensors are int64 on the model's device.

    token_ids: [tokens], the new tokens of every sequence in turn.
    positions: [tokens], the position of each in its sequence, from 0.
    new_slots: [tokens], the KV slot into which each token's keys and values are stored.
    query_lens: number of new tokens per sequence; their sum is `tokens`.
    context_slots: per sequence, the slots of all its tokens so far in order, the new ones last:
        [context_len].
    logit_rows: [rows], the indices into `tokens` for which logits (or last states) are wanted,
        ascending.
    host_slots: `context_slots` once more, for the host; None where nobody has them.
    is_ahead: `token_ids` may still be on their way; the step is to be queued behind them.
    """

    token_ids: torch.Tensor
    positions: torch.Tensor
    new_slots: torch.Tensor
    query_lens: list[int]
    context_slots: list[torch.Tensor]
    logit_rows: torch.Tensor
    host_slots: list[npt.NDArray[np.int64]] | None = None
    is_ahead: bool = False
