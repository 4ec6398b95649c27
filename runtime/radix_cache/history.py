"""What the tree has forgotten, so that a cache miss can be explained; used by the engine core."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ..protocol import CacheMiss
from .node import TOKEN_BYTES, Node, TokenIds

# Tokens that are cached at the place of a miss: so many are named at most.
_MAX_INSTEAD = 4


class EvictionHistory:
    """A TreeListener that remembers where evictions began: 100 bytes each, the latest `capacity`.

    An eviction leaves a prefix of `start` tokens. The key is a hash of these and the next token: a
    later request that is cached up to there and goes on with that token meets exactly this key.
    """

    def __init__(self, clock: Callable[[], float], capacity: int = 65_536) -> None:
        self._clock = clock
        self._capacity = capacity
        self._evicted_s: OrderedDict[int, float] = OrderedDict()

    def stored(self, namespace: str, tokens: bytes, start: int) -> None:
        if self._evicted_s:
            self._evicted_s.pop(_key(namespace, tokens, start), None)

    def evicted(self, namespace: str, tokens: bytes, start: int) -> None:
        key = _key(namespace, tokens, start)
        self._evicted_s[key] = self._clock()
        self._evicted_s.move_to_end(key)
        if len(self._evicted_s) > self._capacity:
            self._evicted_s.popitem(last=False)

    def explain(
        self, namespace: str, tokens: TokenIds, num_matched: int, node: Node | None
    ) -> CacheMiss:
        """Why no more than the first `num_matched` tokens were cached, which end with `node`, or
        with none because their sequence has not filed them yet."""
        evicted_s = self._evicted_s.get(
            _key(namespace, tokens[: num_matched + 1].tobytes(), num_matched)
        )
        return CacheMiss(
            position=num_matched,
            token_id=int(tokens[num_matched]),
            reason="new" if evicted_s is None else "evicted",
            evicted_ago_s=None if evicted_s is None else max(0.0, self._clock() - evicted_s),
            cached_instead=[] if node is None else list(node.children)[:_MAX_INSTEAD],
        )


def _key(namespace: str, tokens: bytes, start: int) -> int:
    return hash((namespace, tokens[: (start + 1) * TOKEN_BYTES]))
