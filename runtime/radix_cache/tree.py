"""The token tree over KV slots: the scheduler asks it for prefixes and gives it finished ones."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from ..memory.allocator import SlotAllocator, SlotIds
from .node import TOKEN_BYTES, Node, Root, TokenIds, path_of
from .order import EvictionOrder


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


# Keeps what is about to be evicted: the namespace, all tokens up to there, where the evicted ones
# begin, and their slots.
Spill = Callable[[str, bytes, int, SlotIds], None]


class RadixCache:
    """Prefixes of token sequences, each token with the KV slot that holds its keys and values.

    Token granular: a match may end anywhere, and splits the node it ends in, so that a lease
    protects exactly the matched tokens. Slots in the tree belong to the tree; `evict` gives
    unleased ones back to the allocator, those of the lowest score first (see order.py).

    quotas: tokens per namespace that are never evicted on behalf of other namespaces.
    half_attention: at this position attention is half of what a token costs to compute.
    """

    def __init__(
        self,
        allocator: SlotAllocator,
        clock: Callable[[], float] = time.monotonic,
        quotas: Mapping[str, int] | None = None,
        half_attention: float = math.inf,
    ) -> None:
        self.allocator = allocator
        self.clock = clock
        self.listeners: list[TreeListener] = []
        self.spill: Spill | None = None
        self.roots: dict[str, Root] = {}
        self.order = EvictionOrder(quotas or {}, half_attention)
        self.num_tokens = 0
        self.num_nodes = 0
        self.num_evicted_total = 0

    @property
    def num_evictable(self) -> int:
        return self.order.num_evictable

    def match_length(self, namespace: str, tokens: TokenIds | bytes) -> int:
        """How many leading tokens (int32, or their bytes) are cached. Changes nothing, not even the
        order of eviction."""
        query = _as_bytes(tokens)
        _, at, partial = self._descend(namespace, query)
        if partial is not None:
            at += _num_common(partial.tokens, query, at) * TOKEN_BYTES
        return at // TOKEN_BYTES

    def match_prefix(self, namespace: str, tokens: TokenIds | bytes) -> Match:
        """The longest cached prefix of `tokens`. Lock the node before anything else is evicted."""
        path: list[SlotIds] = []
        node, _ = self._find(namespace, _as_bytes(tokens), path)
        self._touch(node)
        return Match(np.concatenate(path) if path else np.empty(0, np.int64), node)

    def insert(self, namespace: str, tokens: TokenIds, slots: SlotIds, program: int = 0) -> int:
        """Cache `tokens`, whose KV lies in `slots`; return how many of them were there already.
        program: whose they are, 0 for nobody's.

        The tree becomes the owner of the slots behind that number. Those before it stay with the
        caller: they are either the tree's own (from an earlier match), or duplicates to be freed.
        """
        if len(tokens) != len(slots):
            raise ValueError(f"{len(tokens)} tokens cannot lie in {len(slots)} slots")
        query = _as_bytes(tokens)
        node, present = self._find(namespace, query, [])
        if present < len(slots):
            node = self._append(node, query[present * TOKEN_BYTES :], slots[present:], program)
            for listener in self.listeners:
                listener.stored(namespace, query, present)
        self._touch(node)
        return present

    def extend(
        self, node: Node, namespace: str, tokens: bytes, slots: SlotIds, program: int = 0
    ) -> Node | None:
        """`insert` for who leases `node`: put what follows behind it, and move the lease to the
        end, which is returned. None, and nothing is done, where the tree holds some of it already.

        tokens: all from the root on, int32. slots: of those behind `node`. Nothing is looked up and
        the order of eviction stays, for the path is leased all the time.
        """
        start = node.end
        new = tokens[start * TOKEN_BYTES :]
        if len(new) != len(slots) * TOKEN_BYTES:
            raise ValueError(f"{len(new) // TOKEN_BYTES} tokens cannot lie in {len(slots)} slots")
        if not new or int.from_bytes(new[:TOKEN_BYTES], sys.byteorder) in node.children:
            return None
        if node.parent is None and self.roots.get(namespace, node) is not node:
            return None  # meanwhile others began this namespace anew
        end = self._append(node, new, slots, program, leased=True)
        for listener in self.listeners:
            listener.stored(namespace, tokens, start)
        return end

    def lock(self, node: Node) -> None:
        """Take a lease: nothing on the path to `node` is evicted until as many unlocks follow."""
        if node.parent is None:
            if isinstance(node, Root):
                return
            raise ValueError("the node was evicted: lock a match before evicting anything")
        node.refs += 1
        while node.refs == 1 and node.parent is not None:
            self.order.discard(node)
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
            self.order.add(node)
            node = node.parent
            node.refs -= 1

    def count_hit(self, node: Node, program: int = 0) -> None:
        """Note that a sequence starts on the prefix that ends with `node`. program: whose it is, 0
        for nobody's."""
        while node.parent is not None:
            self.order.chances.note(node, len(node.slots), returned=True)
            node.hits += 1
            if not program or node.last_user != program:
                node.num_users += 1
                node.last_user = program
            node = node.parent

    def keep(self, node: Node) -> None:
        """Let the path to `node` go late: a program will come back to it."""
        self._claim(node, keeps=1)
        self._touch(node)

    def unkeep(self, node: Node) -> None:
        """Take back one `keep`; one on a node that was evicted meanwhile is no more."""
        self._claim(node, keeps=-1)

    def pin(self, node: Node) -> None:
        """Let the path to `node` go last of all."""
        self._claim(node, pins=1)
        self._touch(node)

    def unpin(self, node: Node) -> None:
        """Take back one `pin`; one on a node that was evicted meanwhile is no more."""
        self._claim(node, pins=-1)

    def hasten(self, node: Node) -> None:
        """A program will not come back to `node`: it goes next, and so does what is above, as far
        up as no other program used it, wants it, or has a branch there."""
        while (
            node.parent is not None
            and not (node.refs or node.keeps or node.pins or node.num_users)
            and all(child.is_given_up for child in node.children.values())
        ):
            self.order.hasten(node)
            node = node.parent

    def _claim(self, node: Node, keeps: int = 0, pins: int = 0) -> None:
        """Count at `node`, and above wherever the first claim begins or the last one ends."""
        while node.parent is not None:
            had_keeps, had_pins = node.keeps > 0, node.pins > 0
            self.order.reclass(node, keeps, pins)
            keeps = (node.keeps > 0) - had_keeps
            pins = (node.pins > 0) - had_pins
            if not keeps and not pins:
                return
            node = node.parent

    def evict(self, n: int, namespace: str | None = None, spare: int = 0) -> int:
        """Free `n` unleased slots, from the leaves up; return how many were freed.

        A leaf that is larger than what is still wanted loses only its end, and up to `spare` slots
        more, so that who needs a few each time need not come each time. namespace: who needs them;
        of others' quotas nothing is taken. None respects all quotas.
        """
        freed: list[SlotIds] = []
        wanted = n
        own = None if namespace is None else self.order.domain_of(namespace)
        while wanted > 0 and (first := self.order.first(own)) is not None:
            node, num_needed = first
            size = len(node.slots)
            for_others = node.domain.num_for_others
            most = wanted if node.domain is own else min(wanted, for_others)
            most = max(most, min(wanted + spare, for_others))
            kept = max(num_needed, size - most)
            self.order.note_eviction(node, size - kept)
            if self.listeners or self.spill is not None:
                name, path = path_of(node)
                start = len(path) // TOKEN_BYTES - size + kept
                if self.spill is not None:
                    self.spill(name, path, start, node.slots[kept:])
                for listener in self.listeners:
                    listener.evicted(name, path, start)
            if not kept:
                self._remove(node)
                freed.append(node.slots)
                node.domain.num_tokens -= size
            else:
                freed.append(node.slots[kept:])
                node.slots = node.slots[:kept].copy()
                node.tokens = node.tokens[: kept * TOKEN_BYTES]
                node.domain.num_tokens -= size - kept
                node.domain.num_evictable -= size - kept
            wanted -= size - kept
        if not freed:
            return 0
        slots = np.concatenate(freed) if len(freed) > 1 else freed[0]
        self.num_tokens -= len(slots)
        self.num_evicted_total += len(slots)
        self.allocator.free(slots)
        return len(slots)

    def flush(self) -> int:
        """Evict everything that is not leased, quotas or not; return the number of freed slots."""
        return sum(self.evict(self.num_evictable, namespace) for namespace in list(self.roots))

    def _descend(self, namespace: str, query: bytes) -> tuple[Node, int, Node | None]:
        """Follow whole nodes. The deepest one, the bytes matched so far, and the child (if any)
        of which a first part, but not all, continues the query."""
        root = self.roots.get(namespace)
        if root is None:
            return Root(namespace, self.order.domain_of(namespace)), 0, None
        node: Node = root
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

    def _append(
        self, node: Node, tokens: bytes, slots: SlotIds, program: int, *, leased: bool = False
    ) -> Node:
        """Put new tokens behind `node`; the node that ends with them is returned. leased: the
        caller has a lease on `node`, which passes to that one.

        A leaf that nobody else holds or has started on grows in place, so that a prompt that is
        filed chunk by chunk stays one node as long as nothing branches off.
        """
        self.num_tokens += len(slots)
        node.domain.num_tokens += len(slots)
        is_free = node.refs == leased and not (node.keeps or node.pins or node.hits)
        if node.parent is not None and not node.children and is_free:
            if not leased:
                node.domain.num_evictable += len(slots)
            node.tokens += tokens
            node.slots = np.concatenate([node.slots, slots])
            return node
        if isinstance(node, Root):
            self.roots[node.namespace] = node
            node.refs += leased
        leaf = Node(tokens, slots.copy(), node, node.domain)
        leaf.used_s = self.clock()
        leaf.last_user = program
        node.children[leaf.first_token] = leaf
        if leased:
            # Above the root the count stays: the lease goes, a leased child comes.
            leaf.refs = 1
        else:
            self.order.add(leaf)
        self.num_nodes += 1
        return leaf

    def _split(self, node: Node, k: int) -> Node:
        """Cut `node` after its first `k` tokens; the new upper part is returned. The object `node`
        stays the lower part, so that leases on it keep covering all they covered."""
        parent = node.parent
        if parent is None:
            raise ValueError("a root has no tokens to split")
        upper = Node(node.tokens[: k * TOKEN_BYTES], node.slots[:k].copy(), parent, node.domain)
        parent.children[upper.first_token] = upper
        node.tokens = node.tokens[k * TOKEN_BYTES :]
        node.slots = node.slots[k:].copy()
        node.parent = upper
        upper.children[node.first_token] = node
        node.start += k
        upper.hits, upper.used_s = node.hits, node.used_s
        upper.num_users, upper.last_user = node.num_users, node.last_user
        upper.keeps, upper.pins = int(node.keeps > 0), int(node.pins > 0)
        upper.refs = int(node.refs > 0)
        self.order.inherit(upper, node)
        self.num_nodes += 1
        return upper

    def _touch(self, node: Node) -> None:
        """Make the unprotected part of the path to `node` the youngest, children before parents."""
        now_s = self.clock()
        while node.refs == 0 and node.parent is not None:
            node.used_s = now_s
            self.order.touch(node)
            node = node.parent

    def _remove(self, leaf: Node) -> None:
        parent = leaf.parent
        if parent is None or leaf.children or leaf.refs:
            raise ValueError("only an unleased leaf can be removed")
        self._claim(leaf, -leaf.keeps, -leaf.pins)
        self.order.discard(leaf)
        del parent.children[leaf.first_token]
        leaf.parent = None
        self.num_nodes -= 1
        self.order.expose(parent)
        if isinstance(parent, Root) and not parent.children:
            # Namespaces come from clients: an empty one must not stay behind.
            del self.roots[parent.namespace]


def _as_bytes(tokens: TokenIds | bytes) -> bytes:
    if isinstance(tokens, bytes):
        return tokens
    return np.ascontiguousarray(tokens, dtype=np.int32).tobytes()


def _num_common(tokens: bytes, query: bytes, at: int) -> int:
    """How many tokens of `tokens` equal those of `query` from byte `at` on."""
    n = min(len(tokens), len(query) - at) // TOKEN_BYTES
    differs = np.frombuffer(tokens, np.int32, n) != np.frombuffer(query, np.int32, n, at)
    first = int(differs.argmax())
    return first if differs[first] else n
