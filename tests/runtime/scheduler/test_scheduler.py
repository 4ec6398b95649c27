"""Who runs in a step, with how many tokens; who waits, and how long at most."""

from __future__ import annotations

import pytest
from yard import Yard

from branchline.runtime.protocol import LogprobParams


def prompt(kind: int, length: int) -> list[int]:
    """A prompt that shares nothing with those of another kind."""
    return [kind * 100 + i % 90 for i in range(length)]


def test_a_step_mixes_decoding_with_chunks_of_prompts() -> None:
    yard = Yard(chunk_tokens=20)
    talker = yard.submit(prompt(1, 5))
    yard.step()
    reader = yard.submit(prompt(2, 50))
    assert yard.step() == {talker.sid: 1, reader.sid: 19}


def test_running_prompts_come_before_new_ones_and_leave_them_a_quarter() -> None:
    yard = Yard(chunk_tokens=40)
    first = yard.submit(prompt(1, 200))
    yard.step()
    second = yard.submit(prompt(2, 200))
    assert yard.step() == {first.sid: 30, second.sid: 10}


def test_a_budget_that_running_prompts_do_not_need_goes_to_new_ones() -> None:
    yard = Yard(chunk_tokens=40)
    first = yard.submit(prompt(1, 45))
    yard.step()
    second = yard.submit(prompt(2, 200))
    assert yard.step() == {first.sid: 5, second.sid: 35}


def test_no_more_run_than_may() -> None:
    yard = Yard(max_running=3)
    for kind in range(1, 6):
        yard.submit(prompt(kind, 5))
    assert len(yard.step()) == 3
    assert len(yard.scheduler.waiting) == 2


def test_rows_of_logits_for_prompts_are_shared_out_in_a_step() -> None:
    yard = Yard(max_logit_rows=12)
    first = yard.submit(prompt(1, 10), logprobs=LogprobParams(prompt_start=0))
    second = yard.submit(prompt(2, 10), logprobs=LogprobParams(prompt_start=5))
    # The second needs no rows for its first four tokens.
    assert yard.step() == {first.sid: 10, second.sid: 4 + 2}


class TestOrder:
    def test_the_longest_cached_prefix_goes_first(self) -> None:
        yard = Yard(max_running=1, policy="lpm")
        yard.cache_prefix(prompt(1, 30))
        cold = yard.submit(prompt(2, 40), 1)
        short = yard.submit([*prompt(1, 10), 7, 7], 1)
        long = yard.submit([*prompt(1, 30), 7, 7], 1)
        assert [next(iter(yard.step())) for _ in range(3)] == [long.sid, short.sid, cold.sid]

    def test_first_come_first_served_does_not_look_at_the_cache(self) -> None:
        yard = Yard(max_running=1, policy="fcfs")
        yard.cache_prefix(prompt(1, 30))
        cold = yard.submit(prompt(2, 40), 1)
        warm = yard.submit([*prompt(1, 30), 7, 7], 1)
        assert [next(iter(yard.step())) for _ in range(2)] == [cold.sid, warm.sid]

    def test_what_is_cached_while_a_sequence_waits_counts(self) -> None:
        yard = Yard(max_running=1, policy="lpm")
        blocker = yard.submit(prompt(1, 30), 1)
        cold = yard.submit(prompt(2, 40), 1)
        warm = yard.submit([*prompt(1, 30), 7, 7], 1)
        assert [next(iter(yard.step())) for _ in range(3)] == [blocker.sid, warm.sid, cold.sid]

    def test_nobody_is_overtaken_without_end(self) -> None:
        yard = Yard(max_running=1, policy="lpm", max_overtakes=5)
        yard.cache_prefix(prompt(1, 30))
        cold = yard.submit(prompt(2, 40), 1)
        order: list[int] = []
        for i in range(20):
            yard.submit([*prompt(1, 30), 500 + i], 1)
            yard.submit([*prompt(1, 30), 600 + i], 1)
            order += yard.step()
        assert order.index(cold.sid) == 5

    def test_one_too_large_for_the_moment_is_passed_but_not_without_end(self) -> None:
        yard = Yard(100, policy="lpm", max_overtakes=3, lookahead=1)
        yard.submit(prompt(1, 30), 60)
        yard.step()
        large = yard.submit(prompt(2, 80), 1)
        small = [yard.submit([700 + i, 3, 3], 1) for i in range(8)]
        while not large.num_generated:
            num_before = sum(seq.num_generated for seq in small)
            yard.step()
        assert num_before == 3


class TestSharing:
    def test_a_sequence_waits_for_one_that_computes_its_prefix(self) -> None:
        yard = Yard(chunk_tokens=512)
        first = yard.submit([*prompt(1, 20), 7])
        second = yard.submit([*prompt(1, 20), 8])
        assert yard.step() == {first.sid: 21}
        assert yard.step() == {first.sid: 1, second.sid: 1}

    def test_it_does_not_wait_for_a_few_tokens(self) -> None:
        yard = Yard(min_shared_tokens=8)
        first = yard.submit([*prompt(1, 7), 7, 7])
        second = yard.submit([*prompt(1, 7), 8, 8])
        assert yard.step() == {first.sid: 9, second.sid: 9}

    def test_it_does_not_wait_for_what_is_cached_already(self) -> None:
        yard = Yard()
        yard.cache_prefix(prompt(1, 20))
        first = yard.submit([*prompt(1, 20), *prompt(2, 20)])
        second = yard.submit([*prompt(1, 20), *prompt(3, 20)])
        assert yard.step() == {first.sid: 20, second.sid: 20}

    def test_it_goes_on_when_the_other_one_is_dropped(self) -> None:
        yard = Yard(chunk_tokens=16)
        first = yard.submit([*prompt(1, 60), 7])
        second = yard.submit([*prompt(1, 60), 8])
        yard.step()
        yard.scheduler.finish(first)
        # What the first one had computed is there for the second.
        assert yard.step() == {second.sid: 16}
        assert second.cached_tokens == 16


class TestRoom:
    def test_admission_looks_ahead(self) -> None:
        """Both prompts would fit, but not what they are going to generate."""
        yard = Yard(100, lookahead=30)
        first, second = yard.submit(prompt(1, 30), 50), yard.submit(prompt(2, 30), 50)
        assert yard.step() == {first.sid: 30}
        assert second.node is None

    def test_after_a_retraction_it_looks_twice_as_far(self) -> None:
        yard = Yard(100, lookahead=2)
        yard.submit(prompt(1, 30), 60)
        young = yard.submit(prompt(2, 30), 60)
        while not yard.scheduler.num_retractions:
            yard.step()
        assert young.retractions == 1
        assert yard.scheduler._lookahead == 4

    def test_slots_of_the_cache_are_room(self) -> None:
        yard = Yard(100)
        yard.cache_prefix(prompt(1, 95))
        seq = yard.submit(prompt(2, 80), 5)
        assert yard.step() == {seq.sid: 80}

    def test_its_own_cached_prefix_is_no_room(self) -> None:
        """Slots that a sequence is going to lease cannot be evicted for it as well."""
        yard = Yard(100, lookahead=1)
        yard.cache_prefix(prompt(1, 60))
        blocker = yard.submit(prompt(2, 30), 60)
        yard.step()
        seq = yard.submit([*prompt(1, 60), *prompt(3, 20)], 1)
        yard.step()
        assert seq.node is None
        assert blocker.node is not None

    @pytest.mark.parametrize("num_sequences", [2, 5])
    def test_prompts_that_fill_the_pool_before_any_is_complete_do_not_block_each_other(
        self, num_sequences: int
    ) -> None:
        yard = Yard(100, chunk_tokens=10, lookahead=0)
        seqs = [yard.submit(prompt(kind + 1, 90), 1) for kind in range(num_sequences)]
        for seq in seqs:  # all at once, as if admission had been too generous
            yard.scheduler.waiting.remove(seq)
            yard.scheduler.kv.lease(seq)
            yard.scheduler.running.append(seq)
        for _ in range(200):
            yard.step()
        assert all(seq.num_generated == 1 for seq in seqs)
