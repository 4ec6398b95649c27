"""KV slots changing hands between allocator, radix tree and sequences; used by the scheduler.

Every slot has one owner. All moves between owners are here.
"""

from __future__ import annotations

from typing import Final, TypeVar

import numpy as np

from ..memory.allocator import SlotAllocator, SlotIds
from ..radix_cache.host_tier import HostTier
from ..radix_cache.node import TOKEN_BYTES, TokenIds
from ..radix_cache.tree import Match, RadixCache
from .sequence import Sequence

# Slots that are freed beside those that are needed now: a full pool would evict in every step.
_MOST_SPARE: Final = 64

_Slots = TypeVar("_Slots", SlotIds, int)


def common_namespace(seqs: list[Sequence]) -> str | None:
    """The namespace of all of them, None when there are several."""
    namespaces = {seq.namespace for seq in seqs}
    return namespaces.pop() if len(namespaces) == 1 else None


class KVLedger:
    """Gives slots to sequences, evicting cached prefixes when none are free, and files what
    sequences computed in the tree."""

    def __init__(
        self, allocator: SlotAllocator, cache: RadixCache, tier: HostTier | None = None
    ) -> None:
        self.allocator = allocator
        self.cache = cache
        self._tier = tier
        self._num_spare = min(_MOST_SPARE, allocator.num_slots // 64)

    def num_available(self, namespace: str | None) -> int:
        """Slots that can be had for a namespace (None: for several together) without taking any
        from a running sequence or from another namespace's quota."""
        return self.allocator.num_free + self.cache.order.num_evictable_for(namespace)

    def lease(self, seq: Sequence) -> None:
        """Start from the longest cached prefix that the sequence can use, and protect it."""
        tokens = seq.prefix_bytes[: seq.max_match * TOKEN_BYTES]
        match = self.cache.match_prefix(seq.namespace, tokens)
        self.cache.lock(match.node)
        if self._tier is not None:
            match = self._bring_back(self._tier, seq.namespace, seq.ids[: seq.max_match], match)
        self.cache.count_hit(match.node, seq.program)
        seq.node = match.node
        seq.add_slots(match.slots)
        seq.num_leased = seq.num_computed = seq.num_slots

    def _bring_back(self, tier: HostTier, namespace: str, tokens: TokenIds, match: Match) -> Match:
        """Put back what the host holds of the tokens behind `match`, whose node is leased; the
        lease passes to the node of the match that is returned."""
        while True:
            start = len(match.slots)
            length = min(tier.num_next(namespace, tokens, start), self.num_available(namespace))
            if length > self.allocator.num_free:
                self.cache.evict(length - self.allocator.num_free, namespace)
                # What was evicted just now may have driven the piece out of the host's memory.
                length = min(length, tier.num_next(namespace, tokens, start))
            slots = self.allocator.allocate(length) if length else None
            if slots is None:
                return match
            if not tier.restore(namespace, tokens, start, slots):
                self.allocator.free(slots)
                return match
            whole = tokens[: start + length]
            self.cache.unlock(match.node)
            self.cache.insert(namespace, whole, np.concatenate([match.slots, slots]))
            match = self.cache.match_prefix(namespace, whole)
            self.cache.lock(match.node)

    def grow(self, seq: Sequence, n: int) -> None:
        """Give a sequence slots for its next `n` tokens.

        The caller has seen to it that `num_available` suffices.
        """
        self._make_room(n, seq.namespace)
        behind = seq.slots.item(seq.num_slots - 1) if seq.num_slots else -1
        seq.add_slots(self._taken(self.allocator.allocate(n, behind), n))

    def grow_each(self, seqs: list[Sequence]) -> None:
        """Give each sequence, which has some, a slot for its next token, likewise."""
        self._make_room(len(seqs), common_namespace(seqs))
        for seq in seqs:
            slot = self.allocator.allocate_next(seq.slots.item(seq.num_slots - 1))
            if seq.num_slots == len(seq.slots):
                seq.reserve(seq.num_slots + 1)
            seq.slots[seq.num_slots] = self._taken(slot, 1)
            seq.num_slots += 1

    def publish(self, seq: Sequence) -> None:
        """File everything computed so far in the tree, for others to use, and lease it.

        Where others filed the same tokens meanwhile, the sequence goes on with theirs.
        """
        if self._extend(seq):
            return
        n = seq.num_computed
        tokens = seq.ids[:n]
        self._file(seq)
        match = self.cache.match_prefix(seq.namespace, tokens)
        self.cache.lock(match.node)
        seq.node = match.node
        seq.slots[:n] = match.slots

    def trim(self, seq: Sequence) -> None:
        """Free the slots behind what was computed: of tokens that did not come."""
        self.allocator.free(seq.slots[seq.num_computed : seq.num_slots])
        seq.num_slots = seq.num_computed

    def release(self, seq: Sequence, *, keep: bool) -> None:
        """Take back all that a sequence holds. With `keep` its computed tokens stay in the tree,
        evictable; without, what it did not share yet is forgotten."""
        if seq.node is None:
            raise ValueError("a sequence that holds nothing cannot give it back")
        if keep and seq.num_computed > seq.num_leased and not self._extend(seq):
            self._file(seq)
        else:
            self.cache.unlock(seq.node)
        self.allocator.free(seq.own_slots())
        seq.node = None
        seq.num_slots = seq.num_leased = seq.num_computed = seq.num_ahead = 0

    def _make_room(self, n: int, namespace: str | None) -> None:
        missing = n - self.allocator.num_free
        if missing > 0:
            self.cache.evict(missing, namespace, self._num_spare)

    def _taken(self, slots: _Slots | None, n: int) -> _Slots:
        if slots is None:
            raise RuntimeError(f"{n} slots were promised, {self.allocator.num_free} are free")
        return slots

    def _extend(self, seq: Sequence) -> bool:
        """File what was computed behind what the sequence leases, and lease that, too. False, and
        nothing is done, where others have filed some of it."""
        if seq.node is None:
            return False
        n = seq.num_computed
        new = seq.slots[seq.num_leased : n]
        end = self.cache.extend(seq.node, seq.namespace, seq.computed_bytes(), new, seq.program)
        if end is None:
            return False
        seq.node, seq.num_leased = end, n
        return True

    def _file(self, seq: Sequence) -> None:
        """Make the tree the owner of what was computed. The lease is given back, first: a leaf
        that nobody holds can grow, and nothing is evicted before the caller renews the lease."""
        if seq.node is not None:
            self.cache.unlock(seq.node)
        n = seq.num_computed
        present = self.cache.insert(seq.namespace, seq.ids[:n], seq.slots[:n], seq.program)
        self.allocator.free(seq.slots[seq.num_leased : present])
        seq.num_leased = n
