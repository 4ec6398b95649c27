"""Sessions, pins and quotas: who is evicted when, and that nobody is stopped by them."""

from __future__ import annotations

import numpy as np
import pytest

from branchline.runtime.errors import RequestError
from branchline.runtime.memory.allocator import SlotAllocator
from branchline.runtime.radix_cache.check import check
from branchline.runtime.radix_cache.tree import RadixCache
from branchline.runtime.scheduler.leases import LeaseTable


class Office:
    """A cache of 100 slots, leases on it, and a clock that the test turns."""

    def __init__(self, max_pinned: int = 50, **quotas: int) -> None:
        self.now_s = 1_000.0
        self.cache = RadixCache(SlotAllocator(100), lambda: self.now_s, quotas)
        self.leases = LeaseTable(self.cache, max_pinned)

    def put(self, first: int, length: int, namespace: str = "", program: int = 0) -> np.ndarray:
        ids = np.arange(first, first + length, dtype=np.int32)
        old = self.cache.match_prefix(namespace, ids).slots
        missing = length - len(old)
        if missing > self.cache.allocator.num_free:
            self.cache.evict(missing - self.cache.allocator.num_free, namespace)
        new = self.cache.allocator.allocate(missing)
        assert new is not None, "there was nothing to evict"
        self.cache.insert(namespace, ids, np.concatenate([old, new]), program)
        check(self.cache)
        return ids

    def call(
        self, session: int, ids: np.ndarray, *, ttl_s: float = 60.0, last: bool = False
    ) -> None:
        self.leases.begin(session, session, "", ttl_s)
        self.leases.end(session, "", ids, last=last)
        check(self.cache)

    def cached(self, ids: np.ndarray, namespace: str = "") -> int:
        return self.cache.match_length(namespace, ids)


class TestSessions:
    def test_what_a_session_keeps_outlives_what_is_used_later(self) -> None:
        office = Office()
        kept = office.put(0, 40)
        office.call(7, kept)
        for i in range(20):
            office.put(1_000 * (i + 1), 20)
        assert office.cached(kept) == 40

    def test_a_session_ends_when_it_was_not_used_for_its_time(self) -> None:
        office = Office()
        kept = office.put(0, 40)
        office.call(7, kept, ttl_s=10)
        office.now_s += 9
        office.call(7, kept, ttl_s=10)
        office.now_s += 9
        assert office.leases.expire() == 0
        office.now_s += 2
        assert office.leases.expire() == 1
        office.put(1_000, 100)
        assert office.cached(kept) == 0

    def test_a_session_with_a_call_in_flight_does_not_end(self) -> None:
        office = Office()
        kept = office.put(0, 40)
        office.leases.begin(7, 7, "", 10)
        office.now_s += 1_000
        assert office.leases.expire() == 0
        office.leases.end(7, "", kept, last=False)
        office.now_s += 11
        assert office.leases.expire() == 1
        assert office.leases.num_sessions == 0

    def test_a_session_that_began_again_while_an_old_call_ran_ends_all_the_same(self) -> None:
        office = Office()
        kept = office.put(0, 40)
        office.leases.begin(7, 7, "", 10)
        office.leases.release(7)
        office.leases.begin(7, 7, "", 10)
        for _ in range(2):
            office.leases.end(7, "", kept, last=False)
        office.now_s += 11
        assert office.leases.expire() == 1

    def test_a_released_session_keeps_nothing(self) -> None:
        office = Office()
        kept = office.put(0, 40)
        office.call(7, kept)
        assert office.leases.release(7)
        assert not office.leases.release(7)
        office.put(1_000, 100)
        assert office.cached(kept) == 0

    def test_after_its_last_call_a_session_goes_before_everything_older(self) -> None:
        office = Office()
        older = office.put(0, 40)
        done = office.put(500, 40)
        office.call(7, done, last=True)
        office.put(1_000, 60)
        assert (office.cached(older), office.cached(done)) == (40, 0)

    def test_a_last_call_does_not_hasten_what_others_use(self) -> None:
        office = Office()
        shared = office.put(0, 20)
        office.cache.count_hit(office.cache.match_prefix("", shared).node)
        done = office.put(0, 50)
        older = office.put(500, 20)
        office.call(7, done, last=True)
        office.put(1_000, 60)
        assert (office.cached(done), office.cached(older)) == (20, 20)

    def test_what_is_released_goes_before_everything_older(self) -> None:
        office = Office()
        older = office.put(0, 40)
        done = office.put(500, 40)
        office.call(7, done)
        office.leases.release(7)
        office.put(1_000, 60)
        assert (office.cached(older), office.cached(done)) == (40, 0)

    def test_all_that_only_the_program_used_goes_however_many_calls_it_made(self) -> None:
        office = Office()
        older = office.put(0, 20)
        for length in (20, 40, 60):
            office.cache.count_hit(
                office.cache.match_prefix("", np.arange(500, 500 + length, dtype=np.int32)).node, 7
            )
            done = office.put(500, length, program=7)
            office.call(7, done)
        office.leases.release(7)
        office.put(1_000, 80)
        assert (office.cached(older), office.cached(done)) == (20, 0)

    def test_a_trunk_goes_with_the_last_of_its_branches(self) -> None:
        office = Office()
        older = office.put(0, 20)
        trunk = office.put(500, 20, program=7)
        office.call(1, trunk)
        for session in (2, 3):
            branch = np.concatenate([trunk, np.full(20, session, np.int32)])
            fresh = office.cache.allocator.allocate(20)
            assert fresh is not None
            slots = office.cache.match_prefix("", trunk).slots
            office.cache.insert("", branch, np.concatenate([slots, fresh]), 7)
            office.call(session, branch)
        for session in (1, 2, 3):
            office.leases.release(session)
        office.put(1_000, 80)
        assert (office.cached(older), office.cached(trunk)) == (20, 0)

    def test_a_program_is_over_when_none_of_its_sessions_is_left(self) -> None:
        office = Office()
        office.leases.begin(7, 3, "", 60.0)
        office.leases.begin(8, 3, "", 60.0)
        office.leases.release(7)
        assert len(office.leases.programs) == 1
        office.leases.release(8)
        assert len(office.leases.programs) == 0

    def test_when_all_is_kept_the_session_used_longest_ago_gives_way(self) -> None:
        office = Office()
        first, second = office.put(0, 50), office.put(500, 50)
        office.call(1, first)
        office.call(2, second)
        office.put(1_000, 50)
        assert (office.cached(first), office.cached(second)) == (0, 50)
        assert office.leases.release(1)
        check(office.cache)


class TestPins:
    def test_a_pinned_prefix_outlives_sessions_until_its_time_is_over(self) -> None:
        office = Office()
        pinned = office.put(0, 30)
        _, length = office.leases.pin("", pinned, ttl_s=100)
        assert length == 30
        for i in range(10):
            office.call(i + 1, office.put(1_000 * (i + 1), 50))
        assert office.cached(pinned) == 30
        office.now_s += 101
        office.leases.expire()
        for i in range(10):
            office.call(i + 50, office.put(1_000 * (i + 50), 50))
        assert office.cached(pinned) == 0

    def test_only_what_is_cached_is_pinned_and_not_what_comes_behind_it(self) -> None:
        office = Office()
        office.put(0, 30)
        assert office.leases.pin("", np.arange(60, dtype=np.int32), 100)[1] == 30
        longer = office.put(0, 60)
        office.put(1_000, 70)
        assert office.cached(longer) == 30

    def test_more_than_may_be_pinned_is_refused(self) -> None:
        office = Office(max_pinned=50)
        office.leases.pin("", office.put(0, 40), 100)
        with pytest.raises(RequestError, match="limit of 50"):
            office.leases.pin("", office.put(500, 20), 100)

    def test_unpinning_makes_room_for_another(self) -> None:
        office = Office(max_pinned=50)
        key, _ = office.leases.pin("", office.put(0, 40), 100)
        assert office.leases.unpin(key)
        assert not office.leases.unpin(key)
        office.leases.pin("", office.put(500, 20), 100)
        check(office.cache)

    def test_pins_give_way_to_what_would_not_fit_otherwise(self) -> None:
        office = Office(max_pinned=100)
        office.leases.pin("", office.put(0, 90), 100)
        assert len(office.put(1_000, 100)) == 100


class TestQuotas:
    def test_others_cannot_take_what_a_quota_keeps(self) -> None:
        office = Office(a=30)
        mine = office.put(0, 50, "a")
        for i in range(10):
            office.put(1_000 * (i + 1), 60, "b")
        assert office.cached(mine, "a") == 30

    def test_its_owner_can(self) -> None:
        office = Office(a=30)
        old = office.put(0, 30, "a")
        new = office.put(500, 100, "a")
        assert (office.cached(old, "a"), office.cached(new, "a")) == (0, 100)

    def test_above_its_quota_the_least_recently_used_goes_whosever_it_is(self) -> None:
        office = Office(a=10)
        first = office.put(0, 40, "a")
        office.now_s += 1
        second = office.put(0, 40, "b")
        office.now_s += 1
        office.put(1_000, 50, "c")
        assert (office.cached(first, "a"), office.cached(second, "b")) == (10, 40)

    def test_what_is_available_to_each_adds_up(self) -> None:
        office = Office(a=30, b=20)
        office.put(0, 40, "a")
        office.put(0, 10, "b")
        order = office.cache.order
        found = [order.num_evictable_for(name) for name in ("a", "b", "c", None)]
        assert found == [40, 10 + 10, 10, 10]
