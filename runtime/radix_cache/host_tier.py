"""What was evicted from the KV pool, kept in the host's memory: put back instead of computed again.

Told by the radix tree's `evict`, asked by scheduler/kv.py when a sequence starts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ..memory.allocator import SlotIds
from .events import prefix_hash
from .node import TOKEN_BYTES, TokenIds

KV = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Tokens, int32 as bytes, and their keys and values: [heads, tokens, dim] by name."""

    tokens: bytes
    kv: KV

    @property
    def num_tokens(self) -> int:
        return len(self.tokens) // TOKEN_BYTES


class HostTier:
    """Pieces of prefixes, filed by what stands before them; the least recently used go first.

    The tree evicts from its leaves up, so where the cached part of a prompt ends, there the piece
    that was evicted behind it begins, and behind that the one that went before.

    read_kv, write_kv: of the model runner.
    """

    def __init__(
        self,
        max_tokens: int,
        read_kv: Callable[[SlotIds], KV],
        write_kv: Callable[[SlotIds, KV], None],
    ) -> None:
        self.num_tokens = 0
        self.num_restored = 0
        self._max_tokens = max_tokens
        self._read_kv = read_kv
        self._write_kv = write_kv
        # By namespace, prefix and next token: several pieces may follow one prefix.
        self._pieces: OrderedDict[tuple[str, bytes], _Piece] = OrderedDict()

    def take(self, namespace: str, path: bytes, start: int, slots: SlotIds) -> None:
        """Keep `path` from token `start` on; its KV lies in `slots`, which are freed next."""
        if len(slots) > self._max_tokens:
            return
        key = _key(namespace, path, start)
        self._drop(key)
        kv = {name: tensor.clone() for name, tensor in self._read_kv(slots).items()}
        self._pieces[key] = piece = _Piece(path[start * TOKEN_BYTES :], kv)
        self.num_tokens += piece.num_tokens
        while self.num_tokens > self._max_tokens:
            self._drop(next(iter(self._pieces)))

    def num_next(self, namespace: str, tokens: TokenIds, start: int) -> int:
        """How many tokens behind the first `start` one piece can give."""
        if start >= len(tokens):
            return 0
        query = tokens.tobytes()
        piece = self._pieces.get(_key(namespace, query, start))
        if piece is None:
            return 0
        rest = tokens[start : start + piece.num_tokens]
        differs = np.frombuffer(piece.tokens, np.int32)[: len(rest)] != rest
        return int(differs.argmax()) if differs.any() else len(rest)

    def restore(self, namespace: str, tokens: TokenIds, start: int, slots: SlotIds) -> None:
        """Write the KV of the tokens behind `start` into `slots`: no more than `num_next`."""
        key = _key(namespace, tokens.tobytes(), start)
        piece = self._pieces[key]
        self._write_kv(slots, {name: kv[:, : len(slots)] for name, kv in piece.kv.items()})
        self.num_restored += len(slots)
        if len(slots) == piece.num_tokens:
            self._drop(key)
        else:
            self._pieces.move_to_end(key)

    def clear(self) -> None:
        """Forget everything."""
        self._pieces.clear()
        self.num_tokens = 0

    def _drop(self, key: tuple[str, bytes]) -> None:
        piece = self._pieces.pop(key, None)
        if piece is not None:
            self.num_tokens -= piece.num_tokens


def _key(namespace: str, tokens: bytes, start: int) -> tuple[str, bytes]:
    """Of the piece that follows the first `start` tokens with the next one."""
    return namespace, bytes.fromhex(prefix_hash(namespace, tokens[: (start + 1) * TOKEN_BYTES]))
