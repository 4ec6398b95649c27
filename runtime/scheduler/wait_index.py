"""Waiting sequences in the order of their tokens, so that whoever shares a prefix stands together.

The waiting queue asks it who is concerned when the radix tree grows or shrinks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np

from ..radix_cache.node import TOKEN_BYTES
from .sequence import Sequence


class WaitIndex:
    """Per namespace one sorted list of (tokens as bytes, arrival): a prefix is one range of it.

    Adding, removing and finding a range take a dozen comparisons of bytes, however many wait.
    """

    def __init__(self) -> None:
        self._keys: dict[str, list[tuple[bytes, int]]] = {}
        self._seqs: dict[str, list[Sequence]] = {}

    @property
    def namespaces(self) -> list[str]:
        return list(self._keys)

    def add(self, seq: Sequence) -> None:
        keys = self._keys.setdefault(seq.namespace, [])
        at = bisect_left(keys, (seq.prefix_bytes, seq.arrival))
        keys.insert(at, (seq.prefix_bytes, seq.arrival))
        self._seqs.setdefault(seq.namespace, []).insert(at, seq)

    def remove(self, seq: Sequence) -> None:
        keys = self._keys[seq.namespace]
        at = bisect_left(keys, (seq.prefix_bytes, seq.arrival))
        del keys[at]
        del self._seqs[seq.namespace][at]
        if not keys:
            del self._keys[seq.namespace], self._seqs[seq.namespace]

    def in_order(self, namespace: str) -> list[Sequence]:
        """All of a namespace, by their tokens. Not to be changed."""
        return self._seqs.get(namespace, [])

    def with_prefix(self, namespace: str, prefix: bytes) -> list[Sequence]:
        """Those whose tokens begin with `prefix`."""
        keys = self._keys.get(namespace)
        if keys is None:
            return []
        size = len(prefix)
        low = bisect_left(keys, (prefix, -1))
        high = bisect_right(keys, prefix, low, key=lambda key: key[0][:size])
        return self._seqs[namespace][low:high]


def num_shared(first: bytes, second: bytes) -> int:
    """How many leading tokens two sequences have in common."""
    size = min(len(first), len(second))
    if first[:size] == second[:size]:
        return size // TOKEN_BYTES
    count = size // TOKEN_BYTES
    differs = np.frombuffer(first, np.int32, count) != np.frombuffer(second, np.int32, count)
    return int(differs.argmax())
