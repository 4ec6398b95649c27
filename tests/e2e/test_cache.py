"""What users may ask of the cache, with real engines: keep it over a restart, pin, explain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import branchline as bl

LONG = "the quick brown fox jumps over lazy dogs and cats while rivers run to sea " * 3


@bl.function
def program(s, text):
    s += text
    s += bl.gen("a", max_tokens=2, temperature=0.0, ignore_eos=True)


def cached(backend: object, text: str = LONG) -> tuple[int, int]:
    meta = program.run(text, backend=backend).get_meta_info("a")
    assert meta is not None
    return meta["cached_tokens"], meta["prompt_tokens"]


@pytest.fixture
def engine(model_dir: Path) -> Iterator[bl.Engine]:
    with bl.Engine(str(model_dir), kv_slots=512, num_threads=1) as engine:
        yield engine


def test_a_restarted_engine_goes_on_with_its_cache(model_dir: Path, tmp_path: Path) -> None:
    options = {"kv_slots": 512, "num_threads": 1, "cache_file": str(tmp_path / "cache")}
    with bl.Engine(str(model_dir), **options) as engine:
        assert cached(engine)[0] == 0
    with bl.Engine(str(model_dir), **options) as engine:
        num_cached, num_prompt = cached(engine)
        assert num_cached == num_prompt - 1


@pytest.mark.parametrize(
    ("setting", "words"),
    [("cache_file", "cache_file .* is a folder"), ("disk_cache", "disk_cache '/dev/null' cannot")],
)
def test_an_engine_that_could_not_keep_its_cache_does_not_start(
    model_dir: Path, setting: str, words: str
) -> None:
    path = "/dev/null" if setting == "disk_cache" else str(model_dir)
    with pytest.raises(bl.RuntimeUnavailable, match=words):
        bl.Engine(str(model_dir), kv_slots=512, num_threads=1, **{setting: path})


def test_a_restarted_runtime_goes_on_with_its_cache(model_dir: Path, tmp_path: Path) -> None:
    options = {"kv_slots": 512, "num_threads": 1, "cache_file": str(tmp_path / "cache")}
    for expect_warm in (False, True):
        with bl.Runtime(str(model_dir), **options) as runtime:
            num_cached, num_prompt = cached(runtime)
            assert num_cached == (num_prompt - 1 if expect_warm else 0)


def test_a_pinned_prefix_outlives_what_would_evict_it(engine: bl.Engine) -> None:
    with bl.pin(LONG, backend=engine) as pin:
        assert pin.num_tokens > 40
        for number in range(12):
            cached(engine, f"{number} " * 60)
        assert engine.get_server_info()["evicted_tokens"] > 0
        num_cached, num_prompt = cached(engine)
        assert num_cached == num_prompt - 1
    for number in range(12, 24):
        cached(engine, f"{number} " * 60)
    assert engine.get_server_info()["pinned_tokens"] == 0
    assert cached(engine)[0] < num_cached


def test_the_beginning_of_a_program_can_be_pinned(engine: bl.Engine) -> None:
    @bl.function
    def chat(s, question):
        s += bl.system(LONG)
        s += bl.user(question)
        s += bl.assistant(bl.gen("a", max_tokens=1))

    pin = chat.pin(ttl=60, backend=engine)
    meta = chat.run("why", backend=engine).get_meta_info("a")
    assert meta is not None
    assert meta["cached_tokens"] >= pin.num_tokens - 1
    with pytest.raises(ValueError, match="begins with nothing"):
        program.pin(backend=engine)


def test_a_call_tells_why_its_prompt_was_not_cached(engine: bl.Engine) -> None:
    cached(engine)
    meta = program.run(LONG.strip() + " under stars", backend=engine).get_meta_info("a")
    assert meta is not None
    miss = meta["cache_miss"]
    assert miss["position"] == meta["cached_tokens"] > 0
    assert (miss["text"], miss["reason"]) == (" under", "new")


def test_the_engine_keeps_tokens_for_as_many_sessions_as_states_hold(engine: bl.Engine) -> None:
    states = [program.run(LONG, backend=engine) for _ in range(3)]
    for state in states:
        state.sync()
    info = engine.get_server_info()
    assert info["sessions"] == info["front_sessions"] >= 3
