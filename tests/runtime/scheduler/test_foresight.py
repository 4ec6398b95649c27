"""What those who wait are going to use stays cached: the order of eviction asks the queue."""

from __future__ import annotations

import pytest
from yard import Yard

from branchline.runtime.radix_cache.check import check

FIRST, SECOND, THIRD = ([name * 100 + i for i in range(10)] for name in (1, 2, 3))


def yard_with(*prefixes: list[int], policy: str = "fcfs") -> Yard:
    yard = Yard(100, policy=policy)
    for prefix in prefixes:
        yard.insert(prefix)
    return yard


def cached(yard: Yard, *prefixes: list[int]) -> list[int]:
    check(yard.cache)
    return [yard.cache.match_length("", prefix) for prefix in map(_array, prefixes)]


def _array(tokens: list[int]) -> bytes:
    return b"".join(token.to_bytes(4, "little") for token in tokens)


def test_what_somebody_waits_for_outlives_what_was_used_later() -> None:
    yard = yard_with(FIRST, SECOND)
    yard.enqueue([*FIRST, 7])
    yard.cache.evict(10)
    assert cached(yard, FIRST, SECOND) == [10, 0]


def test_without_anybody_who_waits_for_it_the_oldest_goes() -> None:
    yard = yard_with(FIRST, SECOND)
    seq = yard.enqueue([*FIRST, 7])
    yard.scheduler.waiting.remove(seq)
    yard.cache.evict(10)
    assert cached(yard, FIRST, SECOND) == [0, 10]


@pytest.mark.parametrize("policy", ["fcfs", "lpm"])
def test_of_what_is_needed_what_is_needed_last_goes_first(policy: str) -> None:
    yard = yard_with(FIRST, SECOND[:8], THIRD[:6], policy=policy)
    for prefix in (FIRST, SECOND, THIRD):
        yard.enqueue([*prefix, 7])
    yard.cache.evict(6)
    assert cached(yard, FIRST, SECOND, THIRD) == [10, 8, 0]
    yard.cache.evict(8)
    assert cached(yard, FIRST, SECOND, THIRD) == [10, 0, 0]


def test_a_plan_tells_what_is_needed_last() -> None:
    yard = yard_with(FIRST, SECOND, THIRD, policy="dfs-weight")
    seqs = [yard.enqueue([*prefix, 7]) for prefix in (FIRST, SECOND, THIRD)]
    first = yard.scheduler.waiting.next()
    yard.cache.evict(20)
    assert [seq.hit_estimate for seq in seqs] == [10 if seq is first else 0 for seq in seqs]


def test_only_the_end_that_nobody_needs_goes() -> None:
    yard = yard_with(FIRST, SECOND)
    yard.enqueue([*FIRST[:4], 7])
    yard.cache.evict(10)
    assert cached(yard, FIRST, SECOND) == [4, 6]


def test_the_end_that_is_needed_later_goes_before_the_beginning_that_is_needed_sooner() -> None:
    yard = yard_with(FIRST, SECOND)
    for prefix in (FIRST[:4], SECOND, FIRST):
        yard.enqueue([*prefix, 7])
    yard.cache.evict(8)
    assert cached(yard, FIRST, SECOND) == [4, 8]


def test_a_pin_outlives_what_is_needed() -> None:
    yard = yard_with(FIRST, SECOND)
    yard.cache.pin(yard.cache.match_prefix("", _array(FIRST)).node)
    yard.enqueue([*SECOND, 7])
    yard.cache.evict(10)
    assert cached(yard, FIRST, SECOND) == [10, 0]


def test_everything_can_be_evicted_however_much_is_needed() -> None:
    yard = Yard(1_000)
    for name in range(100):
        yard.insert([name + 1, 7, 8, 9])
        yard.enqueue([name + 1, 7, 8, 9, 10])
    assert yard.cache.flush() == 400
    assert yard.cache.num_tokens == 0
