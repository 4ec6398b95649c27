"""The work of sequences with one new token each: flash decoding over split keys; for `plan.py`.

What several sequences share comes from `tree_decode.py`; the rest of each is cut into pieces here
so that the processors are busy even when few sequences run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .work import (
    Int64,
    Launch,
    Machine,
    Ranges,
    Work,
    cut_at_multiples,
    cut_evenly,
    longest_first,
    merges_of,
    partial_starts,
)

# Below this many keys a piece is read faster than it is merged.
_LEAST_PIECE: Final = 128
# Work that fills the machine anyway is cut into so many rounds, so that the last one is short.
_ROUNDS: Final = 4


@dataclass(frozen=True, slots=True)
class Decoding:
    """Sequences with one new token. tokens: its row; addresses: of their slots; lens: all keys;
    first: the first key that is seen. All [sequences]."""

    tokens: Int64
    addresses: Int64
    lens: Int64
    first: Int64


@dataclass(frozen=True, slots=True)
class SharedPiece:
    """Keys begin .. end - 1, the same for all `members`, are read once for all of them."""

    members: Int64
    begin: int
    end: int


def decode_work(sequences: Decoding, machine: Machine, shared: Sequence[SharedPiece] = ()) -> Work:
    """Items for what is `shared`, in the order of the keys, and for each sequence's own rest."""
    covered = sequences.first.copy()
    parts = np.zeros_like(covered)
    ordinals_of: list[Int64] = []  # of each shared piece in its members
    for piece in shared:
        covered[piece.members] = piece.end
        ordinals_of.append(parts[piece.members])
        parts[piece.members] += 1
    own = _cut_own(covered, sequences.lens, machine)
    ordinals = own.ordinal + parts[own.owner]
    parts += own.counts
    starts, num_partials = partial_starts(parts)

    queries = np.stack((sequences.tokens, starts, sequences.lens - 1), 1)
    ones = np.ones_like(own.owner)
    columns = (sequences.addresses[own.owner], own.begin, own.end, own.owner, ones, ordinals)
    launches = [Launch(longest_first(np.stack(columns, 1)), queries, machine.block_m(1))]
    if shared:
        launches.insert(
            0, _launch_shared(shared, ordinals_of, sequences.addresses, queries, machine)
        )
    return Work(launches, merges_of(sequences.tokens, starts, parts), num_partials)


def _cut_own(begin: Int64, end: Int64, machine: Machine) -> Ranges:
    if machine.fixed_split:
        return cut_at_multiples(begin, end, machine.fixed_split)
    share = int((end - begin).sum()) // machine.places
    rounds = _ROUNDS if share >= _ROUNDS * _LEAST_PIECE else 1
    return cut_evenly(begin, end, max(share // rounds, _LEAST_PIECE))


def most_pieces(sequences: int, longest: int, machine: Machine) -> int:
    """How many items `decode_work` makes at most without sharing, of sequences of up to `longest`
    keys."""
    if machine.fixed_split:
        return sequences * -(-longest // machine.fixed_split)
    # One more round for what is lost in rounding a piece's size down.
    return sequences + (_ROUNDS + 1) * machine.places


def _launch_shared(
    shared: Sequence[SharedPiece],
    ordinals_of: Sequence[Int64],
    addresses: Int64,
    queries: Int64,
    machine: Machine,
) -> Launch:
    """Items of as many members each as a tile has room for."""
    block_m = machine.shared_block_m
    room = block_m // machine.group
    rows: list[tuple[int, int, int, int, int, int]] = []
    lists: list[Int64] = []
    listed = 0
    for piece, ordinals in zip(shared, ordinals_of, strict=True):
        address = int(addresses[piece.members[0]])
        for at in range(0, len(piece.members), room):
            count = min(room, len(piece.members) - at)
            rows.append((address, piece.begin, piece.end, listed + at, count, 0))
        entries = queries[piece.members]
        entries[:, 1] += ordinals
        lists.append(entries)
        listed += len(piece.members)
    items = np.array(rows, np.int64)
    return Launch(longest_first(items), np.concatenate(lists), block_m)
