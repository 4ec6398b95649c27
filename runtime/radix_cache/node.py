"""One node of the token tree: a run of tokens and the KV slots that hold them."""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

from ..memory.allocator import SlotIds

TokenIds = npt.NDArray[np.int32]
TOKEN_BYTES = 4


class Domain:
    """Namespaces that share one order of eviction: one that has a quota, or all that have none.

    quota: tokens of it that others can never evict. leaves: a heap of (score, place, leaf), the one
    to go first in front; see order.py.
    """

    __slots__ = ("leaves", "most_entries", "num_evictable", "num_tokens", "quota")

    def __init__(self, quota: int) -> None:
        self.quota = quota
        self.num_tokens = 0
        self.num_evictable = 0
        self.leaves: list[tuple[float, int, Node]] = []
        self.most_entries = 0

    @property
    def num_for_others(self) -> int:
        """How many of its tokens may be evicted on behalf of other domains."""
        return min(self.num_evictable, max(0, self.num_tokens - self.quota))


class Node:
    """`tokens` is an int32 array kept as bytes: comparing it with a query is then one memcmp
    (`bytes.startswith` at an offset), 0.1 us where numpy's smallest comparison costs 1.5 us.

    `refs` counts the leases on this very node plus its children that have `refs > 0`: a node is
    protected from eviction exactly while `refs > 0`, and so are all nodes above it. `keeps` and
    `pins` count alike for programs that will come back and for prefixes that somebody pinned:
    these do not protect, but such nodes go late.

    `start` is the number of tokens before it. `hits` counts the sequences that started on it, and
    `num_users` the programs that did, without the one that it comes from; `last_user` is the latest
    of all. `used_s` is when it was last used, on the cache's clock. For `level`, `score` and
    `place` see order.py.
    """

    __slots__ = (
        "children", "domain", "hits", "keeps", "last_user", "level", "num_users", "parent", "pins",
        "place", "refs", "score", "slots", "start", "tokens", "used_s",
    )  # fmt: skip

    def __init__(self, tokens: bytes, slots: SlotIds, parent: Node | None, domain: Domain) -> None:
        self.tokens = tokens
        self.slots = slots
        self.parent = parent
        self.domain = domain
        self.children: dict[int, Node] = {}
        self.start = 0 if parent is None else parent.end
        self.refs = 0
        self.keeps = 0
        self.pins = 0
        self.hits = 0
        self.num_users = 0
        self.last_user = 0
        self.used_s = 0.0
        self.level = 0.0
        self.score = 0.0
        self.place = 0

    @property
    def token_ids(self) -> TokenIds:
        """The tokens as int32 [tokens], without a copy."""
        return np.frombuffer(self.tokens, np.int32)

    @property
    def first_token(self) -> int:
        return int.from_bytes(self.tokens[:TOKEN_BYTES], sys.byteorder)

    @property
    def is_given_up(self) -> bool:
        """Whether nobody is known to come back to it."""
        return self.level < 0.0

    @property
    def end(self) -> int:
        """The number of tokens from the root to its end."""
        return self.start + len(self.slots)


class Root(Node):
    """Where the prefixes of one namespace begin. It has no tokens and needs no protection."""

    __slots__ = ("namespace",)

    def __init__(self, namespace: str, domain: Domain) -> None:
        super().__init__(b"", np.empty(0, np.int64), None, domain)
        self.namespace = namespace


def path_of(node: Node) -> tuple[str, bytes]:
    """The namespace of a node, and all tokens from the root to its end. Raises ValueError for one
    that is no longer in the tree."""
    pieces: list[bytes] = []
    above: Node = node
    while above.parent is not None:
        pieces.append(above.tokens)
        above = above.parent
    if not isinstance(above, Root):
        raise ValueError("the node is no longer in the tree")
    return above.namespace, b"".join(reversed(pieces))
