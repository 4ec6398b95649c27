"""A saved cache serves a new engine; files that do not fit are refused and harm nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import safetensors.torch
from hash_runner import HashRunner
from world import World

from branchline.runtime.engine.process import load_cache, save_cache
from branchline.runtime.radix_cache.snapshot import SnapshotError

PROMPT = [5, 9, 2, 7, 7, 1, 30, 12]


def saved(path: Path) -> World:
    world = World()
    for i in range(12):
        world.submit([*PROMPT, *[20 + i % 5] * (i % 7), i + 1], 6, namespace="ab"[i % 2])
        world.run()
    assert world.core.save_cache(path) == world.core.stats()["cached_tokens"]
    return world


def test_a_restarted_engine_answers_the_first_request_of_a_known_prefix_from_cache(
    tmp_path: Path,
) -> None:
    old = saved(tmp_path / "tree")
    new = World()
    assert new.core.load_cache(tmp_path / "tree") == old.core.stats()["cached_tokens"]
    new.core.check()
    heard = new.submit([*PROMPT, 1], 9, namespace="a")
    new.run()
    assert heard.cached_tokens == len(PROMPT)
    new.assert_right(heard)


def test_every_prefix_that_was_cached_is_cached_again(tmp_path: Path) -> None:
    old, new = saved(tmp_path / "tree"), World()
    new.core.load_cache(tmp_path / "tree")
    assert new.core.stats()["cache_nodes"] <= old.core.stats()["cache_nodes"]
    for heard in old.heard.values():
        submit = heard.submit
        whole = [*submit.input_ids, *heard.token_ids[:-1]]
        again = new.submit([*whole, 3], 1, namespace=submit.namespace)
        new.run()
        assert again.cached_tokens is not None
        assert again.cached_tokens >= len(whole)
        new.assert_right(again)


def test_a_smaller_pool_takes_what_was_used_last(tmp_path: Path) -> None:
    world = World()
    for i in range(10):
        world.submit([20 + i] * 30, 0)
        world.run()
    world.core.save_cache(tmp_path / "tree")
    small = World(100)
    assert small.core.load_cache(tmp_path / "tree") == 90
    small.core.check()
    heard = small.submit([29] * 31, 1)
    small.run()
    assert heard.cached_tokens == 30


def test_loading_into_a_cache_that_has_some_of_it_adds_the_rest(tmp_path: Path) -> None:
    saved(tmp_path / "tree")
    world = World()
    world.submit([*PROMPT[:5], 59], 3, namespace="a")
    world.run()
    world.core.load_cache(tmp_path / "tree")
    world.core.check()
    heard = world.submit([*PROMPT, 1], 9, namespace="a")
    world.run()
    assert heard.cached_tokens == len(PROMPT)
    world.assert_right(heard)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_refused_with_a_message_and_changes_nothing(
    seed: int, tmp_path: Path
) -> None:
    path = tmp_path / "tree"
    saved(path)
    rng = random.Random(seed)
    content = bytearray(path.read_bytes())
    if seed % 3 == 0:
        content = content[: rng.randrange(len(content))]
    else:
        at = rng.randrange(len(content))
        content[at] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    world = World()
    with pytest.raises(SnapshotError, match=str(path)):
        world.core.load_cache(path)
    assert world.core.stats()["cached_tokens"] == 0
    world.assert_idle()


def test_a_file_of_another_model_is_refused_by_name(tmp_path: Path) -> None:
    saved(tmp_path / "tree")
    runner = HashRunner(1_000)
    runner.fingerprint = "another"
    with pytest.raises(SnapshotError, match="another model"):
        World(runner=runner).core.load_cache(tmp_path / "tree")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    safetensors.torch.save_file({"w": safetensors.torch.torch.zeros(3)}, path)
    with pytest.raises(SnapshotError, match="no snapshot"):
        World().core.load_cache(path)


def test_an_engine_process_starts_empty_with_a_warning_where_the_file_does_not_fit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tree").write_bytes(b"junk")
    world = World()
    load_cache(world.core, str(tmp_path / "tree"))
    assert "starting with an empty cache" in caplog.text
    save_cache(world.core, str(tmp_path / "no" / "folder"))
    assert "not saved" in caplog.text
