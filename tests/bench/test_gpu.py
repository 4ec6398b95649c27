"""bench.gpu without a GPU: its harness on tiny sizes, and what it says where there is none."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.gpu import __main__ as command
from bench.gpu.attention import AttentionBench, Sizes
from bench.gpu.bounds import offline_s
from bench.gpu.checks import _Checks
from bench.gpu.experts import ExpertsBench, Shape
from bench.gpu.host import host_steps
from bench.gpu.limits import Limits, measure_limits
from bench.gpu.model_steps import Steps, decode_steps, that_fit
from bench.gpu.shapes import QWEN3_06B, TINY, build
from bench.gpu.steps import separate, shared
from bench.gpu.throughput import make_requests, offline
from bench.gpu.tuning import sweep, tiles_of, timed_experts
from bench.report import Report
from branchline.runtime.device.base import Kernels
from branchline.runtime.device.cpu import TORCH_KERNELS, CpuDevice
from branchline.runtime.kernels.torch_attention import TorchAttention
from branchline.runtime.kernels.triton import tiles
from branchline.runtime.kernels.triton.moe import Tile
from branchline.runtime.kernels.triton.ops import TritonOps

no_gpu = pytest.mark.skipif(torch.accelerator.is_available(), reason="a GPU is there")
LIMITS = Limits(bytes_per_s=1e9, flops_per_s=1e9)


def ran(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench.gpu", *options])
    return command.main()


@no_gpu
def test_without_a_gpu_one_line_says_so_and_the_status_is_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert ran(monkeypatch, "--all", "--out", str(tmp_path / "out")) == 2
    assert capsys.readouterr().out.splitlines() == [command.NO_GPU]
    assert not (tmp_path / "out").exists()


def test_a_part_that_fails_is_told_and_the_others_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def breaks(run: command.Run) -> None:
        raise RuntimeError("no memory")

    def works(run: command.Run) -> None:
        run.report.add("speed", 2.0, "x", goal=1.0)

    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(command, "_free_memory", lambda: None)
    monkeypatch.setattr(command, "PARTS", {"kernels": (breaks, 0), "steps": (works, 0)})
    assert ran(monkeypatch, "--all", "--out", str(tmp_path)) == 1
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["failures"] == ["kernels: RuntimeError: no memory"]
    assert [row["metric"] for row in found["rows"]] == ["speed"]
    assert "FAILED kernels: RuntimeError: no memory" in capsys.readouterr().out


def test_no_part_begins_that_is_planned_to_take_more_than_there_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(command, "_free_memory", lambda: None)
    adds = {name: lambda run, name=name: run.report.add(name, 1.0, "") for name in ("a", "b")}
    monkeypatch.setattr(command, "PARTS", {"a": (adds["a"], 1e6), "b": (adds["b"], 0)})
    assert ran(monkeypatch, "--all", "--out", str(tmp_path), "--minutes", "1000") == 1
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert [row["metric"] for row in found["rows"]] == ["b"]
    assert found["failures"] == ["a: no time was left"]
    assert list(found["part_seconds"]) == ["b"]


def test_a_run_is_planned_for_less_than_its_time() -> None:
    assert sum(planned for _, planned in command.PARTS.values()) < 60 * 7.75
    assert 60 * 7.75 + command._GRACE_S < 60 * 8


def test_a_run_that_is_cut_leaves_what_it_had(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    run = command.Run(tmp_path, 1.0)
    run.report.add("speed", 2.0, "x", goal=3.0)
    run.part = "steps"
    run.cut()
    assert ended == [1]
    assert json.loads((tmp_path / "gpu.json").read_text())["failures"] == [
        "steps: did not end in time"
    ]
    assert "speed\t2 x\tgoal 3, MISSED" in (tmp_path / "gpu.txt").read_text()


def test_the_parts_that_need_msgspec_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    run = command.Run(None, 60.0)
    for name in ("sampling", "offline"):
        with pytest.raises(RuntimeError, match=r"pip install --target DIR .* msgspec"):
            command.PARTS[name][0](run)


def test_the_host_alone_is_not_timed_without_msgspec(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    assert ran(monkeypatch, "--host") == 1
    assert capsys.readouterr().out.startswith("bench.gpu: msgspec is not installed")


def test_the_least_time_of_many_requests_is_that_of_reading_and_multiplying() -> None:
    config = replace(QWEN3_06B, tie_word_embeddings=True)
    limits = Limits(bytes_per_s=1e9, flops_per_s=1e12)
    # Three tokens behind a prompt of two: the second and the third read what is before them.
    keys = (2 + 1) + (2 + 2) + (5 + 1)
    read = keys * 2 * 28 * 8 * 128 * 2 + 2 * 2 * config.num_parameters
    least = read / 1e9 + 2 * config.num_parameters * (2 + 5) / 1e12
    requests = [([1, 2], 3), ([1, 2, 3, 4, 5], 2)]
    assert offline_s(config, requests, limits) == pytest.approx(least)


def test_every_goal_allows_more_than_the_least_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(monkeypatch, "--bounds") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 7
    assert "MISSED" not in "".join(lines)


def test_the_host_s_part_of_a_step_is_timed_without_a_gpu() -> None:
    report, config = Report("gpu"), replace(QWEN3_06B, vocab_size=400)
    host_steps(config, make_requests(config, 4, 3, 30), report)
    assert [row.metric for row in report.rows] == ["host's step, 4 sequences", "host alone, output"]
    assert all(row.value > 0 for row in report.rows)


def test_checks_and_timings_of_kernels_and_models_need_no_more_than_torch_and_triton() -> None:
    """A GPU that is lent for an hour comes with torch, triton and transformers."""
    script = """
import importlib, sys

MISSING = ("msgspec", "zmq", "pydantic", "xgrammar", "jsonschema", "rich")

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ImportError(name)

sys.meta_path.insert(0, Missing())
for name in (
    "__main__", "checks", "attention", "layers", "limits", "model_steps", "experts", "tuning"
):
    importlib.import_module("bench.gpu." + name)
for name in ("attention", "ops", "rope"):
    importlib.import_module("branchline.runtime.kernels.triton." + name)
importlib.import_module("branchline.runtime.device.select")
"""
    root = Path(command.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_sequences_that_share_nothing_have_slots_of_their_own() -> None:
    slots = np.concatenate(separate(5, 21, first=3))
    assert sorted(slots.tolist()) == list(range(3, 3 + 5 * 21))


def test_sequences_share_their_trunk_and_nothing_else() -> None:
    slots = shared(4, 30, 7)
    assert all(own[:30].tolist() == list(range(30)) for own in slots)
    tails = np.concatenate([own[30:] for own in slots])
    assert sorted(tails.tolist()) == list(range(30, 30 + 4 * 7))


def test_limits_are_measured_on_any_device() -> None:
    limits = measure_limits(CpuDevice(), copied=2**20, side=64)
    assert limits.bytes_per_s > 0
    assert limits.flops_per_s > 0


def test_every_attention_figure_has_a_bound_beside_it() -> None:
    report = Report("gpu")
    sizes = Sizes(((2, 64), (16, 4096)), ((3, 40, 5),), (48,), (4, 2, 16), torch.float32)
    AttentionBench(CpuDevice(), report, LIMITS, sizes, TORCH_KERNELS).run()
    assert [(row.metric, row.goal) for row in report.rows] == [
        ("decode attention, 2 x 64", None),
        ("decode attention, 16 x 4096", 0.85),
        ("tree decode, 3 sharing 40", 0.98),
        ("extend attention, 48 new", None),
    ]
    assert all(row.value > 0 for row in report.rows)


def test_whole_steps_are_timed_against_their_bytes() -> None:
    report = Report("gpu")
    built = build(TINY, CpuDevice(), torch.float32, num_slots=100, kernels=TORCH_KERNELS)
    matrices = 2 * 64 * 16 * (4 + 2) + 3 * 64 * 96
    head_and_norms = 500 * 64 + 64 + 2 * 2 * 64
    assert built.weight_bytes == 4 * (2 * matrices + head_and_norms)
    decode_steps(built, LIMITS, report, "tiny", Steps(3, 20, 8, None))
    (row,) = report.rows
    assert row.metric == "tiny step, 3 x 20"
    assert row.value > 0


def test_steps_are_of_as_many_sequences_as_there_is_memory_for() -> None:
    wanted = Steps(256, 1500, 36, 0.7)
    slot_bytes = 2 * 2 * 2 * 16 * 4
    of_one = slot_bytes * 1536

    def fitting(num_bytes: int) -> tuple[int, float | None]:
        found = that_fit(wanted, TINY, torch.float32, num_bytes)
        return found.count, found.goal

    assert fitting(256 * of_one) == (256, 0.7)
    assert fitting(255 * of_one) == (240, None)
    assert fitting(3 * of_one + 1) == (3, None)
    with pytest.raises(RuntimeError, match="hold no sequence"):
        fitting(of_one - 1)


def tiny_experts(report: Report) -> tuple[ExpertsBench, Shape]:
    ops, dtype = TritonOps(), torch.float32
    bench = ExpertsBench(CpuDevice(), report, LIMITS, ops=ops, dtype=dtype, repeats=1)
    return bench, Shape("tiny", 4, 2, 32, 20)


def test_experts_are_timed_against_their_weights_and_products() -> None:
    report = Report("gpu")
    bench, shape = tiny_experts(report)
    bench.measure(shape, "none", bench.experts(shape, "none"), tokens=1)
    (row,) = report.rows
    assert row.metric == "tiny's experts, bfloat16, 1 tokens"
    assert row.value > 0
    assert f"{2 * 3 * 32 * 20 * 4 / 1e6:.2f} MB" in row.detail


def test_experts_are_timed_by_any_tile() -> None:
    run = timed_experts(*tiny_experts(Report("gpu")), tokens=1)
    assert run(Tile(rows=16, columns=32)) > 0


def test_a_sweep_tells_the_quickest_choice_that_fits() -> None:
    seconds: dict[str | None, float] = {None: 6.0, "slower": 7.0, "quick": 2.0, "quicker": 1.5}
    report = Report("gpu")
    # "too large" is not among them: it raises.
    sweep("tiles", report, math.inf, seconds.__getitem__, ["slower", "too large", "quick"])
    sweep("tiles", report, -math.inf, seconds.__getitem__, ["quicker"])
    assert [(row.value, row.detail) for row in report.rows] == [
        (3.0, "best of 2: quick, 2000000 us"),
        (1.0, "best of 0: the usual one, 6000000 us"),
    ]


def test_attention_is_computed_in_other_tiles_only_while_that_is_asked_for() -> None:
    usual = tiles.tile_options
    with tiles_of({"BLOCK_N": 128}):
        assert tiles.tile_options(16, 64, torch.bfloat16) == {"BLOCK_N": 128}
    assert tiles.tile_options is usual


def test_all_requests_are_answered_to_their_lengths() -> None:
    """`offline` raises unless as many tokens came as were asked for."""
    config = replace(QWEN3_06B, vocab_size=400, hidden_size=32, intermediate_size=48, num_layers=2)
    config = replace(config, num_heads=4, num_kv_heads=2, head_dim=8, layer_windows=(None,) * 2)
    report = Report("gpu")
    requests = make_requests(config, 5, 3, 20)
    offline(CpuDevice(), config, report, requests, goal=None, least_s=0.5)
    assert report.rows[0].metric == "offline, 5 requests"
    assert report.rows[0].value > 0


@pytest.mark.nightly
def test_transformers_answers_the_same_requests_beside_us(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.generation.continuous_batching import cache

    # It sizes its cache by a GPU's memory, in units that releases name differently.
    handler = cache.PagedAttentionMemoryHandler
    (sizes,) = (name for name in vars(handler) if name.startswith("infer_max_batch_tokens"))
    monkeypatch.setattr(handler, sizes, lambda self: (256, 64))
    config = replace(QWEN3_06B, vocab_size=400, hidden_size=32, intermediate_size=48, num_layers=2)
    config = replace(config, num_heads=4, num_kv_heads=2, head_dim=8, layer_windows=(None,) * 2)
    report = Report("gpu")
    requests = make_requests(config, 5, 3, 20)
    offline(CpuDevice(), config, report, requests, goal=None, peer_s=120.0)
    assert [row.unit for row in report.rows] == ["output tokens/s", "x continuous batching"]


class Forgetful(TorchAttention):
    """Attention that leaves out what a step stored."""

    def store_kv(self, *arguments: Any) -> None:
        pass


@pytest.mark.parametrize(("attention", "passes"), [(TorchAttention, True), (Forgetful, False)])
def test_checks_see_an_attention_that_is_wrong(attention: Any, passes: bool) -> None:
    checks = _Checks(CpuDevice(), Kernels("to be checked", attention), small=True)
    errors = [
        checks.attention((4, 2, 16), separate(3, 40), 1, None),
        checks.attention((4, 2, 16), shared(3, 30, 4), 1, 9),
        checks.attention((4, 2, 16), separate(2, 40), 12, None),
    ]
    assert [error <= checks.allowed for error in errors] == [passes] * 3
