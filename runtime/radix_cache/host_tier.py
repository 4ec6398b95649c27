"""What was evicted from the KV pool, kept in the host's memory and below it on a disk: put back
instead of computed again.

Told by the radix tree's `evict`, asked by scheduler/kv.py when a sequence starts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

import numpy as np
import torch

from ..memory.allocator import SlotIds
from .disk_tier import DiskTier, Piece
from .events import prefix_hash
from .node import TOKEN_BYTES, TokenIds

KV = Mapping[str, torch.Tensor]


class HostTier:
    """Pieces of prefixes, filed by what stands before them; the least recently used go first, to
    the tier below where there is one.

    The tree evicts from its leaves up, so where the cached part of a prompt ends, there the piece
    that was evicted behind it begins, and behind that the one that went before.

    read_kv, write_kv: of the model runner.
    """

    def __init__(
        self,
        max_tokens: int,
        read_kv: Callable[[SlotIds], KV],
        write_kv: Callable[[SlotIds, KV], None],
        below: DiskTier | None = None,
    ) -> None:
        self.num_tokens = 0
        self.num_restored = 0
        self.below = below
        self._max_tokens = max_tokens
        self._read_kv = read_kv
        self._write_kv = write_kv
        # By namespace, prefix and next token: several pieces may follow one prefix.
        self._pieces: OrderedDict[tuple[str, bytes], Piece] = OrderedDict()

    def take(self, namespace: str, path: bytes, start: int, slots: SlotIds) -> None:
        """Keep `path` from token `start` on; its KV lies in `slots`, which are freed next."""
        is_too_large = len(slots) > self._max_tokens
        if is_too_large and self.below is None:
            return
        key = _key(namespace, path, start)
        self._drop(key)
        kv = {name: tensor.clone() for name, tensor in self._read_kv(slots).items()}
        piece = Piece(path[start * TOKEN_BYTES :], kv)
        if is_too_large and self.below is not None:
            self.below.put(key[1], piece)
            return
        self._pieces[key] = piece
        self.num_tokens += piece.num_tokens
        while self.num_tokens > self._max_tokens:
            oldest = next(iter(self._pieces))
            if self.below is not None:
                self.below.put(oldest[1], self._pieces[oldest])
            self._drop(oldest)

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
        if len(slots) == piece.num_tokens:
            self._drop(key)
        elif key in self._pieces:
            self._pieces.move_to_end(key)
        return True

    def clear(self) -> None:
        """Forget everything."""
        self._pieces.clear()
        self.num_tokens = 0
        if self.below is not None:
            self.below.clear()

    def _drop(self, key: tuple[str, bytes]) -> None:
        piece = self._pieces.pop(key, None)
        if piece is not None:
            self.num_tokens -= piece.num_tokens


def _key(namespace: str, tokens: bytes, start: int) -> tuple[str, bytes]:
    """Of the piece that follows the first `start` tokens with the next one."""
    return namespace, bytes.fromhex(prefix_hash(namespace, tokens[: (start + 1) * TOKEN_BYTES]))
