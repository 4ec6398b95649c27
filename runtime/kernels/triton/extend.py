"""The work of sequences with several new tokens each: tiles of them against all before; for
`plan.py`.

A tile of few queries, as forced and guessed tokens make them, waits for memory as decoding does,
so its keys are split where the processors would not be busy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from .work import (
    Int64,
    Launch,
    Machine,
    Work,
    cut_at_multiples,
    cut_evenly,
    longest_first,
    merges_of,
    partial_starts,
)

# A tile of many queries keeps a processor busy with fewer keys than this.
_LEAST_PIECE: Final = 512


@dataclass(frozen=True, slots=True)
class Extending:
    """Sequences with several new tokens. tokens: row of the first of them; counts: how many;
    addresses: of their slots; lens: all keys. All [sequences]."""

    tokens: Int64
    counts: Int64
    addresses: Int64
    lens: Int64


def extend_work(sequences: Extending, machine: Machine, window: int | None) -> Work:
    block_m = machine.block_m(int(sequences.counts.max()))
    room = block_m // machine.group
    tiles = -(-sequences.counts // room)
    owner = np.repeat(np.arange(len(tiles)), tiles)
    skipped = (np.arange(len(owner)) - np.repeat(np.cumsum(tiles) - tiles, tiles)) * room
    sizes = np.minimum(sequences.counts[owner] - skipped, room)
    before = (sequences.lens - sequences.counts)[owner] + skipped
    first = machine.first_seen(before, window)
    if machine.fixed_split:
        cut = cut_at_multiples(first, before + sizes, machine.fixed_split)
    else:
        share = int((before + sizes - first).sum()) // machine.places
        cut = cut_evenly(first, before + sizes, max(share, _LEAST_PIECE))

    # One query per new token, tile by tile.
    tile = np.repeat(np.arange(len(sizes)), sizes)
    firsts = np.cumsum(sizes) - sizes
    within = np.arange(len(tile)) - firsts[tile]
    tokens = (sequences.tokens[owner] + skipped)[tile] + within
    parts = cut.counts[tile]
    starts, num_partials = partial_starts(parts)
    queries = np.stack((tokens, starts, before[tile] + within), 1)

    addresses = sequences.addresses[owner[cut.owner]]
    columns = (addresses, cut.begin, cut.end, firsts[cut.owner], sizes[cut.owner], cut.ordinal)
    launch = Launch(longest_first(np.stack(columns, 1)), queries, block_m)
    return Work([launch], merges_of(tokens, starts, parts), num_partials)
