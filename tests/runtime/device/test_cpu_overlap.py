"""Steps that a thread of the CPU's kernels computes while the host takes the tokens of the last."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from branchline.runtime.device.cpu import CpuDevice
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine_protocol import NextCall, Submit
from branchline.runtime.kernels.cpu.queue import CpuQueue
from branchline.runtime.protocol import LogprobParams, Regex, SamplingParams

PROMPTS = [[5 + i, 9, 30 + i, 7] for i in range(4)]


def engine(model_dir: str, overlap: str, **settings: Any) -> EngineCore:
    strict = settings.pop("strict", True)
    options = {"kv_slots": 400, "speculation": "off", "num_threads": 1, **settings}
    config = EngineConfig(
        model_dir,
        dtype="bfloat16",
        device="cpu",
        grammar_timeout_s=100.0,
        overlap=overlap,  # type: ignore[arg-type]
        **options,
    )
    core = EngineCore(config, strict=strict)
    if overlap == "on" and not core.runner.device.is_asynchronous:
        pytest.skip("no C++ kernels here")
    return core


def call(sid: int, count: int, **wishes: Any) -> Submit:
    constraint = wishes.pop("constraint", None)
    logprobs = wishes.pop("logprobs", None)
    params = {"temperature": 0.0, "ignore_eos": constraint is None, **wishes}
    sampling = SamplingParams(max_new_tokens=count, **params)
    return Submit(sid, PROMPTS[sid], sampling, constraint, logprobs)


def said(core: EngineCore, calls: list[Submit]) -> dict[int, list[Any]]:
    """What each call is told until all have ended: tokens, log probabilities, ends."""
    for each in calls:
        core.submit(each)
    while core.stats()["compiling"]:
        core._receive_grammars()
    told: dict[int, list[Any]] = {}
    while core.has_work:
        hear(core, told)
    core.check()
    assert core.allocator.num_free + core.cache.num_tokens == core.allocator.num_slots
    return told


CALLS = {
    "of different lengths": [call(sid, 3 + 4 * sid) for sid in range(4)],
    "under grammars beside free ones": [
        call(0, 14, constraint=Regex("[a-z]{3,9}[0-9]{4,}")),
        call(1, 14),
        call(2, 12, constraint=Regex("[a-m]{3,}")),
    ],
    "at random": [call(sid, 14, temperature=1.0, seed=sid, top_p=0.9) for sid in range(4)],
    "with penalties": [
        call(0, 14, repetition_penalty=1.3),
        call(1, 14, temperature=0.8, seed=1, presence_penalty=0.5),
        call(2, 14),
    ],
    "with log probabilities": [
        call(sid, 10, logprobs=LogprobParams(top=sid) if sid < 3 else None) for sid in range(4)
    ],
    "that stop": [
        call(sid, 40, ignore_eos=False, stop_token_ids=list(range(3, 270, 7))) for sid in range(4)
    ],
    "that go on": [
        replace(call(sid, 5 + sid), then=[NextCall([11, 12], call(sid, 6).sampling)])
        for sid in range(4)
    ],
}


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("calls", CALLS.values(), ids=CALLS)
def test_calls_are_told_the_same_with_steps_ahead(
    model_dir: str, calls: list[Submit], threads: int
) -> None:
    ahead = engine(model_dir, "on", num_threads=threads)
    expected = said(engine(model_dir, "off", num_threads=threads), calls)
    assert said(ahead, calls) == expected
    assert ahead.stats()["steps_ahead"] > 0


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_layers_that_threads_share_give_the_same(wide_model_dir: str, threads: int) -> None:
    calls = [call(sid, 40) for sid in range(4)]
    ahead = engine(wide_model_dir, "on", num_threads=threads)
    assert said(ahead, calls) == said(engine(wide_model_dir, "off", num_threads=threads), calls)


def test_nearly_all_steps_of_a_steady_batch_run_ahead(model_dir: str) -> None:
    core = engine(model_dir, "on")
    said(core, [call(sid, 40) for sid in range(4)])
    stats = core.stats()
    assert stats["steps"] - stats["steps_ahead"] <= 2


@pytest.mark.parametrize("is_busy", [True, False])
def test_the_time_between_steps_is_the_steps_while_a_pass_is_computed(
    model_dir: str, monkeypatch: pytest.MonkeyPatch, is_busy: bool
) -> None:
    core = engine(model_dir, "on")
    core.submit(call(0, 20))
    core.step()
    between_s = 0.0
    before_s = core.stats()["step_seconds"]
    began_s = time.perf_counter()
    while core.has_work:
        time.sleep(0.03)  # longer than a pass of this model takes
        if is_busy:
            monkeypatch.setattr(CpuDevice, "is_busy", True)
        between_s += 0.03
        core.step()
        monkeypatch.undo()
    all_s = time.perf_counter() - began_s
    stepped_s = core.stats()["step_seconds"] - before_s
    if is_busy:
        assert stepped_s == pytest.approx(all_s, rel=0.05)
    else:
        assert stepped_s < all_s - 0.9 * between_s


def test_by_default_it_is_tried_and_changes_no_token(model_dir: str) -> None:
    calls = [call(sid, 120) for sid in range(4)]
    core = engine(model_dir, "auto", kv_slots=600)
    assert said(core, calls) == said(engine(model_dir, "off", kv_slots=600), calls)
    assert 0 < core.stats()["steps_ahead"] < core.stats()["steps"]


def test_a_pool_that_is_too_small_for_all_retracts_as_without(model_dir: str) -> None:
    calls = [call(sid, 30) for sid in range(4)]
    expected = said(engine(model_dir, "off", kv_slots=48), calls)
    assert said(engine(model_dir, "on", kv_slots=48), calls) == expected


def test_what_is_evicted_to_the_hosts_memory_is_read_when_it_is_computed(model_dir: str) -> None:
    small = {"kv_slots": 48, "host_cache_tokens": 200}
    calls = [call(sid, 30) for sid in range(4)]
    assert said(engine(model_dir, "on", **small), calls) == said(
        engine(model_dir, "off", **small), calls
    )


def test_a_call_that_is_dropped_changes_nothing_for_the_others(model_dir: str) -> None:
    core = engine(model_dir, "on")
    calls = [call(sid, 20) for sid in range(4)]
    for each in calls:
        core.submit(each)
    early: list[int] = []
    for _ in range(5):
        early += [
            t for progress in core.step().progress if not progress.sid for t in progress.token_ids
        ]
    core.drop(2)
    rest = said(core, [])
    alone = said(engine(model_dir, "off"), calls)
    assert early + rest[0] == alone[0]
    assert 2 not in rest


@pytest.mark.parametrize("seed", range(4))
def test_random_traffic_is_told_the_same_to_the_bit(model_dir: str, seed: int) -> None:
    """Calls come at any step, are dropped at any step, wait for places and for slots."""
    made = []
    for overlap in ("off", "on"):
        rng = random.Random(seed)
        settings = {"max_running": 3, "kv_slots": 90, "chunk_tokens": 16, "deterministic": True}
        core = engine(model_dir, overlap, speculation=rng.choice(["off", "always"]), **settings)
        told: dict[int, list[Any]] = {}
        dropped = set()
        for sid in range(24):
            prompt = [rng.randrange(3, 270) for _ in range(rng.randint(1, 30))]
            wishes = {"temperature": rng.choice([0.0, 1.0]), "seed": sid, "ignore_eos": True}
            if rng.random() < 0.2:
                wishes["repetition_penalty"] = 1.2
            sampling = SamplingParams(max_new_tokens=rng.randint(1, 40), **wishes)
            logprobs = LogprobParams(top=1) if rng.random() < 0.3 else None
            core.submit(Submit(sid, prompt, sampling, None, logprobs))
            for _ in range(rng.randint(0, 12)):
                hear(core, told)
            if rng.random() < 0.2:
                dropped.add(sid)
                core.drop(sid)
        while core.has_work:
            hear(core, told)
        core.check()
        made.append({sid: each for sid, each in told.items() if sid not in dropped})
    assert made[0] == made[1]
    assert core.stats()["steps_ahead"] > 20


def hear(core: EngineCore, told: dict[int, list[Any]]) -> None:
    """One step; what it tells joins what was told."""
    events = core.step()
    assert not events.failed
    for progress in events.progress:
        logprobs = [(each.logprob, each.top) for each in progress.logprobs or []]
        end = [] if progress.finish is None else [(progress.finish, progress.matched_stop)]
        told.setdefault(progress.sid, []).extend([*progress.token_ids, *logprobs, *end])


def test_guesses_are_made_and_taken_all_the_same(model_dir: str) -> None:
    calls = [replace(call(sid, 30), input_ids=[5, 6, 7, 8] * 4) for sid in range(2)]
    core = engine(model_dir, "on", speculation="always")
    assert said(core, calls) == said(engine(model_dir, "off"), calls)
    assert core.stats()["drafted_tokens"] > 10


def test_a_step_that_fails_while_it_runs_ahead_is_computed_again(
    model_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [call(sid, 12) for sid in range(4)]
    expected = said(engine(model_dir, "off"), calls)
    run, num_runs = CpuQueue.run, 0

    def fails_once(self: CpuQueue, level: int, plan: Any, step: Any, *used: Any) -> None:
        nonlocal num_runs
        num_runs += 1
        beyond = torch.full((4,), 2**20)
        if num_runs == 4:
            step.step.positions = beyond.data_ptr()
        run(self, level, plan, step, *used, beyond)

    core = engine(model_dir, "on", strict=False)
    monkeypatch.setattr(CpuQueue, "run", fails_once)
    assert said(core, calls) == expected
    assert core.stats()["retractions"] == 4


def test_an_engine_that_goes_away_waits_for_its_step(model_dir: str) -> None:
    core = engine(model_dir, "on")
    for sid in range(4):
        core.submit(call(sid, 40))
    for _ in range(4):
        core.step()
    device = core.runner.device
    queue = device._queue  # type: ignore[attr-defined]
    assert queue.mark() > queue._done
    queue.close()
    assert not queue.close.alive
