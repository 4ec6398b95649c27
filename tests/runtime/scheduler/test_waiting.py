"""The waiting queue: its orders, its bound on waiting, and what the tree tells it."""

from __future__ import annotations

import random

import numpy as np
import pytest
from yard import Yard

from branchline.runtime.scheduler.sequence import Sequence

NUM_WAITING = 10_000
HOT = list(range(100, 140))


def admit_next(yard: Yard) -> Sequence:
    seq = yard.scheduler.waiting.next()
    assert seq is not None
    yard.scheduler.waiting.admit(seq)
    return seq


def drain(yard: Yard) -> list[Sequence]:
    return [admit_next(yard) for _ in range(len(yard.scheduler.waiting))]


def cached_tokens(yard: Yard, seq: Sequence) -> int:
    return yard.cache.match_length("", seq.ids[: seq.max_match])


@pytest.mark.parametrize("policy", ["lpm", "dfs-weight"])
def test_ten_thousand_waiting_beside_a_stream_of_hits_are_all_admitted_within_the_bound(
    policy: str,
) -> None:
    yard = Yard(policy=policy, max_overtakes=64)
    yard.cache_prefix(HOT)
    waiting = yard.scheduler.waiting
    start = waiting.num_admitted
    found: dict[int, int] = {}
    for i in range(NUM_WAITING):
        seq = yard.enqueue([i + 1_000, 7])
        found[seq.sid] = i
    waits: dict[int, int] = {}
    while len(waits) < NUM_WAITING:
        # One that hits the cache arrives for each that is admitted: without ageing, for ever.
        yard.enqueue([*HOT, 7])
        seq = admit_next(yard)
        if seq.sid in found:
            waits[seq.sid] = waiting.num_admitted - start
    late = {sid: wait for sid, wait in waits.items() if wait > 3 * found[sid] + 64 + 1}
    assert late == {}


def test_with_ten_thousand_waiting_the_last_one_to_come_is_first_if_it_hits_most() -> None:
    yard = Yard()
    yard.cache_prefix(HOT)
    for i in range(NUM_WAITING):
        yard.enqueue([i + 1_000, 7])
    last = yard.enqueue([*HOT, 7])
    assert admit_next(yard) is last


def test_ten_thousand_waiting_are_looked_up_once_each_however_the_tree_changes() -> None:
    yard = Yard(100_000)
    seqs = [yard.enqueue([50 + i % 100, 51, 52, i]) for i in range(NUM_WAITING)]
    for kind in range(100):
        yard.insert([50 + kind, 51, 52, kind])
    yard.cache.evict(150)
    assert yard.scheduler.waiting.num_lookups == NUM_WAITING
    for seq in random.Random(0).sample(seqs, 300):
        assert seq.hit_estimate == cached_tokens(yard, seq)


@pytest.mark.parametrize("seed", range(10))
def test_estimates_follow_every_change_of_the_tree(seed: int) -> None:
    rng = random.Random(seed)
    yard = Yard(60)
    seqs: list[Sequence] = []
    for _ in range(400):
        tokens = rng.choices([1, 2, 3], k=rng.randint(1, 9))
        match rng.randrange(4):
            case 0:
                seqs.append(yard.enqueue(tokens))
            case 1:
                yard.insert(tokens)
            case 2:
                yard.cache.evict(rng.randint(1, 4))
            case _ if seqs:
                yard.scheduler.finish(seqs.pop(rng.randrange(len(seqs))))
        for seq in seqs:
            assert seq.hit_estimate == cached_tokens(yard, seq)


def test_lpm_tries_in_the_order_of_the_cached_lengths_of_the_moment() -> None:
    yard = Yard(max_overtakes=1_000)
    rng = random.Random(1)
    for _ in range(200):
        yard.enqueue(rng.choices([1, 2, 3], k=8))
    for _ in range(60):
        yard.insert(rng.choices([1, 2, 3], k=rng.randint(1, 6)))
    order = drain(yard)
    assert [seq.hit_estimate for seq in order] == sorted(
        (cached_tokens(yard, seq) for seq in order), reverse=True
    )


def test_dfs_weight_goes_branch_by_branch_the_fullest_first() -> None:
    yard = Yard(policy="dfs-weight")
    for branch in (1, 2, 3):
        yard.insert([9, 9, branch, branch])
    small = [yard.enqueue([9, 9, 1, 1, 50 + i]) for i in range(2)]
    lone = yard.enqueue([9, 9, 4, 4, 4])
    large = [yard.enqueue([9, 9, 2, 2, 50 + i]) for i in range(5)]
    cold = yard.enqueue([70, 71])
    assert drain(yard) == [*large, *small, lone, cold]


def test_dfs_weight_finishes_a_branch_before_the_next_whatever_arrives() -> None:
    yard = Yard(policy="dfs-weight")
    for branch in (1, 2):
        yard.insert([9, 9, branch, branch])
    first = [yard.enqueue([9, 9, 1, 1, 50 + i]) for i in range(6)]
    order = [admit_next(yard) for _ in range(2)]
    for i in range(8):
        yard.enqueue([9, 9, 2, 2, 50 + i])
    order += [admit_next(yard) for _ in range(4)]
    assert order == first


class TestPriority:
    def test_the_highest_goes_first_and_among_equals_the_oldest(self) -> None:
        yard = Yard(policy="priority")
        seqs = [yard.enqueue([10 + i, 1], priority=p) for i, p in enumerate([0, 2, 1, 2])]
        assert drain(yard) == [seqs[1], seqs[3], seqs[2], seqs[0]]

    def test_a_higher_one_takes_the_place_of_a_lower_one_which_loses_no_work(self) -> None:
        yard = Yard(policy="priority", max_running=1)
        low = yard.submit([1, 2, 3], 5)
        yard.step()
        high = yard.submit([4, 5, 6], 1, priority=1)
        assert yard.step() == {high.sid: 3}
        assert yard.step() == {low.sid: 1}
        assert (low.retractions, low.num_generated) == (1, 2)

    def test_a_higher_one_takes_slots_of_the_lowest_and_youngest(self) -> None:
        yard = Yard(100, policy="priority", lookahead=1)
        middle = yard.submit([100 + i for i in range(30)], 60, priority=1)
        old, young = (yard.submit([200 * k + i for i in range(30)], 60) for k in (1, 2))
        yard.step()
        high = yard.submit([700 + i for i in range(35)], 60, priority=2)
        yard.step()
        assert high.node is not None
        assert (middle.retractions, old.retractions, young.retractions) == (0, 0, 1)

    def test_equals_do_not_take_each_others_places(self) -> None:
        yard = Yard(policy="priority", max_running=1)
        first = yard.submit([1, 2, 3], 5, priority=1)
        yard.step()
        yard.submit([4, 5, 6], 5, priority=1)
        yard.step()
        assert first.retractions == 0

    def test_nobody_gives_way_more_often_than_is_set(self) -> None:
        yard = Yard(policy="priority", max_running=1, max_preemptions=3)
        low = yard.submit([1, 2, 3], 30)
        for i in range(10):
            yard.step()
            yard.submit([50 + i, 5], 1, priority=1)
            yard.step()
        assert low.preemptions == 3
        assert low.retractions == 3


class TestParking:
    def test_a_parked_one_is_not_tried_again_until_its_prefix_is_computed(self) -> None:
        yard = Yard(chunk_tokens=10)
        trunk = list(range(100, 150))
        yard.submit([*trunk, 1])
        second = yard.submit([*trunk, 2])
        yard.step()
        yard.step()
        assert second.parked_on is not None
        assert yard.scheduler.waiting.next() is None

    def test_who_is_due_does_not_wait_for_anothers_prompt(self) -> None:
        yard = Yard(chunk_tokens=10, max_overtakes=0)
        trunk = list(range(100, 150))
        yard.submit([*trunk, 1])
        yard.step()
        second = yard.submit([*trunk, 2])
        yard.step()
        assert second.node is not None


def test_a_queue_that_came_and_went_keeps_nothing() -> None:
    yard = Yard(policy="lpm")
    for _ in range(3):
        seqs = [yard.enqueue([i % 7, i]) for i in range(500)]
        for seq in seqs[::2]:
            yard.scheduler.finish(seq)
        drain(yard)
    waiting = yard.scheduler.waiting
    assert len(waiting) == 0
    assert waiting.next() is None
    assert not waiting.someone_is_due
    assert (len(waiting._order), len(waiting._deadlines), waiting._index.namespaces) == (0, 0, [])
    assert np.array_equal(np.sort(yard.allocator.free_slots()), np.arange(1_000))


class TestPrograms:
    def call(
        self,
        yard: Yard,
        program: int,
        tokens_after: float,
        prompt: list[int],
        calls_after: int = 0,
    ) -> Sequence:
        seq = yard.make(prompt, 1, None, 0)
        seq.program, seq.tokens_after, seq.calls_after = program, tokens_after, calls_after
        yard.scheduler.waiting.add(seq)
        return seq

    def test_the_program_with_least_to_come_goes_first(self) -> None:
        yard = Yard()
        long = self.call(yard, 1, 500.0, [1, 2])
        short = self.call(yard, 2, 100.0, [3, 4])
        alone = yard.enqueue([5, 6])
        assert drain(yard) == [alone, short, long]

    def test_calls_of_one_program_go_in_a_row_though_others_come_between(self) -> None:
        yard = Yard()
        seqs = [self.call(yard, 1 + i % 2, 100.0, [i + 1, 2]) for i in range(6)]
        assert drain(yard) == [*seqs[::2], *seqs[1::2]]

    def test_a_new_call_tells_for_those_that_wait_how_much_is_to_come(self) -> None:
        yard = Yard()
        other = self.call(yard, 2, 300.0, [1, 2])
        first = self.call(yard, 1, 500.0, [3, 4])
        second = self.call(yard, 1, 100.0, [5, 6])
        assert drain(yard) == [first, second, other]

    def test_one_that_comes_back_learns_from_a_younger_one(self) -> None:
        yard = Yard()
        first = self.call(yard, 1, 500.0, [3, 4])
        assert drain(yard) == [first]
        second = self.call(yard, 1, 100.0, [5, 6])
        yard.scheduler.waiting.add(first)
        other = self.call(yard, 2, 300.0, [1, 2])
        assert first.tokens_after == 100.0
        assert drain(yard) == [first, second, other]

    def test_of_one_program_the_most_cached_goes_first(self) -> None:
        yard = Yard()
        yard.cache_prefix(HOT)
        cold = self.call(yard, 1, 100.0, [7, 8])
        warm = self.call(yard, 1, 100.0, [*HOT, 7])
        assert drain(yard) == [warm, cold]

    def test_first_come_first_served_looks_at_no_program(self) -> None:
        yard = Yard(policy="fcfs")
        long = self.call(yard, 1, 500.0, [1, 2])
        short = self.call(yard, 2, 100.0, [3, 4])
        assert drain(yard) == [long, short]

    def test_short_programs_make_all_calls_that_they_announced_before_a_long_one_begins(
        self,
    ) -> None:
        """If only those that wait counted, it would be due before their third calls."""
        yard = Yard(max_overtakes=0)
        for program in range(1, 21):
            self.call(yard, program, 500.0, [program, 1], calls_after=4)
        long = self.call(yard, 100, 9_999.0, [1, 2], calls_after=50)
        for _ in range(100):
            seq = admit_next(yard)
            assert seq is not long
            if seq.calls_after:
                left = seq.calls_after - 1
                self.call(yard, seq.program, 100.0 * left, [seq.program, 1], calls_after=left)
        assert admit_next(yard) is long

    @pytest.mark.parametrize("seed", range(3))
    def test_whatever_programs_announce_nobody_waits_longer_than_is_promised(
        self, seed: int
    ) -> None:
        rng = random.Random(seed)
        yard = Yard(max_overtakes=5, max_calls_after=3)
        waiting = yard.scheduler.waiting
        promised: dict[int, int] = {}
        for _ in range(2_000):
            if rng.random() < 0.5 or not len(waiting):
                q = len(waiting)
                r = sum(min(seq.calls_after, 3) for seq in waiting._by_age)
                seq = yard.make([rng.randint(1, 99), 7], 1, None, 0)
                seq.program = rng.randint(1, 30)
                seq.tokens_after = rng.choice([0.0, 10.0, 9_999.0])
                seq.calls_after = rng.choice([0, 1, 50])
                waiting.add(seq)
                promised[seq.sid] = waiting.num_admitted + 3 * q + 2 * r + 5 + 1
            else:
                seq = admit_next(yard)
                assert waiting.num_admitted <= promised.pop(seq.sid)

    def test_a_long_program_waits_no_longer_than_its_bound(self) -> None:
        yard = Yard(max_overtakes=8)
        long = self.call(yard, 1, 9_999.0, [1, 2])
        overtaken = 0
        while True:
            self.call(yard, 2 + overtaken, 10.0, [3, 4])
            if admit_next(yard) is long:
                break
            overtaken += 1
        assert overtaken <= 8


@pytest.mark.parametrize("policy", ["lpm", "dfs-weight", "fcfs", "priority"])
def test_one_that_has_gone_on_waits_beside_what_is_left_of_the_one_before_it(policy: str) -> None:
    """It has its arrival, and may be due when that one was."""
    yard = Yard(policy=policy)
    waiting = yard.scheduler.waiting
    before, heir = (yard.make([1, 2, 3], 1, None, 0) for _ in range(2))
    heir.arrival = before.arrival
    waiting.add(before)
    waiting.admit(before)
    waiting.num_admitted = 0
    waiting.add(heir)
    assert admit_next(yard) is heir
