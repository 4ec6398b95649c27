"""Below the host's memory: what was driven out of it comes back from files, right to the token."""

from __future__ import annotations

import random
from pathlib import Path

from test_core_host_tier import PROMPT, fill
from world import World


def world_on(folder: Path, num_slots: int = 150, host_cache_tokens: int = 0) -> World:
    return World(num_slots, host_cache_tokens=host_cache_tokens, disk_cache=str(folder))


def settle(world: World) -> None:
    """Let the files be written, so that what comes back comes from them."""
    tier = world.core.tier
    assert tier is not None
    assert tier.below is not None
    tier.below.wait()


def test_what_left_the_hosts_memory_is_read_back_and_not_computed_again(tmp_path: Path) -> None:
    world = world_on(tmp_path, host_cache_tokens=70)
    world.submit([*PROMPT, 3], 0)
    world.run()
    fill(world, 1, 6)
    settle(world)
    before = world.runner.num_tokens_computed
    again = world.submit([*PROMPT, 4], 5)
    world.run()
    world.assert_right(again)
    assert again.cached_tokens == len(PROMPT)
    assert world.runner.num_tokens_computed - before <= 6


def test_without_a_tier_in_memory_pieces_go_to_the_disk_at_once(tmp_path: Path) -> None:
    world = world_on(tmp_path)
    world.submit([*PROMPT, 3], 0)
    world.run()
    fill(world, 1, 4)
    settle(world)
    again = world.submit([*PROMPT, 4], 5)
    world.run()
    world.assert_right(again)
    assert again.cached_tokens == len(PROMPT)


def test_a_new_engine_goes_on_with_the_files_of_an_old_one(tmp_path: Path) -> None:
    old = world_on(tmp_path)
    old.submit(PROMPT, 0)
    old.run()
    fill(old, 1, 6)
    settle(old)
    new = world_on(tmp_path)
    heard = new.submit([*PROMPT, 4], 5)
    new.run()
    new.assert_right(heard)
    assert heard.cached_tokens == len(PROMPT)


def test_damaged_files_cost_their_tokens_and_nothing_else(tmp_path: Path) -> None:
    world = world_on(tmp_path)
    world.submit(PROMPT, 0)
    world.run()
    fill(world, 1, 4)
    settle(world)
    for file in tmp_path.rglob("*.safetensors"):
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
    again = world.submit([*PROMPT, 4], 5)
    world.run()
    world.assert_right(again)
    assert again.cached_tokens == 0
    world.assert_idle()


def test_flushing_the_cache_leaves_no_file(tmp_path: Path) -> None:
    world = world_on(tmp_path)
    fill(world, 1, 6)
    settle(world)
    world.core.flush_cache()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert world.core.stats()["disk_bytes"] == 0


def test_random_traffic_over_three_tiers_is_exact(tmp_path: Path) -> None:
    rng = random.Random(5)
    world = world_on(tmp_path, num_slots=120, host_cache_tokens=100)
    trunks = [[rng.randint(1, 60) for _ in range(50)] for _ in range(6)]
    for _ in range(150):
        trunk = rng.choice(trunks)[: rng.randint(1, 50)]
        heard = world.submit([*trunk, rng.randint(1, 60)], rng.randint(0, 6))
        if rng.random() < 0.3:
            settle(world)
        world.run()
        world.assert_right(heard)
    assert world.core.stats()["restored_tokens"] > 500
    world.assert_idle()
