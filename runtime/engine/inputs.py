"""From the scheduler's chunks to the tensors of one forward step; used by the engine core."""

from __future__ import annotations

from collections.abc import Sequence as Items

import numpy as np

from ..device.base import Device
from ..scheduler.scheduler import Chunk
from .batch import ForwardBatch


def logit_positions(chunk: Chunk) -> range:
    """The positions of a chunk whose logits are wanted: the sequence's last one decides its next
    token, staged ones behind it the further ones, those before give log probabilities of the
    prompt. What is forced behind a position is not decided by its logits."""
    seq = chunk.seq
    end = chunk.end
    if chunk.reaches_end and not seq.num_remaining:
        end -= 1
    first_row = seq.first_logprob_row
    if first_row is not None:
        return range(max(chunk.start, first_row), max(end, chunk.start, first_row))
    if not chunk.reaches_end or not seq.num_remaining:
        return range(0)
    num_skipped = min(seq.num_forced, end - seq.num_tokens) if seq.logprobs is None else 0
    return range(seq.num_tokens - 1 + num_skipped, end)


def build_batch(chunks: Items[Chunk], positions: Items[range], device: Device) -> ForwardBatch:
    """`chunks` as a ForwardBatch with a row of logits for each of `positions`."""
    query_lens = [chunk.end - chunk.start for chunk in chunks]
    if len(chunks) == sum(query_lens):
        token_ids = np.array([chunk.seq.ids.item(chunk.start) for chunk in chunks], np.int64)
        places = np.array([chunk.start for chunk in chunks], np.int64)
        new_slots = np.array([chunk.seq.slots.item(chunk.start) for chunk in chunks], np.int64)
    else:
        token_ids = np.concatenate([chunk.seq.ids[chunk.start : chunk.end] for chunk in chunks])
        token_ids = token_ids.astype(np.int64)
        places = np.concatenate([np.arange(chunk.start, chunk.end) for chunk in chunks])
        new_slots = np.concatenate([chunk.seq.slots[chunk.start : chunk.end] for chunk in chunks])
    rows: list[int] = []
    offset = 0
    for chunk, wanted, length in zip(chunks, positions, query_lens, strict=True):
        shift = offset - chunk.start
        rows.extend([position + shift for position in wanted])
        offset += length
    contexts = [chunk.seq.slots[: chunk.end] for chunk in chunks]
    ids, where, into, wanted_rows, *slots = device.put(
        [token_ids, places, new_slots, np.array(rows, np.int64), *contexts]
    )
    return ForwardBatch(
        token_ids=ids,
        positions=where,
        new_slots=into,
        query_lens=query_lens,
        context_slots=slots,
        logit_rows=wanted_rows,
        host_slots=contexts,
    )
