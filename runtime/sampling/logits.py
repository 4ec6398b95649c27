"""Changes to logits before a token is chosen: penalties, bias, minimum length, token masks.

Called by `sample`. All work in place on `logits: float32 [rows, vocab]`, for many rows at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from .state import SamplingState

TokenMask = npt.NDArray[np.int32]


def apply_penalties(
    logits: torch.Tensor, states: Sequence[SamplingState], rows: Sequence[int]
) -> None:
    """Repetition penalty, then frequency and presence penalty, on `rows`.

    Repetition (arXiv:1909.05858) divides positive and multiplies negative logits of tokens in the
    prompt or output; the others (OpenAI API) subtract for generated tokens only.
    """
    sizes = [len(states[row].seen.ids) for row in rows]
    if not sum(sizes):
        return
    row_index = torch.from_numpy(np.repeat(np.array(rows, dtype=np.int64), sizes))
    ids = torch.from_numpy(np.concatenate([states[row].seen.ids for row in rows]))
    counts = torch.from_numpy(np.concatenate([states[row].seen.generated for row in rows]))

    def per_token(name: str) -> torch.Tensor:
        values = np.array([getattr(states[row].params, name) for row in rows], dtype=np.float32)
        return torch.from_numpy(np.repeat(values, sizes)).to(logits.device)

    row_index, ids, counts = (t.to(logits.device) for t in (row_index, ids, counts))
    repetition = per_token("repetition_penalty")
    values = logits[row_index, ids]
    values = torch.where(values > 0, values / repetition, values * repetition)
    values -= per_token("frequency_penalty") * counts
    values -= per_token("presence_penalty") * (counts > 0)
    logits[row_index, ids] = values


def apply_bias(logits: torch.Tensor, states: Sequence[SamplingState], rows: Sequence[int]) -> None:
    """Add each row's `logit_bias`."""
    for row in rows:
        state = states[row]
        ids = torch.from_numpy(state.bias_ids).to(logits.device)
        logits[row].index_add_(0, ids, torch.from_numpy(state.bias).to(logits.device))


def forbid_ends(logits: torch.Tensor, states: Sequence[SamplingState], rows: Sequence[int]) -> None:
    """Exclude end tokens from `rows`, unless that leaves a row nothing: a grammar that allows only
    the end outranks a minimum length."""
    for row in rows:
        ids = torch.from_numpy(states[row].end_ids).to(logits.device)
        kept = logits[row].index_fill(0, ids, -torch.inf)
        if kept.max() > -torch.inf:
            logits[row] = kept


def apply_masks(logits: torch.Tensor, masks: Sequence[TokenMask | None]) -> None:
    """Exclude every token whose bit is 0. A mask is packed least significant bit first, token i in
    bit i % 32 of word i // 32; None allows every token."""
    rows = [row for row, mask in enumerate(masks) if mask is not None]
    if not rows:
        return
    packed = np.stack([mask for mask in masks if mask is not None])
    forbidden = torch.from_numpy(~unpack_masks(packed, logits.shape[1])).to(logits.device)
    if len(rows) == len(logits):
        logits.masked_fill_(forbidden, -torch.inf)
    else:
        index = torch.tensor(rows, device=logits.device)
        logits[index] = logits[index].masked_fill_(forbidden, -torch.inf)


def unpack_masks(packed: npt.NDArray[np.int32], vocab_size: int) -> npt.NDArray[np.bool_]:
    """Packed masks [rows, words] as booleans [rows, vocab_size]."""
    little = np.ascontiguousarray(packed).astype("<i4", copy=False).view(np.uint8)
    bits = np.unpackbits(little, axis=1, count=vocab_size, bitorder="little")
    return bits.view(np.bool_)
