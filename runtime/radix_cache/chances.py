"""How likely a cached token is used again, learned from those that were and those that were evicted
before; used by the order of eviction.
"""

from __future__ import annotations

import math
from typing import Final

from .node import Node

# Until more is known, by the number of programs that used a node: 0, 1, 2, 3 and more.
_GUESSES: Final = (0.5, 0.7, 0.8, 0.9)
_TOKENS_GUESSED: Final = 2_000.0
# Twice as many are remembered at most; then all count half.
_MEMORY: Final = 50_000.0
# What was popular once may outlive so many times the traffic that nobody comes back to.
_MOST: Final = 16.0


class Chances:
    """Nodes are told apart by how many programs used them. What none has used again has a chance
    of 1 here, and others that of being used again compared with it.

    Chances are powers of two: those that hardly differ must not outweigh what was used lately.
    """

    def __init__(self) -> None:
        self._returned = [guess * _TOKENS_GUESSED for guess in _GUESSES]
        self._total = [_TOKENS_GUESSED for _ in _GUESSES]
        self.certain = 1.0
        self._relative = [1.0 for _ in _GUESSES]
        self._compare()

    def of(self, node: Node) -> float:
        return self._relative[_kind_of(node)]

    def note(self, node: Node, num_tokens: int, *, returned: bool) -> None:
        """So many of a node's tokens are used again, or evicted. What an open session keeps, and
        what was given up with one, tells nothing about others."""
        if node.keeps or node.pins or node.is_given_up:
            return
        kind = _kind_of(node)
        self._total[kind] += num_tokens
        self._returned[kind] += num_tokens * returned
        if self._total[kind] > 2.0 * _MEMORY:
            self._total[kind] /= 2.0
            self._returned[kind] /= 2.0
        self._compare()

    def _compare(self) -> None:
        least = self._returned[0] / self._total[0]
        self.certain = _power_of_two(1.0, least)
        for kind in range(1, len(_GUESSES)):
            self._relative[kind] = _power_of_two(self._returned[kind] / self._total[kind], least)


def _kind_of(node: Node) -> int:
    return min(node.num_users, len(_GUESSES) - 1)


def _power_of_two(chance: float, least: float) -> float:
    if chance >= _MOST * least:
        return _MOST
    return 2.0 ** round(math.log2(max(chance / least, 1.0 / _MOST)))
