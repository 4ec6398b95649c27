"""Batches of sequences over a KV pool, as the engine would hand them to the model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from branchline.runtime.device.base import Device
from branchline.runtime.engine.batch import ForwardBatch

Slots = npt.NDArray[np.int64]


def separate(count: int, length: int, first: int = 0) -> list[Slots]:
    """Slots of `count` sequences that share nothing: the first half of each lies in one piece, as
    a prompt's, the rest in turns with the others', as decoding hands them out."""
    half = length // 2
    rest = first + count * half + np.arange((length - half) * count).reshape(-1, count)
    return [
        np.concatenate([np.arange(first + i * half, first + (i + 1) * half), rest[:, i]])
        for i in range(count)
    ]


def shared(count: int, trunk: int, own: int) -> list[Slots]:
    """Slots of `count` sequences with `trunk` tokens in common and `own` of each."""
    beginning = np.arange(trunk)
    return [np.concatenate([beginning, tail]) for tail in separate(count, own, first=trunk)]


def decode_batch(device: Device, slots: list[Slots], *, known: bool = True) -> ForwardBatch:
    """Each sequence computes its last token. known: the host tells who shares what."""
    return _batch(device, slots, [1] * len(slots), known)


def extend_batch(device: Device, slots: list[Slots], new: int) -> ForwardBatch:
    """Each sequence computes its last `new` tokens and wants the logits of the last."""
    return _batch(device, slots, [new] * len(slots), known=True)


def _batch(device: Device, slots: list[Slots], lens: list[int], known: bool) -> ForwardBatch:
    tokens = sum(lens)
    positions = np.concatenate(
        [np.arange(len(own) - n, len(own)) for own, n in zip(slots, lens, strict=True)]
    )
    new_slots = np.concatenate([own[len(own) - n :] for own, n in zip(slots, lens, strict=True)])
    token_ids = (np.arange(tokens, dtype=np.int64) * 7919) % 499
    rows = np.cumsum(lens) - 1
    ids, where, into, wanted, *context = device.put(
        [token_ids, positions, new_slots, rows.astype(np.int64), *slots]
    )
    return ForwardBatch(ids, where, into, lens, context, wanted, slots if known else None)
