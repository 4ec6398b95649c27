"""Slots run out: who is retracted, how often, and that nobody can tell by what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from world import World

from branchline.runtime.engine_protocol import NextCall
from branchline.runtime.protocol import LogprobParams, SamplingParams

PROMPT = [5, 9, 2, 7, 7, 1, 30, 12, 44, 3, 8, 21]


def test_a_full_pool_retracts_and_every_output_is_still_exact() -> None:
    world = World(120, max_running=8)
    all_heard = [world.submit([i + 1, 5, 6], 100, ignore_eos=True) for i in range(8)]
    world.run()
    assert world.core.stats()["retractions"] > 0
    for heard in all_heard:
        world.assert_right(heard)
    world.assert_idle()


def test_the_oldest_sequence_is_never_retracted() -> None:
    world = World(120, max_running=8)
    oldest = world.submit(PROMPT, 100, ignore_eos=True)
    for i in range(8):
        world.submit([i + 1, 5, 6], 100, ignore_eos=True)
    for _ in range(100):
        world.step()
    assert oldest.finish == "length"


def test_retractions_die_out() -> None:
    world = World(300, max_running=40)
    for i in range(30):
        world.submit([1 + i, 5, 6], 200, ignore_eos=True)
    most = 0
    while world.core.has_work:
        world.step()
        scheduler = world.core.scheduler
        most = max([most, *(seq.retractions for seq in scheduler.running)])
    assert most <= 8
    assert world.core.stats()["retractions"] <= 60


@pytest.mark.parametrize(
    ("num_slots", "count", "length", "then"),
    [(330, 5, 60, []), (400, 2, 20, [150])],
    ids=["by themselves", "going on with more"],
)
def test_nobody_is_retracted_more_often_than_may_be_whatever_comes(
    num_slots: int, count: int, length: int, then: list[int]
) -> None:
    """Crowds of higher priority that outgrow the pool come again and again, and short ones in
    between, after which admission looks less far ahead."""
    world = World(num_slots, max_running=40, policy="priority")
    scheduler = world.core.scheduler
    scheduler.config = replace(scheduler.config, max_retractions=2, max_preemptions=0)
    low = world.submit(PROMPT[:3], 300, ignore_eos=True)
    calls = [
        NextCall([9], SamplingParams(max_new_tokens=more, temperature=0.0, ignore_eos=True))
        for more in then
    ]
    most = wave = 0
    while not low.over:
        wave += 1
        for i in range(count):
            prompt = [wave, 5, 6 + i]
            world.submit(prompt, length, ignore_eos=True, priority=1, then=list(calls))
        while len(world.core.sequences) > (not low.over):
            world.step(check=False)
            most = max([most, *(seq.retractions for seq in world.core.sequences)])
        for i in range(20):
            world.submit([wave, 4, 6 + i], 1, ignore_eos=True, priority=2)
        for _ in range(2):
            world.step(check=False)
    world.run()
    world.assert_right(low)
    assert most == 2


def test_usage_and_log_probabilities_are_the_same_however_often_one_is_retracted() -> None:
    told = []
    for retracts in (False, True):
        world = World(2_000, max_running=8, chunk_tokens=64)
        for i in range(6):
            world.submit([i + 1, *PROMPT], 1)
        world.run()
        before = world.core.stats()
        all_heard = [
            world.submit(
                [i + 1, *PROMPT, 9, 9 + i],
                20,
                ignore_eos=True,
                logprobs=LogprobParams(prompt_start=len(PROMPT)),
            )
            for i in range(6)
        ]
        while world.core.has_work:
            if retracts and len(world.core.scheduler.running) > 1:
                world.core.scheduler._retract_last()
            world.step()
        for heard in all_heard:
            world.assert_right(heard)
        assert (world.core.stats()["retractions"] > 6) == retracts
        counted = {
            name: world.core.stats()[name] - before[name]
            for name in ("prompt_tokens", "generated_tokens", "finished")
        }
        told.append(
            (
                [(h.token_ids, h.logprobs, h.prompt_logprobs) for h in all_heard],
                [(h.cached_tokens, h.finish, h.num_forced) for h in all_heard],
                counted,
            )
        )
    assert told[0] == told[1]


def test_what_was_computed_before_comes_back_from_the_cache() -> None:
    world = World(130, max_running=2, chunk_tokens=64)
    for i in range(2):
        world.submit([i + 1] * 30, 60, ignore_eos=True)
    world.run()
    stats = world.core.stats()
    assert stats["retractions"] == 1
    # The young one lost at most what the old one still needed of its slots.
    assert world.runner.num_tokens_computed < 2 * 90 + 60


def test_over_the_hosts_memory_nothing_at_all_is_computed_twice() -> None:
    world = World(130, max_running=2, chunk_tokens=64, host_cache_tokens=1_000, speculation="off")
    for i in range(2):
        world.submit([i + 1] * 30, 60, ignore_eos=True)
    world.run()
    stats = world.core.stats()
    assert stats["retractions"] == 1
    assert stats["restored_tokens"] > 0
    # Of the last token of an output nothing is ever computed.
    assert world.runner.num_tokens_computed == 2 * (30 + 60 - 1)
