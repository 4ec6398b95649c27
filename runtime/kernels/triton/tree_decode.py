"""Which keys are read once for several decoding sequences; for `plan.py`.

The sequences' common beginnings form a tree (`prefixes.py`). A branch of it is computed as tiles of
many sequences' queries where the model of cost below says that it pays; the rest is left to
`decode.py`. Costs are in keys: the time in which one KV head's key and value are read from memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from .decode import SharedPiece
from .prefixes import Branch
from .work import KEY_BLOCK, Int64, Machine

# What plain decoding pays for a key that another sequence reads in the same step, too: some of
# these reads are served by the cache, so this is less than 1.
_READ_AGAIN: Final = 0.4
# A partial result of one query and head: float32 written and read again, where a key is a key and
# a value in 16 bits, so 2; twice that, because a merge has more to do than to read.
_PARTIAL: Final = 4.0
# A launch more takes as long as reading this much memory, about 4 us on an H200.
_LAUNCH_BYTES: Final = 16 * 2**20
# A gain that is a smaller share of the whole may be none.
_LEAST_GAIN: Final = 0.1
# Pieces of shared keys are not shorter.
_LEAST_PIECE: Final = 256


def shared_pieces(root: Branch, lens: Int64, first: Int64, machine: Machine) -> list[SharedPiece]:
    """Pieces to be read once, each after those that come before it in its sequences; none where
    plain decoding is as quick. root: of what the sequences share; lens: all keys of each; first:
    the first key that each sees."""
    branches = _worth_sharing(root, first, machine)
    if not branches:
        return []
    size = _target_size(branches, machine)
    gain = sum(
        _gain(len(members), end - begin, _num_pieces(end - begin, size, machine), machine)
        for begin, end, members in branches
    )
    key_bytes = 4 * machine.head_dim * machine.kv_heads
    if gain < max(_LAUNCH_BYTES / key_bytes, _LEAST_GAIN * int((lens - first).sum())):
        return []
    return _cut(branches, size, machine)


Shared = tuple[int, int, Int64]  # begin, end, members


def _worth_sharing(root: Branch, first: Int64, machine: Machine) -> list[Shared]:
    """Branches that pay, those nearer to the root first. What does not pay alone is tried again as
    the beginning of each branch above it."""
    chosen: list[Shared] = []
    rest = [(child, 0) for child in root.children.values()]
    while rest:
        branch, covered = rest.pop()
        if len(branch.members) == 1:
            continue
        end = branch.end
        if machine.fixed_split:
            end = end // machine.fixed_split * machine.fixed_split
        members = np.array(branch.members)
        members = members[first[members] < end]  # the others' windows begin behind it
        if len(members) > 1:
            begin = max(covered, int(first[members].min()))
            if end > begin and _gain(len(members), end - begin, 1, machine) > 0:
                chosen.append((begin, end, members))
                covered = end
        rest.extend((child, covered) for child in branch.children.values())
    return chosen


def _gain(members: int, keys: int, pieces: int, machine: Machine) -> float:
    """What is saved by reading `keys` keys once, in so many pieces."""
    saved = (1 + _READ_AGAIN * (members - 1) - _tiles(members, machine)) * keys
    return saved - _PARTIAL * members * machine.group * pieces


def _tiles(members: int, machine: Machine) -> int:
    """Of one query of each."""
    return -(-members // (machine.shared_block_m // machine.group))


def _target_size(branches: Sequence[Shared], machine: Machine) -> int:
    """Keys per piece with which all tiles together keep the machine busy."""
    if machine.fixed_split:
        return machine.fixed_split
    keys = sum((end - begin) * _tiles(len(members), machine) for begin, end, members in branches)
    return max(keys // machine.places, _LEAST_PIECE)


def _num_pieces(keys: int, target: int, machine: Machine) -> int:
    if machine.fixed_split:
        return -(-keys // machine.fixed_split)
    return max(round(keys / target), 1)


def _cut(branches: Sequence[Shared], target: int, machine: Machine) -> list[SharedPiece]:
    """Pieces of about `target` keys, those of one branch about equal."""
    pieces: list[SharedPiece] = []
    for begin, end, members in branches:
        size = machine.fixed_split
        if size is None:
            blocks = -(-(end - begin) // KEY_BLOCK)
            size = -(-blocks // _num_pieces(end - begin, target, machine)) * KEY_BLOCK
        starts = range(begin, end, size)
        pieces.extend(SharedPiece(members, at, min(at + size, end)) for at in starts)
    return pieces
