"""Steps that are queued before the tokens of the step before are read, on a device that notes the
order of things."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from second_device import Machine, SecondDevice, SecondSampler

from branchline.runtime.device.base import Device
from branchline.runtime.device.cpu import CpuDevice
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine.runner import ModelRunner
from branchline.runtime.engine_protocol import NextCall, Submit
from branchline.runtime.protocol import LogprobParams, Regex, SamplingParams


def engine(model_dir: str, device: Device, **settings: object) -> EngineCore:
    options: dict[str, object] = {"kv_slots": 400, "speculation": "off", **settings}
    config = EngineConfig(
        model_dir,
        dtype="float32",
        attention_backend="torch",
        grammar_timeout_s=100.0,
        **options,  # type: ignore[arg-type]
    )
    return EngineCore(config, ModelRunner(config, device), strict=True)


def greedy(sid: int, prompt: list[int], count: int, constraint: Regex | None = None) -> Submit:
    sampling = SamplingParams(max_new_tokens=count, temperature=0.0, ignore_eos=constraint is None)
    return Submit(sid, prompt, sampling, constraint)


def finish(core: EngineCore) -> dict[int, list[int]]:
    """The tokens of all sequences, once all have ended."""
    made: dict[int, list[int]] = {}
    while core.has_work:
        events = core.step()
        assert not events.failed
        for progress in events.progress:
            made.setdefault(progress.sid, []).extend(progress.token_ids)
    core.check()
    return made


def compile_all(core: EngineCore) -> None:
    """No sequence runs before the others' grammars are there."""
    while core.stats()["compiling"]:
        core._receive_grammars()


PROMPTS = [[5 + i, 9, 30 + i, 7] for i in range(4)]


def test_the_next_step_is_queued_before_the_tokens_are_read(model_dir: str) -> None:
    device = SecondDevice()
    core = engine(model_dir, device)
    for sid, prompt in enumerate(PROMPTS):
        core.submit(greedy(sid, prompt, 12))
    for _ in range(4):
        core.step()
    device.events.clear()
    Machine.waits.clear()
    for _ in range(3):
        core.step()
    assert device.events == ["fetch", "replay", "wait"] * 3
    assert Machine.waits == []


def test_nothing_but_token_ids_comes_back_to_the_host(
    model_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, fetched = SecondDevice(), []
    fetch = device.fetch

    def noted(tensor: torch.Tensor) -> object:
        fetched.append((tensor.dtype, tuple(tensor.shape)))
        return fetch(tensor)

    core = engine(model_dir, device)
    for sid, prompt in enumerate(PROMPTS):
        sampling = SamplingParams(max_new_tokens=12, seed=sid, top_p=0.9, repetition_penalty=1.2)
        core.submit(Submit(sid, prompt, sampling, Regex("[a-z]{3,}") if sid % 2 else None))
    compile_all(core)
    for _ in range(4):
        core.step()
    monkeypatch.setattr(device, "fetch", noted)
    Machine.waits.clear()
    for _ in range(3):
        core.step()
    assert fetched == [(torch.int64, (4,))] * 3
    assert Machine.waits == []


def test_steps_under_grammars_are_replayed_as_those_without(model_dir: str) -> None:
    device = SecondDevice()
    core = engine(model_dir, device)
    for sid, prompt in enumerate(PROMPTS):
        core.submit(greedy(sid, prompt, 14, Regex("[a-m]{3,}" if sid % 2 else "[n-z]{3,}")))
    compile_all(core)
    for _ in range(4):
        core.step()
    device.events.clear()
    captures = device.num_captures
    for _ in range(4):
        core.step()
    assert device.events == ["fetch", "replay", "wait"] * 4
    assert device.num_captures == captures


def test_sequences_of_different_lengths_end_as_they_do_on_the_cpu(model_dir: str) -> None:
    made = []
    for device in (SecondDevice(), CpuDevice()):
        core = engine(model_dir, device)
        for sid, prompt in enumerate(PROMPTS):
            core.submit(greedy(sid, prompt, 3 + 4 * sid))
        made.append(finish(core))
        assert core.allocator.num_free + core.cache.num_tokens == 400
    assert made[0] == made[1]
    assert [len(made[0][sid]) for sid in range(4)] == [3, 7, 11, 15]


def test_constrained_and_random_sequences_run_ahead_beside_free_ones(model_dir: str) -> None:
    made = []
    for device in (SecondDevice(), CpuDevice()):
        core = engine(model_dir, device)
        core.submit(greedy(1, PROMPTS[0], 14, Regex("[a-z]{3,9}[0-9]{4,}")))
        core.submit(greedy(2, PROMPTS[1], 14))
        sampling = SamplingParams(max_new_tokens=14, seed=4, presence_penalty=0.5, top_p=0.9)
        core.submit(Submit(3, PROMPTS[2], sampling))
        made.append(finish(core))
        if device.is_asynchronous:
            assert core.stats()["steps_ahead"] > 5
    assert made[0] == made[1]


def test_log_probabilities_are_computed_ahead_and_are_those_of_the_cpu(model_dir: str) -> None:
    made = []
    for device in (SecondDevice(), CpuDevice()):
        core = engine(model_dir, device)
        for sid, prompt in enumerate(PROMPTS):
            wanted = LogprobParams(top=sid) if sid < 3 else None
            core.submit(replace(greedy(sid, prompt, 10), logprobs=wanted))
        said: dict[int, list[tuple[int, float, list[int]]]] = {}
        while core.has_work:
            if device.is_asynchronous and core.stats()["steps_ahead"] == 3:
                Machine.waits.clear()
            if device.is_asynchronous and core.stats()["steps_ahead"] == 6:
                assert Machine.waits == []
            for progress in core.step().progress:
                said.setdefault(progress.sid, []).extend(
                    (each.token_id, round(each.logprob or 0.0, 3), [id for _, id, _ in each.top])
                    for each in progress.logprobs or []
                )
        if device.is_asynchronous:
            assert core.stats()["steps_ahead"] > 6
        made.append(said)
    assert made[0] == made[1]
    assert [len(made[0][sid]) for sid in range(4)] == [10, 10, 10, 0]


def test_a_sequence_that_is_dropped_leaves_no_slot_behind(model_dir: str) -> None:
    core = engine(model_dir, SecondDevice())
    for sid, prompt in enumerate(PROMPTS):
        core.submit(greedy(sid, prompt, 12))
    for _ in range(4):
        core.step()
    core.drop(2)
    made = finish(core)
    alone = engine(model_dir, CpuDevice())
    alone.submit(greedy(1, PROMPTS[1], 12))
    assert finish(alone)[1][-len(made[1]) :] == made[1]
    assert core.allocator.num_free + core.cache.num_tokens == 400


def test_calls_that_go_on_while_others_run_ahead_say_what_they_say_on_the_cpu(
    model_dir: str,
) -> None:
    made = []
    for device in (SecondDevice(), CpuDevice()):
        core = engine(model_dir, device)
        for sid, prompt in enumerate(PROMPTS):
            call = greedy(sid, prompt, 4 + 2 * sid)
            then = [NextCall([11, 12], call.sampling), NextCall([13], call.sampling)]
            core.submit(replace(call, then=then))
        made.append(finish(core))
        assert core.allocator.num_free + core.cache.num_tokens == 400
    assert made[0] == made[1]
    assert [len(made[0][sid]) for sid in range(4)] == [12, 18, 24, 30]


def test_a_newcomer_is_admitted_and_changes_nothing_for_the_others(model_dir: str) -> None:
    made = []
    for device in (SecondDevice(), CpuDevice()):
        core = engine(model_dir, device)
        core.submit(greedy(0, PROMPTS[0], 20))
        early: list[int] = []
        for _ in range(6):
            for progress in core.step().progress:
                early += progress.token_ids
        core.submit(greedy(1, PROMPTS[1], 9))
        rest = finish(core)
        made.append((early + rest[0], rest[1]))
    assert made[0] == made[1]


@pytest.mark.parametrize("draws", [True, False])
def test_a_pool_that_is_too_small_for_all_retracts_as_on_the_cpu(
    model_dir: str, draws: bool
) -> None:
    made = []
    for device in (SecondDevice(draws=draws), CpuDevice()):
        core = engine(model_dir, device, kv_slots=48)
        for sid, prompt in enumerate(PROMPTS):
            core.submit(greedy(sid, prompt, 30))
        made.append(finish(core))
    assert made[0] == made[1]


def test_a_step_that_cannot_run_ahead_runs_when_it_is_scheduled(
    model_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = engine(model_dir, SecondDevice())
    runner = core.runner
    forward, failures = runner.forward, []

    def fails_ahead(batch):  # type: ignore[no-untyped-def]
        if not failures and len(batch.query_lens) == len(PROMPTS) == len(batch.token_ids):
            failures.append(batch)
            raise RuntimeError("no memory for a step ahead")
        return forward(batch)

    monkeypatch.setattr(runner, "forward", fails_ahead)
    for sid, prompt in enumerate(PROMPTS):
        core.submit(greedy(sid, prompt, 10))
    made = finish(core)
    plain = engine(model_dir, CpuDevice())
    for sid, prompt in enumerate(PROMPTS):
        plain.submit(greedy(sid, prompt, 10))
    assert failures
    assert made == finish(plain)


def test_a_sequence_whose_token_cannot_be_drawn_fails_alone(
    model_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = engine(model_dir, SecondDevice())
    launch, num_launches = SecondSampler.launch, 0

    def fails_once(self: SecondSampler, logits: torch.Tensor, /) -> torch.Tensor:
        nonlocal num_launches
        num_launches += 1
        drawn = launch(self, logits)
        if num_launches == 4:
            drawn[1] = -2
        return drawn

    monkeypatch.setattr(SecondSampler, "launch", fails_once)
    for sid, prompt in enumerate(PROMPTS):
        core.submit(greedy(sid, prompt, 10))
    failed, made = [], dict[int, list[int]]()
    while core.has_work:
        events = core.step()
        failed += [failure.sid for failure in events.failed]
        for progress in events.progress:
            made.setdefault(progress.sid, []).extend(progress.token_ids)
    core.check()
    plain = engine(model_dir, CpuDevice())
    for sid, prompt in enumerate(PROMPTS):
        plain.submit(greedy(sid, prompt, 10))
    expected = finish(plain)
    assert failed == [1]
    assert made == {**expected, 1: expected[1][:3]}


def test_what_is_read_late_is_what_was_drawn() -> None:
    device = SecondDevice()
    (drawn,) = device.put([np.array([4, 5])])
    read = device.fetch(drawn)
    drawn.zero_()
    assert read().tolist() == [4, 5]
