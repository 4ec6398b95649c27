"""Below the KV pool: what was evicted comes back from the host's memory, right to the token."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hash_runner import HashRunner
from world import World

PROMPT = [(7 * i) % 59 + 1 for i in range(60)]


def fill(world: World, first: int, count: int, namespace: str = "") -> None:
    """Prompts that share nothing with others and drive them out of the pool."""
    for number in range(first, first + count):
        world.submit([number % 60 + 1, *range(1, 50)], 0, namespace=namespace)
        world.run()


def test_an_evicted_prompt_is_put_back_and_not_computed_again() -> None:
    world = World(150, host_cache_tokens=1_000)
    world.submit([*PROMPT, 3], 0)
    world.run()
    fill(world, 1, 3)
    assert world.core.cache.match_length("", np.array(PROMPT, np.int32)) < len(PROMPT)
    before = world.runner.num_tokens_computed
    again = world.submit([*PROMPT, 4], 5)
    world.run()
    world.assert_right(again)
    assert again.cached_tokens == len(PROMPT)
    assert world.runner.num_tokens_computed - before <= 6
    assert world.core.stats()["restored_tokens"] > 0


def test_what_leaves_a_piece_half_way_gets_its_first_half() -> None:
    world = World(150, host_cache_tokens=1_000)
    world.submit(PROMPT, 0)
    world.run()
    fill(world, 1, 4)
    fork = world.submit([*PROMPT[:33], 58, 57, 56], 5)
    world.run()
    world.assert_right(fork)
    assert fork.cached_tokens == 33


def test_namespaces_do_not_share_what_was_evicted() -> None:
    world = World(150, host_cache_tokens=1_000)
    world.submit(PROMPT, 0, namespace="a")
    world.run()
    fill(world, 1, 4)
    other = world.submit([*PROMPT, 4], 5, namespace="b")
    world.run()
    assert other.cached_tokens == 0
    world.assert_right(other)


def test_the_hosts_memory_is_bounded_and_flushed() -> None:
    world = World(150, host_cache_tokens=100)
    fill(world, 1, 30)
    assert 0 < world.core.stats()["host_tokens"] <= 100
    world.core.flush_cache()
    assert world.core.stats()["host_tokens"] == 0


def test_what_a_quota_holds_stays_in_the_hosts_memory_whatever_others_need() -> None:
    for quotas, stays in (({"ours": 60}, True), ({}, False)):
        world = World(150, host_cache_tokens=200, namespace_quotas=quotas)
        fill(world, 1, 8, "ours")
        fill(world, 1, 30)
        tier = world.core.tier
        assert tier is not None
        prompts = [np.array([number, *range(1, 50)], np.int32) for number in range(2, 10)]
        kept = [tier.num_next("ours", prompt, at) for prompt in prompts for at in range(50)]
        assert (max(kept) > 0) == stays
        assert tier.num_tokens > 100


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"host_cache_tokens": 100}, "host_cache_tokens of 100"),
        ({"disk_cache_bytes": 1_000, "host_cache_tokens": 200}, "disk_cache_bytes of 1000"),
    ],
)
def test_a_tier_that_quotas_would_fill_is_refused(
    settings: dict[str, int], what: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=what):
        World(200, namespace_quotas={"ours": 60}, disk_cache=str(tmp_path), **settings)


@pytest.mark.parametrize("seed", range(6))
def test_random_traffic_over_a_small_pool_is_exact(seed: int) -> None:
    rng = random.Random(seed)
    world = World(
        runner=HashRunner(160),
        max_running=6,
        chunk_tokens=rng.choice([8, 32]),
        host_cache_tokens=rng.choice([60, 400, 4_000]),
    )
    trunks = [[rng.randint(1, 60) for _ in range(rng.randint(5, 60))] for _ in range(8)]
    for _ in range(150):
        trunk = rng.choice(trunks)
        prompt = [
            *trunk[: rng.randint(1, len(trunk))],
            *rng.choices(range(1, 60), k=rng.randint(0, 8)),
        ]
        heard = world.submit(prompt, rng.randint(0, 12), namespace=rng.choice(["", "", "a"]))
        for _ in range(rng.randint(0, 4)):
            world.step()
        if rng.random() < 0.1 and not heard.over:
            world.drop(heard)
    world.run()
    for heard in world.heard.values():
        world.assert_right(heard)
    assert world.core.stats()["restored_tokens"] > 0
    world.assert_idle()
