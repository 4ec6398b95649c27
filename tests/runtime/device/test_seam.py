"""The engine reaches its device through runtime/device only, and answers the same on another."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from second_device import NAME, Machine, SecondDevice, SecondTensor

from branchline.runtime.device.base import Device
from branchline.runtime.device.cpu import CpuDevice
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine.runner import ModelRunner
from branchline.runtime.engine_protocol import Submit
from branchline.runtime.kernels.torch_attention import TorchAttention
from branchline.runtime.models.errors import ModelLoadError
from branchline.runtime.protocol import LogprobParams, Regex, SamplingParams

RUNTIME = Path(__file__).parents[3] / "runtime"
VENDORS = re.compile(r"torch\.(cuda|xpu|npu|mps)\b|\.cuda\(|torch_npu")
# The embedded model's training is a script of its own and not part of the engine.
OUTSIDE = (RUNTIME / "device", RUNTIME / "models" / "embedded")


def vendors_named(source: str) -> list[str]:
    return [match.group() for match in VENDORS.finditer(source)]


def test_nothing_but_the_device_folder_names_a_vendors_part_of_torch() -> None:
    sources = [p for p in RUNTIME.rglob("*.py") if not any(p.is_relative_to(o) for o in OUTSIDE)]
    assert len(sources) > 150
    found = {str(path.relative_to(RUNTIME)): vendors_named(path.read_text()) for path in sources}
    assert {path: names for path, names in found.items() if names} == {}


def test_nothing_but_the_device_folder_and_its_kernels_ask_what_make_a_tensor_is_of() -> None:
    asks = re.compile(r"\bis_cuda\b|\.type\s*[!=]=\s*\"(cuda|xpu|npu|mps)\"")
    allowed = (*OUTSIDE, RUNTIME / "kernels" / "triton")
    sources = [p for p in RUNTIME.rglob("*.py") if not any(p.is_relative_to(o) for o in allowed)]
    assert [str(path) for path in sources if asks.search(path.read_text())] == []


@pytest.mark.parametrize(
    "source",
    ["torch.cuda.synchronize()", "x.cuda()", "torch.xpu"],
)
def test_the_gate_sees_vendors(source: str) -> None:
    assert vendors_named(source)


def test_a_cpu_computes_soft_caps_by_torch_and_never_deterministically() -> None:
    device = CpuDevice()
    capped = device.kernels("auto", "none", torch.float32).attention(4, 2, 8, 50.0)
    assert isinstance(capped, TorchAttention)
    assert capped.soft_cap == 50.0
    fixed = device.deterministic_kernels("auto", "none", torch.float32)
    with pytest.raises(ModelLoadError, match="no soft caps"):
        fixed.attention(4, 2, 8, 50.0)


def test_a_cpu_leaves_more_than_64_heads_of_queries_for_one_of_keys_to_torch() -> None:
    device = CpuDevice()
    attention = device.kernels("auto", "none", torch.float32).attention
    assert isinstance(attention(65, 1, 8, None), TorchAttention)
    assert not isinstance(attention(64, 1, 8, None), TorchAttention)
    fixed = device.deterministic_kernels("auto", "none", torch.float32)
    with pytest.raises(ModelLoadError, match="no more than 64 heads of queries"):
        fixed.attention(65, 1, 8, None)


def test_the_host_cannot_mix_its_tensors_with_the_second_devices() -> None:
    with pytest.raises(RuntimeError, match="same device"):
        torch.ones(2, device=NAME) + torch.ones(2)


def test_the_host_waits_when_it_reads_from_the_second_device() -> None:
    Machine.waits.clear()
    assert torch.ones(2, device=NAME).sum().item() == 2
    assert len(Machine.waits) == 1


def answers(model_dir: str, device: Device) -> dict[int, tuple[list[int], list[float]]]:
    """Tokens and log probabilities of sequences of all kinds, by their number."""
    config = EngineConfig(
        model_dir, dtype="float32", attention_backend="torch", kv_slots=400, grammar_timeout_s=100.0
    )
    core = EngineCore(config, ModelRunner(config, device), strict=True)
    shared = list(range(5, 40))
    commands = [
        Submit(1, [*shared, 3], SamplingParams(max_new_tokens=12, temperature=0.0)),
        Submit(2, [*shared, 4], SamplingParams(max_new_tokens=9, temperature=0.9, seed=5)),
        Submit(3, shared[:7], SamplingParams(max_new_tokens=9, top_k=5, top_p=0.9, seed=6)),
        Submit(
            4,
            [9, 9, 8],
            SamplingParams(max_new_tokens=8, frequency_penalty=0.7, temperature=0.0),
            logprobs=LogprobParams(top=2, prompt_start=0),
        ),
        Submit(
            5,
            shared[3:20],
            SamplingParams(max_new_tokens=7, min_new_tokens=7, logit_bias={4: 2.0}, min_p=0.05),
        ),
        Submit(6, shared, SamplingParams(max_new_tokens=9), Regex("[ab]{3}[0-9]{4,}")),
    ]
    for command in commands:
        core.submit(command)
    made: dict[int, tuple[list[int], list[float]]] = {c.sid: ([], []) for c in commands}
    while core.has_work:
        events = core.step()
        assert not events.failed
        for progress in events.progress:
            made[progress.sid][0].extend(progress.token_ids)
            logprobs = (progress.prompt_logprobs or []) + (progress.logprobs or [])
            made[progress.sid][1].extend(each.logprob or 0.0 for each in logprobs)
    core.check()
    return made


def test_the_engine_answers_the_same_on_the_second_device(model_dir: str) -> None:
    ours, theirs = answers(model_dir, CpuDevice()), answers(model_dir, SecondDevice())
    assert {sid: ids for sid, (ids, _) in theirs.items()} == {
        sid: ids for sid, (ids, _) in ours.items()
    }
    for sid, (_, logprobs) in theirs.items():
        assert logprobs == pytest.approx(ours[sid][1], abs=1e-4)


def test_memory_is_shared_out_by_what_the_second_device_has_free(model_dir: str) -> None:
    config = EngineConfig(model_dir, attention_backend="torch", kv_memory_fraction=0.25)
    runner = ModelRunner(config, SecondDevice())
    weights = (Path(model_dir) / "model.safetensors").stat().st_size
    slot_bytes = 2 * 2 * 2 * 8 * 4
    assert runner.num_slots == int((2_000_000 - weights) * 0.25) // slot_bytes


def test_arrays_are_put_in_one_copy_and_come_out_as_they_were() -> None:
    arrays = [np.arange(3), np.arange(0), np.array([7, 9])]
    ours = SecondDevice().put(arrays)
    assert [tensor.tolist() for tensor in ours] == [array.tolist() for array in arrays]
    assert len({tensor.inside.untyped_storage().data_ptr() for tensor in ours}) == 1  # type: ignore[attr-defined]


def test_weights_and_kv_live_on_the_second_device(model_dir: str) -> None:
    config = EngineConfig(model_dir, dtype="float32", attention_backend="torch", kv_slots=40)
    runner = ModelRunner(config, SecondDevice())
    assert isinstance(runner.kv_pool.layers[0].heads, SecondTensor)
    assert isinstance(runner.model.norm.weight, SecondTensor)
