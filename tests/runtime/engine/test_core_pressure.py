"""Cancelled streams and pools far too small: nothing leaks, nothing hangs, all is exact."""

from __future__ import annotations

import random

import pytest
from world import Heard, World

from branchline.runtime.errors import RequestError


def wish(rng: random.Random, longest: int) -> list[int]:
    trunk = [7, 7, 3, 9, 2, 30, 31, 32][: rng.randint(0, 8)]
    return [*trunk, *(rng.randint(1, 60) for _ in range(rng.randint(1, longest)))]


def test_a_thousand_streams_cancelled_at_random_points_leak_nothing_and_harm_nobody() -> None:
    rng = random.Random(0)
    world = World(600, max_running=24, chunk_tokens=48)
    live: list[Heard] = []
    num_cancelled = 0
    while num_cancelled < 1_000 or world.core.has_work:
        while num_cancelled < 1_000 and len(live) < 60:
            live.append(world.submit(wish(rng, 20), rng.choice([1, 8, 30])))
        world.step(check=False)
        for heard in [heard for heard in live if heard.over]:
            world.assert_right(heard)
            live.remove(heard)
        for _ in range(rng.choice([0, 1, 2, 3])):
            if live and num_cancelled < 1_000:
                world.drop(live.pop(rng.randrange(len(live))))
                num_cancelled += 1
                world.core.check()  # its slots are the cache's or free already
    assert not live
    world.assert_idle()


@pytest.mark.parametrize("policy", ["lpm", "fcfs", "dfs-weight", "priority"])
@pytest.mark.parametrize("num_slots", [8, 64, "a fifth of the need"])
def test_in_a_pool_too_small_all_that_can_finish_does_and_the_rest_is_refused(
    num_slots: int | str, policy: str
) -> None:
    rng = random.Random(1)
    prompts = [wish(rng, 30) for _ in range(60)]
    lengths = [rng.randint(1, 30) for _ in prompts]
    if isinstance(num_slots, str):
        at_once = sorted(map(sum, zip(map(len, prompts), lengths, strict=True)))[-16:]
        num_slots = sum(at_once) // 5
    world = World(num_slots, max_running=16, chunk_tokens=32, policy=policy)
    taken: list[Heard] = []
    for prompt, length in zip(prompts, lengths, strict=True):
        if len(prompt) + 1 <= num_slots:
            taken.append(world.submit(prompt, length, ignore_eos=True))
        else:
            with pytest.raises(RequestError) as refused:
                world.submit(prompt, length)
            assert refused.value.code == "context_length"
    world.run()
    for heard in taken:
        world.assert_right(heard)
    world.assert_idle()
    assert taken
