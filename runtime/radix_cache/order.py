"""Which cached prefix goes when slots are needed, by one score; used by the radix tree alone.

GreedyDual (N. Young, 1994): a node's score is what its tokens are worth, plus the score of the
latest that was evicted when the node was last used. So what is worth twice as much outlives twice
as much traffic, nothing lives for ever, and where all is worth the same the order is LRU.

Only leaves can go, since what is below a node needs it. Each domain has a heap of its unprotected
leaves, in which an entry is void once its node was used again. A use notes the level on each node
of the path and scores the leaf; evicting takes the logarithm of the number of leaves.

What a sequence that waits is going to use is no matter of chance: it goes after all else but pins,
and what is needed last goes first, as Belady's order has it. A leaf is asked about when its turn to
go has come.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from .chances import Chances
from .node import Domain, Node

# What an open session keeps outlives so many times the traffic that is sure to be used again.
_WORTH_OF_KEPT: Final = 64.0
# The level of what is given up: below that of all else.
_GIVEN_UP: Final = -1e300
# The score of what is needed for certain, give or take how soon.
_NEEDED: Final = 1e15
# So many leaves are asked about before one goes as it stands.
_MOST_ASKED: Final = 32
# Void entries of a heap before it is made anew, beside as many as are valid.
_MOST_VOID: Final = 64


class Need(NamedTuple):
    """What waiting sequences will use of a leaf: the first so many of its tokens. urgency: of those
    behind the first `num_sooner`; greater for what is needed sooner, below 10^12."""

    num_tokens: int
    num_sooner: int
    urgency: float


class EvictionOrder:
    """quotas: tokens per namespace that other namespaces can never evict.
    half_attention: at this position attention is half of what a token costs to compute.
    foresight: what is going to be used of a leaf, if anything is.
    """

    def __init__(self, quotas: Mapping[str, int], half_attention: float) -> None:
        self.quotas = quotas
        self.foresight: Callable[[Node], Need | None] = lambda leaf: None
        self.common = Domain(0)
        self.chances = Chances()
        self._own = {name: Domain(quota) for name, quota in quotas.items()}
        self.domains = [*self._own.values(), self.common]
        self._half_attention = half_attention
        # The score of the latest that went.
        self._level = 0.0
        self._num_places = 0

    def domain_of(self, namespace: str) -> Domain:
        return self._own.get(namespace, self.common)

    def num_evictable_for(self, namespace: str | None) -> int:
        """Tokens that can be evicted on behalf of a namespace, or of several (None)."""
        own = None if namespace is None else self.domain_of(namespace)
        return sum(d.num_evictable if d is own else d.num_for_others for d in self.domains)

    @property
    def num_evictable(self) -> int:
        return sum(domain.num_evictable for domain in self.domains)

    def worth(self, node: Node) -> float:
        """Of each of its tokens: how likely it is needed again, times what it costs to compute."""
        if node.pins:
            return math.inf
        chance = self.chances.of(node)
        if node.keeps:
            chance = _WORTH_OF_KEPT * self.chances.certain
        return chance * (1.0 + node.end / self._half_attention)

    def add(self, node: Node) -> None:
        """It is unprotected now, and used just now."""
        node.domain.num_evictable += len(node.slots)
        self.touch(node)

    def discard(self, node: Node) -> None:
        """It is protected now, or gone."""
        node.domain.num_evictable -= len(node.slots)
        node.place = 0

    def touch(self, node: Node) -> None:
        """It is used just now. Children are touched before their parents."""
        self._place(node, self._level)

    def reclass(self, node: Node, keeps: int, pins: int) -> None:
        """Change who wants it, which is no use of it."""
        before = node.keeps > 0, node.pins > 0
        node.keeps += keeps
        node.pins += pins
        if node.place and (node.keeps > 0, node.pins > 0) != before:
            self._place(node, node.level)

    def hasten(self, node: Node) -> None:
        """Nobody is known to come back to it, however lately it was used."""
        self._place(node, _GIVEN_UP)

    def inherit(self, upper: Node, node: Node) -> None:
        """`upper` was cut off the upper end of `node`."""
        upper.level = node.level
        if node.place:
            self._place(upper, node.level)

    def expose(self, node: Node) -> None:
        """A child of it is gone."""
        if node.place and not node.children:
            self._push(node)

    def first(self, own: Domain | None) -> tuple[Node, int] | None:
        """The leaf that goes next on behalf of the domain `own`, and how many of its tokens stay
        all the same; None when there is none."""
        for _ in range(_MOST_ASKED):
            leaf = self._least(own)
            need = None if leaf is None else self.foresight(leaf)
            if leaf is None or need is None:
                break
            if need.num_tokens < len(leaf.slots):
                return leaf, need.num_tokens
            score = _NEEDED + need.urgency
            if leaf.score >= score:
                return leaf, need.num_sooner
            leaf.score = score
            self._list(leaf)
        leaf = self._least(own)
        return None if leaf is None else (leaf, 0)

    def _least(self, own: Domain | None) -> Node | None:
        best: tuple[float, int, Node] | None = None
        for domain in self.domains:
            if domain is not own and not domain.num_for_others:
                continue
            leaves = domain.leaves
            while leaves and not is_valid(leaves[0]):
                heapq.heappop(leaves)
            if leaves and (best is None or leaves[0] < best):
                best = leaves[0]
        return best[2] if best else None

    def note_eviction(self, node: Node, num_tokens: int) -> None:
        """So many tokens of it go now."""
        self.chances.note(node, num_tokens, returned=False)
        if self._level < node.score < _NEEDED / 2:
            self._level = node.score

    def _place(self, node: Node, level: float) -> None:
        self._num_places += 1
        node.level, node.place = level, self._num_places
        if not node.children:
            self._push(node)

    def _push(self, node: Node) -> None:
        node.score = node.level + self.worth(node)
        self._list(node)

    def _list(self, node: Node) -> None:
        domain = node.domain
        if len(domain.leaves) >= domain.most_entries:
            domain.leaves = [entry for entry in domain.leaves if is_valid(entry)]
            heapq.heapify(domain.leaves)
            domain.most_entries = _MOST_VOID + 2 * len(domain.leaves)
        heapq.heappush(domain.leaves, (node.score, node.place, node))


def is_valid(entry: tuple[float, int, Node]) -> bool:
    """Whether an entry of a heap tells what its node is now."""
    score, place, node = entry
    return node.place == place and node.score == score and not node.children
