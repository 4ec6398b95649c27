"""The token tree over KV slots: the scheduler asks it for prefixes and gives it finished ones."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from ..memory.allocator import SlotAllocator, SlotIds
from .node import TOKEN_BYTES, Node, Root, TokenIds


class Match(NamedTuple):
    """The longest cached prefix of a query: its slots, [tokens], and the node where it ends."""

    slots: SlotIds
    node: Node


class TreeListener(Protocol):
    """Who wants to know what the tree holds. `tokens` are int32 as bytes, `start` counts tokens."""

    def stored(self, namespace: str, tokens: bytes, start: int) -> None:
        """All of `tokens` are cached now; the first `start` were before."""

    def evicted(self, namespace: str, tokens: bytes, start: int) -> None:
        """Only the first `start` of `tokens` are cached any more."""


class RadixCache:
    """Prefixes of token sequences, each token with the KV slot that holds its keys and values.

    Token granular: a match may end anywhere, and splits the node it ends in, so that a lease
    protects exactly the matched tokens. Slots in the tree belong to the tree; `evict` gives the
    least recently used unleased ones back to the allocator.

    The order of eviction is one linked list of all unprotected nodes, oldest first. A use moves
    the unprotected part of its path to the young end, deepest node first. Hence a child always
    stands before its parent, the oldest node is always a leaf, and evicting never searches:
    its time depends on what is evicted, not on the size of the tree.
    """

    def __init__(
        self, allocator: SlotAllocator, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.allocator = allocator
        self.clock = clock
        self.listeners: list[TreeListener] = []
        self.roots: dict[str, Root] = {}
        self.order: OrderedDict[Node, None] = OrderedDict()
        self.num_tokens = 0
        self.num_evictable = 0
        self.num_nodes = 0
        self.num_evicted_total = 0

    def match_length(self, namespace: str, tokens: TokenIds) -> int:
        """How many leading tokens are cached. Changes nothing, not even the order of eviction."""
        query = _as_bytes(tokens)
        _, at, partial = self._descend(namespace, query)
        if partial is not None:
            at += _num_common(partial.tokens, query, at) * TOKEN_BYTES
        return at // TOKEN_BYTES

    def match_prefix(self, namespace: str, tokens: TokenIds) -> Match:
        """The longest cached prefix of `tokens`. Lock the node before anything else is evicted."""
        path: list[SlotIds] = []
        node, _ = self._find(namespace, _as_bytes(tokens), path)
        self._touch(node)
        return Match(np.concatenate(path) if path else np.empty(0, np.int64), node)

    def insert(self, namespace: str, tokens: TokenIds, slots: SlotIds) -> int:
        """Cache `tokens`, whose KV lies in `slots`; return how many of them were there already.

        The tree becomes the owner of the slots behind that number. Those before it stay with the
        caller: they are either the tree's own (from an earlier match), or duplicates to be freed.
        """
        if len(tokens) != len(slots):
            raise ValueError(f"{len(tokens)} tokens cannot lie in {len(slots)} slots")
        query = _as_bytes(tokens)
        node, present = self._find(namespace, query, [])
        if present < len(slots):
            node = self._append(node, query[present * TOKEN_BYTES :], slots[present:])
            for listener in self.listeners:
                listener.stored(namespace, query, present)
        self._touch(node)
        return present

    def lock(self, node: Node) -> None:
        """Take a lease: nothing on the path to `node` is evicted until as many unlocks follow."""
        if node.parent is None:
            if isinstance(node, Root):
                return
            raise ValueError("the node was evicted: lock a match before evicting anything")
        node.refs += 1
        while node.refs == 1 and node.parent is not None:
            self.num_evictable -= len(node.slots)
            del self.order[node]
            node = node.parent
            node.refs += 1

    def unlock(self, node: Node) -> None:
        """Give back one lease. What nobody else holds counts as used just now."""
        if isinstance(node, Root):
            return
        if node.refs < 1:
            raise ValueError("unlock without a lock")
        node.refs -= 1
        now_s = self.clock()
        while node.refs == 0 and node.parent is not None:
            node.used_s = now_s
            self.num_evictable += len(node.slots)
            self.order[node] = None
            node = node.parent
            node.refs -= 1

    def count_hit(self, node: Node) -> None:
        """Note that a sequence starts on the prefix that ends with `node`."""
        while node.parent is not None:
            node.hits += 1
            node = node.parent

    def evict(self, n: int) -> int:
        """Free the `n` least recently used unleased slots, from the leaves up; return how many
        there were to free. A leaf that is larger than what is still wanted loses only its end."""
        freed: list[SlotIds] = []
        wanted = n
        while wanted > 0 and self.order:
            node = next(iter(self.order))
            size = len(node.slots)
            kept = max(0, size - wanted)
            if self.listeners:
                namespace, path = _path(node)
                start = len(path) // TOKEN_BYTES - size + kept
                for listener in self.listeners:
                    listener.evicted(namespace, path, start)
            if not kept:
                self._remove(node)
                freed.append(node.slots)
                wanted -= size
            else:
                freed.append(node.slots[kept:])
                node.slots = node.slots[:kept].copy()
                node.tokens = node.tokens[: kept * TOKEN_BYTES]
                wanted = 0
        if not freed:
            return 0
        slots = np.concatenate(freed)
        self.num_tokens -= len(slots)
        self.num_evictable -= len(slots)
        self.num_evicted_total += len(slots)
        self.allocator.free(slots)
        return len(slots)

    def flush(self) -> int:
        """Evict everything that is not leased; return the number of freed slots."""
        return self.evict(self.num_evictable)

    def _descend(self, namespace: str, query: bytes) -> tuple[Node, int, Node | None]:
        """Follow whole nodes. The deepest one, the bytes matched so far, and the child (if any)
        of which a first part, but not all, continues the query."""
        node: Node = self.roots.get(namespace) or Root(namespace)
        ids = memoryview(query).cast("i")
        at = 0
        while at < len(query):
            child = node.children.get(ids[at // TOKEN_BYTES])
            if child is None:
                break
            if not query.startswith(child.tokens, at):
                return node, at, child
            at += len(child.tokens)
            node = child
        return node, at, None

    def _find(self, namespace: str, query: bytes, path: list[SlotIds]) -> tuple[Node, int]:
        """The node where the longest cached prefix ends, and its number of tokens; splits the node
        that the query leaves half way. The slots of each node on the way are appended to `path`."""
        node, at, partial = self._descend(namespace, query)
        if partial is not None:
            common = _num_common(partial.tokens, query, at)
            node = self._split(partial, common)
            at += common * TOKEN_BYTES
        above: Node | None = node
        while above is not None and above.parent is not None:
            path.append(above.slots)
            above = above.parent
        path.reverse()
        return node, at // TOKEN_BYTES

    def _append(self, node: Node, tokens: bytes, slots: SlotIds) -> Node:
        """Put new tokens behind `node`; the node that ends with them is returned.

        An unleased leaf grows in place, so that a prompt filed chunk by chunk, or a conversation
        turn by turn, stays one node as long as nothing branches off.
        """
        self.num_tokens += len(slots)
        self.num_evictable += len(slots)
        if node.parent is not None and not node.children and not node.refs:
            node.tokens += tokens
            node.slots = np.concatenate([node.slots, slots])
            return node
        if isinstance(node, Root):
            self.roots[node.namespace] = node
        leaf = Node(tokens, slots.copy(), node)
        leaf.used_s = self.clock()
        node.children[leaf.first_token] = leaf
        self.order[leaf] = None
        self.num_nodes += 1
        return leaf

    def _split(self, node: Node, k: int) -> Node:
        """Cut `node` after its first `k` tokens; the new upper part is returned. The object `node`
        stays the lower part, so that leases on it keep covering all they covered."""
        parent = node.parent
        if parent is None:
            raise ValueError("a root has no tokens to split")
        upper = Node(node.tokens[: k * TOKEN_BYTES], node.slots[:k].copy(), parent)
        parent.children[upper.first_token] = upper
        node.tokens = node.tokens[k * TOKEN_BYTES :]
        node.slots = node.slots[k:].copy()
        node.parent = upper
        upper.children[node.first_token] = node
        upper.hits, upper.used_s = node.hits, node.used_s
        if node.refs > 0:
            upper.refs = 1
        else:
            self.order[upper] = None
        self.num_nodes += 1
        return upper

    def _touch(self, node: Node) -> None:
        """Make the unprotected part of the path to `node` the youngest, children before parents."""
        now_s = self.clock()
        while node.refs == 0 and node.parent is not None:
            node.used_s = now_s
            self.order.move_to_end(node)
            node = node.parent

    def _remove(self, leaf: Node) -> None:
        parent = leaf.parent
        if parent is None or leaf.children or leaf.refs:
            raise ValueError("only an unleased leaf can be removed")
        del self.order[leaf]
        del parent.children[leaf.first_token]
        leaf.parent = None
        self.num_nodes -= 1
        if isinstance(parent, Root) and not parent.children:
            # Namespaces come from clients: an empty one must not stay behind.
            del self.roots[parent.namespace]


def _path(node: Node) -> tuple[str, bytes]:
    """The namespace of a node, and all tokens from the root to its end."""
    pieces: list[bytes] = []
    above: Node = node
    while above.parent is not None:
        pieces.append(above.tokens)
        above = above.parent
    if not isinstance(above, Root):
        raise ValueError("the node is no longer in the tree")
    return above.namespace, b"".join(reversed(pieces))


def _as_bytes(tokens: TokenIds) -> bytes:
    return np.ascontiguousarray(tokens, dtype=np.int32).tobytes()


def _num_common(tokens: bytes, query: bytes, at: int) -> int:
    """How many tokens of `tokens` equal those of `query` from byte `at` on."""
    n = min(len(tokens), len(query) - at) // TOKEN_BYTES
    differs = np.frombuffer(tokens, np.int32, n) != np.frombuffer(query, np.int32, n, at)
    first = int(differs.argmax())
    return first if differs[first] else n
