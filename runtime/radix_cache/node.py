"""One node of the token tree: a run of tokens and the KV slots that hold them."""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

from ..memory.allocator import SlotIds

TokenIds = npt.NDArray[np.int32]
TOKEN_BYTES = 4


class Node:
    """`tokens` is an int32 array kept as bytes: comparing it with a query is then one memcmp
    (`bytes.startswith` at an offset), 0.1 us where numpy's smallest comparison costs 1.5 us.

    `refs` counts the leases on this very node plus its children that have `refs > 0`: a node is
    protected from eviction exactly while `refs > 0`, and so are all nodes above it.

    `hits` counts the sequences that started on it; `used_s` is when it was last used, on the
    cache's clock.
    """

    __slots__ = ("children", "hits", "parent", "refs", "slots", "tokens", "used_s")

    def __init__(self, tokens: bytes, slots: SlotIds, parent: Node | None) -> None:
        self.tokens = tokens
        self.slots = slots
        self.parent = parent
        self.children: dict[int, Node] = {}
        self.refs = 0
        self.hits = 0
        self.used_s = 0.0

    @property
    def token_ids(self) -> TokenIds:
        """The tokens as int32 [tokens], without a copy."""
        return np.frombuffer(self.tokens, np.int32)

    @property
    def first_token(self) -> int:
        return int.from_bytes(self.tokens[:TOKEN_BYTES], sys.byteorder)


class Root(Node):
    """Where the prefixes of one namespace begin. It has no tokens and needs no protection."""

    __slots__ = ("namespace",)

    def __init__(self, namespace: str) -> None:
        super().__init__(b"", np.empty(0, np.int64), None)
        self.namespace = namespace
