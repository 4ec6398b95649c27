"""Single stories about the radix cache; the random ones are in test_against_naive.py."""

from __future__ import annotations

import numpy as np
import pytest

from branchline.runtime.memory.allocator import SlotAllocator
from branchline.runtime.radix_cache.check import InvariantError, check
from branchline.runtime.radix_cache.tree import RadixCache


def tokens(*ids: int) -> np.ndarray:
    return np.array(ids, np.int32)


def cached(num_slots: int, *sequences: np.ndarray) -> RadixCache:
    """A cache that holds these sequences, each computed where it was not cached yet."""
    cache = RadixCache(SlotAllocator(num_slots))
    for sequence in sequences:
        put(cache, sequence)
    return cache


def put(cache: RadixCache, sequence: np.ndarray, namespace: str = "") -> None:
    old = cache.match_prefix(namespace, sequence).slots
    new = cache.allocator.allocate(len(sequence) - len(old))
    assert new is not None
    cache.insert(namespace, sequence, np.concatenate([old, new]))


def test_a_lease_on_half_a_node_protects_exactly_that_half() -> None:
    cache = cached(8, tokens(1, 2, 3, 4, 5, 6))
    match = cache.match_prefix("", tokens(1, 2, 3, 9))
    assert len(match.slots) == 3
    cache.lock(match.node)
    assert cache.evict(100) == 3
    assert cache.match_length("", tokens(1, 2, 3, 4, 5, 6)) == 3
    check(cache, leases=[match.node])


def test_a_lease_survives_a_later_split_of_its_node() -> None:
    cache = cached(8, tokens(1, 2, 3, 4))
    whole = cache.match_prefix("", tokens(1, 2, 3, 4))
    cache.lock(whole.node)
    cache.match_prefix("", tokens(1, 2, 7))
    assert cache.evict(100) == 0
    cache.unlock(whole.node)
    assert cache.evict(100) == 4
    check(cache, leases=[])


def test_a_lease_below_a_leased_path_counts_at_no_node_above_where_they_part() -> None:
    trunk = [7] * 300
    sides = [tokens(*trunk[:depth], 1) for depth in range(1, 300)]
    cache = cached(1_000, *sides, tokens(*trunk, 2), tokens(*trunk, 3))
    assert cache.num_nodes > 2 * len(sides)
    cache.lock(cache.match_prefix("", tokens(*trunk, 2)).node)
    node = cache.match_prefix("", tokens(*trunk, 3)).node
    parent = node.parent
    assert parent is not None
    above = parent.parent
    assert above is not None
    cache.lock(node)
    assert (node.refs, parent.refs, above.refs) == (1, 2, 1)


def test_the_least_recently_used_branch_goes_first_and_the_trunk_last() -> None:
    cache = cached(9, tokens(1, 2, 3), tokens(1, 2, 3, 10, 11), tokens(1, 2, 3, 20, 21))
    cache.match_prefix("", tokens(1, 2, 3, 10, 11))
    cache.evict(2)
    assert cache.match_length("", tokens(1, 2, 3, 20, 21)) == 3
    cache.evict(2)
    assert cache.match_length("", tokens(1, 2, 3, 10, 11)) == 3


def test_asking_for_a_length_is_no_use() -> None:
    cache = cached(6, tokens(1, 2), tokens(3, 4))
    cache.match_length("", tokens(1, 2))
    cache.evict(2)
    assert cache.match_length("", tokens(1, 2)) == 0


def test_a_leaf_loses_only_as_much_of_its_end_as_is_wanted() -> None:
    cache = cached(6, tokens(1, 2, 3, 4, 5))
    assert cache.evict(2) == 2
    assert cache.match_length("", tokens(1, 2, 3, 4, 5)) == 3
    check(cache)


def test_a_sequence_filed_piece_by_piece_stays_one_node() -> None:
    cache = cached(8, tokens(1), tokens(1, 2, 3), tokens(1, 2, 3, 4))
    assert cache.num_nodes == 1
    check(cache)


def test_a_leased_leaf_does_not_grow_under_its_lease() -> None:
    cache = cached(8, tokens(1, 2))
    match = cache.match_prefix("", tokens(1, 2))
    cache.lock(match.node)
    put(cache, tokens(1, 2, 3))
    assert cache.flush() == 1


def test_insert_tells_how_much_was_there_so_that_duplicates_can_be_freed() -> None:
    cache = cached(10, tokens(1, 2, 3))
    late = cache.allocator.allocate(4)
    assert late is not None
    present = cache.insert("", tokens(1, 2, 3, 4), late)
    assert present == 3
    cache.allocator.free(late[:present])
    check(cache)


def test_namespaces_never_share() -> None:
    cache = cached(10, tokens(1, 2, 3))
    assert cache.match_length("other", tokens(1, 2, 3)) == 0
    put(cache, tokens(1, 2, 3), "other")
    assert cache.num_tokens == 6


def test_an_emptied_namespace_leaves_nothing_behind() -> None:
    cache = RadixCache(SlotAllocator(4))
    for i in range(100):
        cache.match_prefix(f"miss-{i}", tokens(1, 2))
        put(cache, tokens(1, 2), f"hit-{i}")
        cache.flush()
    assert cache.roots == {}


def test_a_lease_on_nothing_cached_is_harmless() -> None:
    cache = cached(4, tokens(1))
    match = cache.match_prefix("", tokens(5))
    cache.lock(match.node)
    assert cache.flush() == 1
    cache.unlock(match.node)
    check(cache, leases=[match.node])


def test_flush_keeps_what_is_leased() -> None:
    cache = cached(8, tokens(1, 2), tokens(3, 4))
    match = cache.match_prefix("", tokens(1, 2))
    cache.lock(match.node)
    assert cache.flush() == 2
    assert cache.match_length("", tokens(1, 2)) == 2


def test_locking_what_was_evicted_is_refused() -> None:
    cache = cached(4, tokens(1, 2))
    match = cache.match_prefix("", tokens(1, 2))
    cache.flush()
    with pytest.raises(ValueError, match="evicted"):
        cache.lock(match.node)


def test_unlocking_twice_is_refused() -> None:
    cache = cached(4, tokens(1, 2))
    match = cache.match_prefix("", tokens(1, 2))
    cache.lock(match.node)
    cache.unlock(match.node)
    with pytest.raises(ValueError, match="without a lock"):
        cache.unlock(match.node)


def test_tokens_and_slots_of_different_length_are_refused() -> None:
    cache = RadixCache(SlotAllocator(4))
    with pytest.raises(ValueError, match="3 tokens"):
        cache.insert("", tokens(1, 2, 3), np.arange(2))


def test_token_ids_up_to_the_largest_int32_are_told_apart() -> None:
    top = 2**31 - 1
    cache = cached(4, tokens(top, top - 1))
    assert cache.match_length("", tokens(top, top - 1)) == 2
    assert cache.match_length("", tokens(top - 1, top)) == 0


def test_a_chain_of_many_nodes_needs_no_recursion() -> None:
    sequence = np.arange(1_500, dtype=np.int32)
    cache = cached(1_500, sequence)
    for end in range(1, 1_500):
        cache.match_prefix("", sequence[:end])
    assert cache.num_nodes == 1_500
    assert cache.match_length("", sequence) == 1_500
    assert cache.flush() == 1_500


def test_evicting_takes_no_longer_in_a_tree_a_hundred_times_as_large() -> None:
    """Counted, not timed: how many nodes of the order eviction looks at."""
    for num_branches in (10, 1_000):
        cache = cached(
            3 * num_branches, *(tokens(7, 100 + i, 5_000 + i) for i in range(num_branches))
        )
        nodes_before = cache.num_nodes
        assert cache.evict(4) == 4
        assert nodes_before - cache.num_nodes == 2


class TestCheckFinds:
    """`check` must see each kind of damage, or its silence means nothing."""

    def test_a_lost_slot(self) -> None:
        cache = cached(8, tokens(1, 2))
        cache.allocator.allocate(1)
        with pytest.raises(InvariantError, match="without an owner"):
            check(cache)

    def test_a_slot_with_two_owners(self) -> None:
        cache = cached(8, tokens(1, 2))
        with pytest.raises(InvariantError, match="with several"):
            check(cache, [cache.match_prefix("", tokens(1)).slots])

    def test_a_forgotten_lease(self) -> None:
        cache = cached(8, tokens(1, 2))
        cache.lock(cache.match_prefix("", tokens(1, 2)).node)
        with pytest.raises(InvariantError, match="leases"):
            check(cache, leases=[])

    def test_a_lease_that_was_given_back_too_early(self) -> None:
        cache = cached(8, tokens(1, 2))
        match = cache.match_prefix("", tokens(1, 2))
        with pytest.raises(InvariantError, match="leases"):
            check(cache, leases=[match.node])

    def test_a_wrong_order_of_eviction(self) -> None:
        cache = cached(8, tokens(1, 2), tokens(1, 3))
        cache.order.common.leaves.pop()
        with pytest.raises(InvariantError, match="every unleased leaf"):
            check(cache)

    def test_a_node_that_begins_in_the_wrong_place(self) -> None:
        cache = cached(8, tokens(1, 2), tokens(1, 3))
        cache.match_prefix("", tokens(1, 2)).node.start += 1
        with pytest.raises(InvariantError, match="begin where"):
            check(cache)

    def test_a_wrong_tally(self) -> None:
        cache = cached(8, tokens(1, 2))
        cache.order.common.num_evictable += 1
        with pytest.raises(InvariantError, match="counted as 3 of 2"):
            check(cache)


def test_what_is_kept_no_longer_keeps_what_led_there_once_it_is_evicted() -> None:
    cache = cached(8, tokens(1, 2, 3, 4), tokens(1, 2, 5, 6))
    kept = cache.match_prefix("", tokens(1, 2, 3, 4)).node
    cache.keep(kept)
    trunk = kept.parent
    assert trunk is not None
    assert trunk.keeps == 1
    cache.evict(4)
    assert cache.match_length("", tokens(1, 2, 3, 4)) == 2
    assert trunk.keeps == 0


def test_a_leaf_that_is_cut_loses_what_is_spare_as_well_but_none_behind_it_does() -> None:
    cache = cached(32, tokens(*range(10, 18)), tokens(*range(20, 28)))
    assert cache.evict(3, spare=2) == 5
    assert cache.evict(3, spare=2) == 3  # the rest of the first leaf
    assert cache.evict(7, spare=4) == 8
    assert cache.evict(1, spare=4) == 0


def test_nothing_of_a_quota_is_spare() -> None:
    cache = RadixCache(SlotAllocator(32), quotas={"a": 4})
    put(cache, tokens(*range(8)), "a")
    assert cache.evict(2, "b", spare=3) == 4
    assert cache.evict(2, "a", spare=3) == 2
    assert cache.evict(2, "a", spare=3) == 2
