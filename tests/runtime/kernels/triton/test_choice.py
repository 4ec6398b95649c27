"""When the engine computes attention in Triton, and that a model does so with it."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from branchline.runtime.device.base import Kernels
from branchline.runtime.device.cpu import CpuDevice
from branchline.runtime.device.cuda import CudaDevice
from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.runner import ModelRunner
from branchline.runtime.kernels.torch_attention import TorchAttention
from branchline.runtime.kernels.triton.attention import TritonAttention
from branchline.runtime.kernels.triton.ops import TritonOps
from branchline.runtime.kernels.triton.work import Machine
from branchline.runtime.models.errors import ModelLoadError


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> CudaDevice:
    """A GPU of 132 processors, as far as choosing kernels asks."""
    facts = SimpleNamespace(multi_processor_count=132)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: facts)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    gpu = CudaDevice.__new__(CudaDevice)
    gpu.torch_device = torch.device("cuda", 0)
    return gpu


@pytest.fixture
def no_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


@pytest.mark.parametrize("backend", ["auto", "triton"])
def test_a_gpu_gets_triton(gpu: CudaDevice, backend: str) -> None:
    attention = gpu.kernels(backend, "none", torch.bfloat16).attention(32, 8, 128, None)
    assert isinstance(attention, TritonAttention)
    assert attention.machine == Machine(32, 8, 128, processors=132)


def test_a_gpu_that_has_no_float8_takes_none_for_keys_and_values(
    gpu: CudaDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert torch.float8_e4m3fn in gpu.kernels("auto", "none", torch.bfloat16).kv_dtypes
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert not gpu.kernels("auto", "none", torch.bfloat16).kv_dtypes


def test_in_the_deterministic_mode_a_gpu_gets_triton_that_divides_in_one_way(
    gpu: CudaDevice,
) -> None:
    kernels = gpu.deterministic_kernels("auto", "none", torch.bfloat16)
    attention: Any = kernels.attention(32, 8, 128, 50.0)
    assert attention.soft_cap == 50.0
    assert attention.machine.fixed_split
    assert isinstance(kernels.ops, TritonOps)
    assert kernels.ops.deterministic
    assert kernels.description != gpu.kernels("auto", "none", torch.bfloat16).description


def test_torch_is_not_deterministic_on_a_gpu(gpu: CudaDevice) -> None:
    with pytest.raises(ModelLoadError, match="deterministic mode is done by Triton"):
        gpu.deterministic_kernels("torch", "none", torch.bfloat16)


@pytest.mark.usefixtures("no_triton")
def test_nothing_is_deterministic_on_a_gpu_without_triton(gpu: CudaDevice) -> None:
    with pytest.raises(ModelLoadError, match=r"branchline\[gpu\]"):
        gpu.deterministic_kernels("auto", "none", torch.bfloat16)


def test_torch_serves_a_gpu_when_asked_for(gpu: CudaDevice) -> None:
    attention = gpu.kernels("torch", "none", torch.bfloat16).attention(32, 8, 128, None)
    assert isinstance(attention, TorchAttention)


@pytest.mark.usefixtures("no_triton")
def test_without_triton_torch_serves_after_one_line(
    gpu: CudaDevice, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        attention = gpu.kernels("auto", "none", torch.bfloat16).attention(32, 8, 128, None)
    assert isinstance(attention, TorchAttention)
    assert "triton is not installed" in caplog.text


@pytest.mark.usefixtures("no_triton")
def test_triton_that_was_asked_for_and_is_not_there_is_an_error(gpu: CudaDevice) -> None:
    with pytest.raises(ModelLoadError, match=r"branchline\[gpu\]"):
        gpu.kernels("triton", "none", torch.bfloat16)


def test_triton_on_a_cpu_is_an_error() -> None:
    with pytest.raises(ModelLoadError, match="for GPUs"):
        CpuDevice().kernels("triton", "none", torch.float32)


class InterpretedDevice(CpuDevice):
    """A CPU whose kernels are Triton's, in its interpreter."""

    def kernels(self, backend: str, quantization: str, dtype: torch.dtype) -> Kernels:
        return self._triton(quantization, None)

    def deterministic_kernels(self, backend: str, quantization: str, dtype: torch.dtype) -> Kernels:
        return self._triton(quantization, 64)

    def _triton(self, quantization: str, split: int | None) -> Kernels:
        def attention(
            heads: int, kv_heads: int, head_dim: int, soft_cap: float | None
        ) -> TritonAttention:
            machine = Machine(heads, kv_heads, head_dim, processors=8, fixed_split=split)
            return TritonAttention(machine, soft_cap)

        ops = TritonOps(quantization, deterministic=split is not None)
        return Kernels("Triton", attention, ops, frozenset({torch.float8_e4m3fn}))


SHAPE: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}


@pytest.fixture(scope="module")
def model_dirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    one_layer = {**SHAPE, "num_hidden_layers": 1}
    experts = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
    caps = {"head_dim": 16, "sliding_window": 6, "attn_logit_softcapping": 0.1}
    models = {
        "Gemma2": Gemma2ForCausalLM(Gemma2Config(**one_layer, **caps)),
        "Llama": LlamaForCausalLM(LlamaConfig(**SHAPE)),
        "Mixtral": MixtralForCausalLM(MixtralConfig(**one_layer, num_local_experts=3)),
        "Qwen3Moe": Qwen3MoeForCausalLM(Qwen3MoeConfig(**one_layer, **experts)),
    }
    folders = {name: str(tmp_path_factory.mktemp(name)) for name in models}
    for name, model in models.items():
        model.save_pretrained(folders[name])
    return folders


@pytest.fixture
def model_dir(model_dirs: dict[str, str]) -> str:
    return model_dirs["Llama"]


@pytest.mark.parametrize("family", ["Gemma2", "Llama", "Mixtral", "Qwen3Moe"])
def test_a_model_gives_the_logits_that_it_gives_with_torch(
    model_dirs: dict[str, str], family: str, device: torch.device
) -> None:
    if device.type != "cpu":
        pytest.skip("this device's tensors are the interpreter's")
    config = EngineConfig(model_dirs[family], kv_slots=40, dtype="float32", device="cpu")
    plain = replace(config, attention_backend="torch")
    for expected, ours in zip(
        logits_of(ModelRunner(plain, CpuDevice())),
        logits_of(ModelRunner(config, InterpretedDevice())),
        strict=True,
    ):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


def test_rounded_experts_still_point_where_the_model_does(
    model_dirs: dict[str, str], device: torch.device
) -> None:
    if device.type != "cpu":
        pytest.skip("this device's tensors are the interpreter's")
    config = EngineConfig(model_dirs["Mixtral"], kv_slots=40, dtype="float32", device="cpu")
    rounded = replace(config, quantization="int4")
    step = step_of([np.arange(12)], [np.arange(12)])
    expected = ModelRunner(config, InterpretedDevice()).forward(step)
    ours = ModelRunner(rounded, InterpretedDevice()).forward(step)
    similarity = torch.cosine_similarity(ours, expected, dim=-1)
    assert 0.9 < similarity.median() < 1 - 1e-7


def test_in_the_deterministic_mode_company_and_cuts_change_no_bit_of_a_model(
    model_dirs: dict[str, str], device: torch.device
) -> None:
    """A sequence of 70 tokens alone and at once; and in pieces beside another, before one that has
    its beginning."""
    if device.type != "cpu":
        pytest.skip("this device's tensors are the interpreter's")
    config = EngineConfig(
        model_dirs["Mixtral"],
        kv_slots=200,
        dtype="float32",
        device="cpu",
        quantization="int8",
        deterministic=True,
    )
    runner = ModelRunner(config, InterpretedDevice())
    tokens, slots = np.arange(70) * 7 % 50, np.arange(70)
    expected = runner.forward(step_of([tokens], [slots]))
    found = []
    for begin, end in ((0, 66), (66, 69), (69, 70)):
        beside = [tokens[:end], tokens[::-1][:3]]
        step = step_of(beside, [slots[:end], np.arange(100, 103)], [end - begin, 3])
        found.append(runner.forward(step)[: end - begin])
    heir = step_of([tokens], [np.r_[:66, 130:134]], [4])
    assert torch.equal(torch.cat(found), expected)
    assert torch.equal(runner.forward(heir), expected[66:])


def test_a_model_keeps_keys_and_values_in_float8(model_dir: str, device: torch.device) -> None:
    if device.type != "cpu":
        pytest.skip("this device's tensors are the interpreter's")
    config = EngineConfig(model_dir, kv_slots=40, dtype="float32", kv_dtype="float8")
    runner = ModelRunner(config, InterpretedDevice())
    exact = ModelRunner(EngineConfig(model_dir, kv_slots=40, dtype="float32"), InterpretedDevice())
    assert runner.fingerprint != exact.fingerprint
    for expected, ours in zip(logits_of(exact), logits_of(runner), strict=True):
        assert 0 < (ours - expected).abs().max() < 0.2 * expected.abs().max()
    slots = np.array([3, 17])
    kept = runner.read_kv(slots)
    assert kept["0"].dtype is torch.float8_e4m3fn
    runner.write_kv(slots + 20, kept)
    again = runner.read_kv(slots + 20)
    assert torch.equal(again["1"].view(torch.uint8), kept["1"].view(torch.uint8))


def test_float8_for_keys_and_values_is_an_error_where_torch_attends(model_dir: str) -> None:
    config = EngineConfig(model_dir, kv_slots=9, attention_backend="torch", kv_dtype="float8")
    with pytest.raises(ModelLoadError, match="kv_dtype 'float8' is for Triton"):
        ModelRunner(config, CpuDevice())


def logits_of(runner: ModelRunner) -> list[torch.Tensor]:
    """Of a prompt; then of the sequence as it goes on, beside one that begins on a part of it."""
    tokens = np.arange(24) % 50
    prompt = step_of([tokens[:20]], [np.arange(20)])
    both = step_of([tokens[:21], tokens[:12]], [np.arange(21), np.r_[:10, 30, 31]], [1, 2])
    return [runner.forward(step) for step in (prompt, both)]


def step_of(
    tokens: list[np.ndarray[tuple[int], np.dtype[np.int64]]],
    slots: list[np.ndarray[tuple[int], np.dtype[np.int64]]],
    new: list[int] | None = None,
) -> ForwardBatch:
    """A step in which the last `new` tokens of each sequence are new, by default all of them."""
    lens = new or [len(each) for each in tokens]
    ends = list(zip(tokens, slots, lens, strict=True))

    def put(arrays: list[np.ndarray[tuple[int], np.dtype[np.int64]]]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate(arrays))

    return ForwardBatch(
        token_ids=put([ids[-count:] for ids, _, count in ends]),
        positions=put([np.arange(len(ids) - count, len(ids)) for ids, _, count in ends]),
        new_slots=put([where[-count:] for _, where, count in ends]),
        query_lens=lens,
        context_slots=[torch.from_numpy(where) for where in slots],
        logit_rows=torch.arange(sum(lens)),
    )
