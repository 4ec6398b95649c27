"""What was evicted from the KV pool, kept in the host's memory and below it on a disk: put back
instead of computed again.

Told by the radix tree's `evict`, asked by scheduler/kv.py when a sequence starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from ..memory.allocator import SlotIds
from .disk_tier import DiskTier, Piece
from .events import prefix_hash
from .fair_lru import FairLru
from .node import TOKEN_BYTES, TokenIds

KV = Mapping[str, torch.Tensor]


class HostTier:
    """Pieces of prefixes, filed by what stands before them; the least recently used go first, to
    the tier below where there is one.

    The tree evicts from its leaves up, so where the cached part of a prompt ends, there the piece
    that was evicted behind it begins, and behind that the one that went before.

    read_kv, write_kv: of the model runner. quotas: tokens per namespace that others' pieces never
    drive out.
    """

    def __init__(
        self,
        max_tokens: int,
        read_kv: Callable[[SlotIds], KV],
        write_kv: Callable[[SlotIds, KV], None],
        below: DiskTier | None = None,
        quotas: Mapping[str, int] | None = None,
    ) -> None:
        self.num_restored = 0
        self.below = below
        self._read_kv = read_kv
        self._write_kv = write_kv
        # By namespace, prefix and next token: several pieces may follow one prefix.
        self._pieces: FairLru[tuple[str, bytes], Piece] = FairLru(max_tokens, quotas or {})

    @property
    def num_tokens(self) -> int:
        return self._pieces.size

    def take(self, namespace: str, path: bytes, start: int, slots: SlotIds) -> None:
        """Keep `path` from token `start` on; its KV lies in `slots`, which are freed next."""
        if len(slots) > self._pieces.max_size and self.below is None:
            return
        kv = {name: tensor.clone() for name, tensor in self._read_kv(slots).items()}
        self._put(namespace, path, start, Piece(path[start * TOKEN_BYTES :], kv))

    def _put(self, namespace: str, path: bytes, start: int, piece: Piece) -> None:
        key = _key(namespace, path, start)
        for (owner, digest), old in self._pieces.put(namespace, key, piece, piece.num_tokens):
            if self.below is not None:
                self.below.put(owner, digest, old)

    def num_next(self, namespace: str, tokens: TokenIds, start: int) -> int:
        """How many tokens behind the first `start` one piece can give."""
        if start >= len(tokens):
            return 0
        key = _key(namespace, tokens.tobytes(), start)
        piece = self._pieces.get(key)
        if piece is not None:
            found: bytes | None = piece.tokens
        else:
            found = None if self.below is None else self.below.tokens(key[1])
        if found is None:
            return 0
        rest = tokens[start : start + len(found) // TOKEN_BYTES]
        differs = np.frombuffer(found, np.int32)[: len(rest)] != rest
        return int(differs.argmax()) if differs.any() else len(rest)

    def restore(self, namespace: str, tokens: TokenIds, start: int, slots: SlotIds) -> bool:
        """Write the KV of the tokens behind `start` into `slots`: no more than `num_next`. False
        when a file has turned out to be gone or damaged."""
        key = _key(namespace, tokens.tobytes(), start)
        piece = self._pieces.get(key)
        if piece is None:
            piece = None if self.below is None else self.below.read(key[1])
            if piece is None:
                return False
        self._write_kv(slots, {name: kv[:, : len(slots)] for name, kv in piece.kv.items()})
        self.num_restored += len(slots)
        if self._pieces.pop(key) is not None and len(slots) < piece.num_tokens:
            # What is left is found where the part that is back in the pool ends.
            count = len(slots)
            kv = {name: tensor[:, count:].clone() for name, tensor in piece.kv.items()}
            path = tokens[:start].tobytes() + piece.tokens
            rest = Piece(piece.tokens[count * TOKEN_BYTES :], kv)
            self._put(namespace, path, start + count, rest)
        return True

    def clear(self) -> None:
        """Forget everything."""
        for key in list(self._pieces):
            self._pieces.pop(key)
        if self.below is not None:
            self.below.clear()


def _key(namespace: str, tokens: bytes, start: int) -> tuple[str, bytes]:
    """Of the piece that follows the first `start` tokens with the next one."""
    return namespace, bytes.fromhex(prefix_hash(namespace, tokens[: (start + 1) * TOKEN_BYTES]))
