"""When the engine computes attention in Triton, and that a model does so with it."""

from __future__ import annotations

import importlib.util
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from branchline.runtime.device.base import Kernels
from branchline.runtime.device.cpu import CpuDevice
from branchline.runtime.device.cuda import CudaDevice
from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.runner import ModelRunner
from branchline.runtime.kernels.torch_attention import TorchAttention
from branchline.runtime.kernels.triton.attention import TritonAttention
from branchline.runtime.kernels.triton.work import Machine
from branchline.runtime.models.errors import ModelLoadError


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> CudaDevice:
    """A GPU of 132 processors, as far as choosing kernels asks."""
    facts = SimpleNamespace(multi_processor_count=132)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: facts)
    gpu = CudaDevice.__new__(CudaDevice)
    gpu.torch_device = torch.device("cuda", 0)
    return gpu


@pytest.fixture
def no_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


@pytest.mark.parametrize("backend", ["auto", "triton"])
def test_a_gpu_gets_triton(gpu: CudaDevice, backend: str) -> None:
    attention = gpu.kernels(backend, "none", torch.bfloat16).attention(32, 8, 128)
    assert isinstance(attention, TritonAttention)
    assert attention.machine == Machine(32, 8, 128, processors=132)


def test_torch_serves_a_gpu_when_asked_for(gpu: CudaDevice) -> None:
    attention = gpu.kernels("torch", "none", torch.bfloat16).attention(32, 8, 128)
    assert isinstance(attention, TorchAttention)


@pytest.mark.usefixtures("no_triton")
def test_without_triton_torch_serves_after_one_line(
    gpu: CudaDevice, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        attention = gpu.kernels("auto", "none", torch.bfloat16).attention(32, 8, 128)
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
    """A CPU whose attention is Triton's, in its interpreter."""

    def kernels(self, backend: str, quantization: str, dtype: torch.dtype) -> Kernels:
        return Kernels("Triton", lambda *heads: TritonAttention(Machine(*heads, processors=8)))


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model")
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    return str(path)


def test_a_model_gives_the_logits_that_it_gives_with_torch(
    model_dir: str, device: torch.device
) -> None:
    if device.type != "cpu":
        pytest.skip("this device's tensors are the interpreter's")
    config = EngineConfig(model_dir, kv_slots=40, dtype="float32", attention_backend="torch")
    runners = [ModelRunner(config, CpuDevice()), ModelRunner(config, InterpretedDevice())]
    tokens = np.arange(24) % 50
    prompt = step_of([tokens[:20]], [np.arange(20)])
    # The sequence goes on, and another one begins on its first ten tokens.
    both = step_of([tokens[:21], tokens[:12]], [np.arange(21), np.r_[:10, 30, 31]], [1, 2])
    for step in (prompt, both):
        expected, ours = (runner.forward(step) for runner in runners)
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


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
