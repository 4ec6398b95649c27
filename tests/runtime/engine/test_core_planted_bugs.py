"""Bugs planted on purpose: the random traffic must notice each, or its silence means nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from test_core_random import Traffic

from branchline.runtime.engine import inputs
from branchline.runtime.memory.allocator import SlotAllocator, SlotIds
from branchline.runtime.radix_cache import tree
from branchline.runtime.radix_cache.node import Domain, Node
from branchline.runtime.radix_cache.order import EvictionOrder
from branchline.runtime.radix_cache.tree import Match, RadixCache
from branchline.runtime.scheduler.kv import KVLedger
from branchline.runtime.scheduler.programs import ProgramTable
from branchline.runtime.scheduler.scheduler import Scheduler
from branchline.runtime.scheduler.sequence import Sequence
from branchline.runtime.scheduler.waiting import WaitingQueue

Patch = pytest.MonkeyPatch


def no_lease_is_taken(patch: Patch) -> None:
    patch.setattr(RadixCache, "lock", lambda self, node: None)
    patch.setattr(RadixCache, "unlock", lambda self, node: None)


def a_lease_is_never_given_back(patch: Patch) -> None:
    patch.setattr(RadixCache, "unlock", lambda self, node: None)


def a_split_forgets_the_lease(patch: Patch) -> None:
    split = RadixCache._split

    def forgetful(self: RadixCache, node: Node, k: int) -> Node:
        upper = split(self, node, k)
        if upper.refs:
            upper.refs = 0
            self.order.add(upper)
        return upper

    patch.setattr(RadixCache, "_split", forgetful)


def a_split_shifts_the_slots_by_one(patch: Patch) -> None:
    split = RadixCache._split

    def shifted(self: RadixCache, node: Node, k: int) -> Node:
        upper = split(self, node, k)
        upper.slots[-1], node.slots[0] = node.slots[0], upper.slots[-1]
        return upper

    patch.setattr(RadixCache, "_split", shifted)


def a_match_claims_one_token_too_many(patch: Patch) -> None:
    common = tree._num_common

    def generous(tokens: bytes, query: bytes, at: int) -> int:
        return min(common(tokens, query, at) + 1, len(tokens) // 4, (len(query) - at) // 4)

    patch.setattr(tree, "_num_common", generous)


def duplicates_are_not_freed(patch: Patch) -> None:
    file = KVLedger._file

    def leaky(self: KVLedger, seq: Sequence) -> None:
        free = self.allocator.free
        self.allocator.free = lambda slots: None  # type: ignore[method-assign]
        file(self, seq)
        self.allocator.free = free  # type: ignore[method-assign]

    patch.setattr(KVLedger, "_file", leaky)


def one_duplicate_too_many_is_freed(patch: Patch) -> None:
    insert = RadixCache.insert

    def wrong_count(
        self: RadixCache, namespace: str, tokens: np.ndarray, slots: SlotIds, program: int = 0
    ) -> int:
        return min(insert(self, namespace, tokens, slots, program) + 1, len(tokens))

    patch.setattr(RadixCache, "insert", wrong_count)


def a_sequence_keeps_its_freed_duplicates(patch: Patch) -> None:
    match_prefix = RadixCache.match_prefix

    def publish(self: KVLedger, seq: Sequence) -> None:
        self._file(seq)
        seq.node = match_prefix(self.cache, seq.namespace, seq.ids[: seq.num_computed]).node
        self.cache.lock(seq.node)

    patch.setattr(KVLedger, "publish", publish)


def a_dropped_sequence_keeps_its_slots(patch: Patch) -> None:
    def finish(self: Scheduler, seq: Sequence, *, keep: bool = True) -> None:
        if seq.node is None:
            self.waiting.remove(seq)
        else:
            self.running.remove(seq)

    patch.setattr(Scheduler, "finish", finish)


def a_retracted_sequence_resumes_on_its_old_slots(patch: Patch) -> None:
    retract = Scheduler._retract_last

    def stale(self: Scheduler) -> Sequence:
        before = [(seq, seq.num_computed) for seq in self.running]
        victim = retract(self)
        num_computed = next(n for seq, n in before if seq is victim)
        lease = KVLedger.lease

        def lease_but_trust_the_old(ledger: KVLedger, seq: Sequence) -> None:
            lease(ledger, seq)
            if seq is victim and seq.num_computed < num_computed:
                ledger.grow(seq, num_computed - seq.num_computed)
                seq.num_computed = num_computed

        self.kv.lease = lease_but_trust_the_old.__get__(self.kv)  # type: ignore[method-assign]
        return victim

    patch.setattr(Scheduler, "_retract_last", stale)


def eviction_takes_the_oldest_leased_node(patch: Patch) -> None:
    evict = RadixCache.evict

    def greedy(self: RadixCache, n: int, namespace: str | None = None, spare: int = 0) -> int:
        for root in self.roots.values():
            for child in root.children.values():
                if child.refs and not child.children:
                    self.allocator.free(child.slots[-1:])
                    child.slots = child.slots[:-1]
                    child.tokens = child.tokens[:-4]
                    return 1 + evict(self, n - 1)
        return evict(self, n, namespace, spare)

    patch.setattr(RadixCache, "evict", greedy)


def the_newest_token_is_taken_for_computed(patch: Patch) -> None:
    confirm = Scheduler.confirm

    def hasty(self: Scheduler, seq: Sequence, num_computed: int) -> None:
        confirm(self, seq, num_computed)
        if seq.num_generated > 3 and self.kv.num_available(None):
            self.kv.grow(seq, 1)
            seq.num_computed += 1

    patch.setattr(Scheduler, "confirm", hasty)


def a_slot_is_handed_out_twice(patch: Patch) -> None:
    allocate = SlotAllocator.allocate

    def careless(self: SlotAllocator, n: int, behind: int = -1) -> SlotIds | None:
        slots = allocate(self, n, behind)
        if slots is not None and n > 3:
            slots[1] = slots[0]
        return slots

    patch.setattr(SlotAllocator, "allocate", careless)


def a_match_returns_the_slots_in_the_wrong_order(patch: Patch) -> None:
    match_prefix = RadixCache.match_prefix

    def swapped(self: RadixCache, namespace: str, tokens: np.ndarray) -> Match:
        slots, node = match_prefix(self, namespace, tokens)
        return Match(np.roll(slots, 1), node)

    patch.setattr(RadixCache, "match_prefix", swapped)


def positions_are_off_by_one_after_a_cached_prefix(patch: Patch) -> None:
    build = inputs.build_batch

    def shifted(chunks, positions, device):  # type: ignore[no-untyped-def]
        batch = build(chunks, positions, device)
        batch.positions[-1] += int(chunks[-1].seq.cached_tokens > 0)
        return batch

    patch.setattr("branchline.runtime.engine.forward.build_batch", shifted)


def a_split_forgets_who_keeps_it(patch: Patch) -> None:
    split = RadixCache._split

    def forgetful(self: RadixCache, node: Node, k: int) -> Node:
        upper = split(self, node, k)
        upper.keeps = 0
        return upper

    patch.setattr(RadixCache, "_split", forgetful)


def a_claim_is_not_counted_above(patch: Patch) -> None:
    def local(self: RadixCache, node: Node, keeps: int = 0, pins: int = 0) -> None:
        if node.parent is not None:
            self.order.reclass(node, keeps, pins)

    patch.setattr(RadixCache, "_claim", local)


def a_leased_leaf_grows(patch: Patch) -> None:
    append = RadixCache._append

    def grow(
        self: RadixCache,
        node: Node,
        tokens: bytes,
        slots: SlotIds,
        program: int,
        *,
        leased: bool = False,
    ) -> Node:
        refs, node.refs = node.refs, int(leased)
        grown = append(self, node, tokens, slots, program, leased=leased)
        node.refs = refs
        return grown

    patch.setattr(RadixCache, "_append", grow)


def the_queue_is_not_told_of_evictions(patch: Patch) -> None:
    patch.setattr(WaitingQueue, "evicted", lambda self, namespace, tokens, start: None)


def the_queue_is_not_told_of_growth(patch: Patch) -> None:
    patch.setattr(WaitingQueue, "stored", lambda self, namespace, tokens, start: None)


def parked_sequences_are_never_woken(patch: Patch) -> None:
    patch.setattr(WaitingQueue, "wake", lambda self, other, gone=False: False)


def a_retracted_sequence_keeps_its_own_slots(patch: Patch) -> None:
    release = KVLedger.release

    def leaky(self: KVLedger, seq: Sequence, *, keep: bool) -> None:
        free = self.allocator.free
        self.allocator.free = lambda slots: None  # type: ignore[method-assign]
        release(self, seq, keep=keep)
        self.allocator.free = free  # type: ignore[method-assign]

    patch.setattr(KVLedger, "release", leaky)


def a_quota_is_forgotten(patch: Patch) -> None:
    patch.setattr(Domain, "num_for_others", property(lambda self: self.num_evictable))


def a_quota_is_off_by_one(patch: Patch) -> None:
    right = Domain.num_for_others.fget

    def generous(self: Domain) -> int:
        return min(self.num_evictable, right(self) + 1)

    patch.setattr(Domain, "num_for_others", property(generous))


def a_node_that_lost_its_children_is_never_evicted(patch: Patch) -> None:
    patch.setattr(EvictionOrder, "expose", lambda self, node: None)


def a_program_is_never_over(patch: Patch) -> None:
    patch.setattr(ProgramTable, "let_go", lambda self, number: None)


BUGS: list[Callable[[Patch], None]] = [
    no_lease_is_taken,
    a_lease_is_never_given_back,
    a_split_forgets_the_lease,
    a_split_shifts_the_slots_by_one,
    a_match_claims_one_token_too_many,
    duplicates_are_not_freed,
    one_duplicate_too_many_is_freed,
    a_sequence_keeps_its_freed_duplicates,
    a_dropped_sequence_keeps_its_slots,
    a_retracted_sequence_resumes_on_its_old_slots,
    eviction_takes_the_oldest_leased_node,
    the_newest_token_is_taken_for_computed,
    a_slot_is_handed_out_twice,
    a_match_returns_the_slots_in_the_wrong_order,
    positions_are_off_by_one_after_a_cached_prefix,
    a_split_forgets_who_keeps_it,
    a_claim_is_not_counted_above,
    a_leased_leaf_grows,
    the_queue_is_not_told_of_evictions,
    the_queue_is_not_told_of_growth,
    parked_sequences_are_never_woken,
    a_retracted_sequence_keeps_its_own_slots,
    a_quota_is_forgotten,
    a_quota_is_off_by_one,
    a_node_that_lost_its_children_is_never_evicted,
    a_program_is_never_over,
]


def ten_engines() -> None:
    for seed in range(10):
        Traffic(seed, large=False).run(1_000)


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_noticed(
    plant: Callable[[Patch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises((RuntimeError, AssertionError, ValueError, KeyError)):
        ten_engines()
