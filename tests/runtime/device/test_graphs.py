"""Captured decode steps against computed ones, on a device whose replays run no Python."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from second_device import Machine, SecondDevice

from branchline.runtime.device.cpu import CpuDevice
from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.graphs import DecodeGraphs, key_bucket, sequence_bucket
from branchline.runtime.engine.runner import ModelRunner

SLOTS = 300


def runner(model_dir: str, device: SecondDevice | CpuDevice) -> ModelRunner:
    config = EngineConfig(model_dir, dtype="float32", attention_backend="torch", kv_slots=SLOTS)
    return ModelRunner(config, device)


def step(
    device: SecondDevice | CpuDevice, token_ids: list[int], contexts: list[list[int]]
) -> ForwardBatch:
    """Every sequence decodes one token; contexts: its slots, the new one last."""
    count = len(token_ids)
    ids, positions, new_slots, rows, *slots = device.put(
        [
            np.array(token_ids, np.int64),
            np.array([len(context) - 1 for context in contexts], np.int64),
            np.array([context[-1] for context in contexts], np.int64),
            np.arange(count),
            *[np.array(context, np.int64) for context in contexts],
        ]
    )
    return ForwardBatch(ids, positions, new_slots, [1] * count, slots, rows)


def graphs_of(runner: ModelRunner) -> DecodeGraphs:
    assert runner.graphs is not None
    return runner.graphs


@pytest.mark.parametrize("seed", range(3))
def test_replayed_steps_give_the_logits_of_computed_ones(model_dir: str, seed: int) -> None:
    """Sequences come, grow and go; the same steps are computed on the CPU without any capture."""
    rng = random.Random(seed)
    captured, plain = runner(model_dir, SecondDevice()), runner(model_dir, CpuDevice())
    free = rng.sample(range(SLOTS), SLOTS)
    contexts: list[list[int]] = []
    for _ in range(25):
        while len(contexts) < 11 and rng.random() < 0.4:
            contexts.append([])
        contexts = [context for context in contexts if rng.random() < 0.95] or [[]]
        for context in contexts:
            context.append(free.pop())
        token_ids = [rng.randrange(200) for _ in contexts]
        ours = captured.forward(step(captured.device, token_ids, contexts))  # type: ignore[arg-type]
        theirs = plain.forward(step(plain.device, token_ids, contexts))  # type: ignore[arg-type]
        torch.testing.assert_close(ours.cpu(), theirs, atol=1e-4, rtol=1e-4)
    graphs = graphs_of(captured)
    assert graphs.num_replays == 25
    assert graphs.num_captures == captured.device.num_captures <= 5  # type: ignore[attr-defined]


def test_rows_that_fill_a_step_touch_no_slot_of_a_sequence(model_dir: str) -> None:
    device = SecondDevice()
    captured = runner(model_dir, device)
    captured.forward(step(device, [5, 6, 7, 8], [[0], [1], [2], [3]]))
    before = captured.read_kv(np.arange(SLOTS))
    captured.forward(step(device, [9, 9, 9], [[0, 10], [1, 11], [2, 12]]))
    after = captured.read_kv(np.arange(SLOTS))
    for layer, kv in before.items():
        changed = (after[layer] != kv).any(-1).any(0).nonzero().squeeze(1).tolist()
        assert changed == [10, 11, 12]


def test_captures_of_all_sizes_leave_their_logits_in_one_place(model_dir: str) -> None:
    device = SecondDevice()
    captured = runner(model_dir, device)
    places = set()
    for count in (3, 1, 2, 4):
        slots = [[i] for i in range(count)]
        logits = captured.forward(step(device, [5] * count, slots))
        places.add(logits.inside.untyped_storage().data_ptr())  # type: ignore[attr-defined]
    assert (graphs_of(captured).num_captures, len(places)) == (3, 1)


def test_a_replay_makes_the_host_wait_for_nothing(model_dir: str) -> None:
    device = SecondDevice()
    captured = runner(model_dir, device)
    captured.forward(step(device, [5, 6], [[0], [1]]))
    batch = step(device, [7, 8], [[0, 2], [1, 3]])
    Machine.waits.clear()
    captured.forward(batch)
    assert (device.events, Machine.waits) == (["replay", "replay"], [])


def test_a_step_with_a_prompt_is_computed(model_dir: str) -> None:
    device = SecondDevice()
    captured = runner(model_dir, device)
    ids, rows = device.put([np.arange(3), np.array([2])])
    captured.forward(ForwardBatch(ids, ids, ids, [3], [ids], rows))
    assert (graphs_of(captured).num_captures, device.events) == (0, [])


def test_a_model_that_cannot_be_captured_is_computed(
    model_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = SecondDevice()
    captured, plain = runner(model_dir, device), runner(model_dir, CpuDevice())
    norm = captured.model.norm

    def waits(x: torch.Tensor) -> torch.Tensor:
        assert x.sum().item() < 1e9
        return norm(x)

    monkeypatch.setattr(captured.model, "norm", waits)
    for _ in range(2):
        ours = captured.forward(step(device, [5], [[0]]))
        theirs = plain.forward(step(CpuDevice(), [5], [[0]]))
        torch.testing.assert_close(ours.cpu(), theirs, atol=1e-4, rtol=1e-4)
    assert (device.num_captures, graphs_of(captured).num_captures) == (1, 0)


def test_buckets_hold_what_is_put_into_them() -> None:
    for count in range(1, 513):
        bucket = sequence_bucket(count)
        assert count <= bucket <= max(count + 7, count * 9 / 8)
    assert [key_bucket(longest) for longest in (1, 512, 513)] == [512, 512, 1024]
