"""Embeddings of prompts, out of the rows of a forward pass; used by the engine core."""

from __future__ import annotations

import numpy as np

from ..scheduler.scheduler import Chunk
from ..scheduler.sequence import Sequence
from .forward import Computed


def state_positions(chunk: Chunk) -> range:
    """The positions of a chunk whose last hidden states are pooled."""
    if chunk.seq.embed is not None and chunk.seq.embed.pooling == "mean":
        return range(chunk.start, chunk.end)
    return range(chunk.end - 1, chunk.end) if chunk.reaches_end else range(0)


def pool(computed: Computed) -> list[Sequence]:
    """Add up the states of each sequence; return those that were computed to their end."""
    at_end: list[Sequence] = []
    row = 0
    # In float64, so that hardly anything depends on how a prompt was cut into chunks.
    states = computed.rows.double().cpu().numpy()
    for chunk, wanted in zip(computed.chunks, computed.positions, strict=True):
        seq = chunk.seq
        added = states[row : row + len(wanted)].sum(axis=0)
        row += len(wanted)
        # A sequence that was retracted begins again.
        again = seq.state_sum is None or not chunk.start
        seq.state_sum = added if again else seq.state_sum + added
        if chunk.reaches_end:
            at_end.append(seq)
    return at_end


def embedding_of(seq: Sequence) -> bytes | None:
    """float32, little-endian, of length 1; None where none was asked for. The mean has the
    direction of the sum."""
    if seq.embed is None or seq.state_sum is None:
        return None
    vector = seq.state_sum[: seq.embed.dimensions]
    length = float(np.linalg.norm(vector))
    return (vector / length if length else vector).astype("<f4").tobytes()
