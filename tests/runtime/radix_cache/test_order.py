"""Which prefix goes first: how lately it was used, what it costs, and who will come back to it."""

from __future__ import annotations

import itertools

import numpy as np

from branchline.runtime.memory.allocator import SlotAllocator
from branchline.runtime.radix_cache.check import check
from branchline.runtime.radix_cache.tree import RadixCache


class Cache(RadixCache):
    """Prompts of equal tokens, named by these."""

    def __init__(self, num_slots: int, **settings: object) -> None:
        super().__init__(SlotAllocator(num_slots), **settings)

    def use(self, name: int, length: int = 10, program: int = 0) -> int:
        """Serve a prompt; how much of it was cached."""
        ids = np.full(length, name, np.int32)
        match = self.match_prefix("", ids)
        found = len(match.slots)
        self.count_hit(match.node, program)
        self.lock(match.node)
        self.evict(max(0, length - found - self.allocator.num_free))
        fresh = self.allocator.allocate(length - found)
        assert fresh is not None
        self.unlock(match.node)
        self.insert("", ids, np.concatenate([match.slots, fresh]), program)
        check(self)
        return found

    def has(self, name: int, length: int = 10) -> int:
        return self.match_length("", np.full(length, name, np.int32))


def test_of_prompts_alike_the_one_used_longest_ago_goes() -> None:
    cache = Cache(30)
    for name in (1, 2, 3, 1, 4):
        cache.use(name)
    assert [cache.has(name) for name in (1, 2, 3, 4)] == [10, 0, 10, 10]


def test_what_many_used_outlives_a_flood_of_what_nobody_uses_again() -> None:
    cache = Cache(1_000)
    flood = itertools.count(1_000)
    for _ in range(200):
        cache.use(1, length=100)
        cache.use(next(flood), length=100)
    for _ in range(100):  # ten times the pool
        cache.use(next(flood), length=100)
    assert cache.has(1, length=100) == 100


def test_what_was_popular_once_does_not_stay_for_ever() -> None:
    cache = Cache(1_000)
    flood = itertools.count(1_000)
    for _ in range(200):
        cache.use(1, length=100)
        cache.use(next(flood), length=100)
    for _ in range(200):
        cache.use(next(flood), length=100)
    assert cache.has(1, length=100) == 0


def test_calls_of_one_program_make_nothing_popular() -> None:
    cache = Cache(100)
    for _ in range(5):
        cache.use(1, program=7)
        cache.use(2, program=7)
        cache.use(2, program=8)
    users = {node.first_token: node.num_users for node in cache.roots[""].children.values()}
    assert users == {1: 0, 2: 9}


def test_of_two_as_old_the_tokens_that_cost_more_attention_stay() -> None:
    cache = Cache(100, half_attention=20.0)
    cache.use(1, length=50)
    cache.use(2, length=5)
    cache.use(3, length=45)
    cache.use(4, length=5)
    assert [cache.has(name, 50) for name in (1, 2, 3, 4)] == [50, 0, 45, 5]


def test_what_a_session_keeps_goes_in_the_end_when_nobody_comes_back() -> None:
    cache = Cache(100)
    cache.use(1)
    cache.keep(cache.match_prefix("", np.full(10, 1, np.int32)).node)
    num_later = 0
    while cache.has(1):
        num_later += 1
        cache.use(1 + num_later)
    assert num_later > 64 * 9  # so many times the rest of the pool


def test_pins_go_when_there_is_nothing_else() -> None:
    cache = Cache(20)
    cache.use(1)
    cache.pin(cache.match_prefix("", np.full(10, 1, np.int32)).node)
    for name in range(2, 500):
        cache.use(name)
    assert cache.has(1) == 10
    cache.use(600, length=20)
    assert (cache.has(1), cache.has(600, 20)) == (0, 20)


def test_uses_leave_no_more_behind_than_there_are_leaves() -> None:
    cache = Cache(100)
    for number in range(5_000):
        cache.use(number % 7)
    assert len(cache.order.common.leaves) < 200
