"""Which kernels the runner takes, and what it says when it cannot have them."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.runner import ModelRunner
from branchline.runtime.kernels.cpu.attention import CpuAttention
from branchline.runtime.kernels.cpu.build import (
    KernelBuildError,
    build,
    build_folder,
    is_built,
    library_path,
)
from branchline.runtime.kernels.cpu.library import LEVEL_VARIABLE, CpuKernels, load_kernels
from branchline.runtime.kernels.torch_attention import TorchAttention
from branchline.runtime.models.errors import ModelLoadError


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model")
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    # In bfloat16, so that its weights are packed for products in float32, too.
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(path)
    return str(path)


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")


@pytest.mark.usefixtures("kernels")
def test_a_cpu_gets_the_compiled_kernels(model_dir: str) -> None:
    runner = ModelRunner(EngineConfig(model_dir, kv_slots=9, device="cpu"))
    assert isinstance(runner.attention, CpuAttention)


def test_torch_serves_when_asked_for(model_dir: str) -> None:
    runner = ModelRunner(EngineConfig(model_dir, kv_slots=9, attention_backend="torch"))
    assert isinstance(runner.attention, TorchAttention)


def test_torch_serves_a_dtype_without_kernels(model_dir: str) -> None:
    config = EngineConfig(model_dir, kv_slots=9, dtype="float16", device="cpu")
    assert isinstance(ModelRunner(config).attention, TorchAttention)


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_torch_serves_after_one_line(
    model_dir: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        runner = ModelRunner(EngineConfig(model_dir, kv_slots=9, device="cpu"))
    assert isinstance(runner.attention, TorchAttention)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no-such-compiler" in caplog.text


@pytest.mark.usefixtures("no_compiler")
def test_kernels_that_were_asked_for_and_cannot_be_built_are_an_error(model_dir: str) -> None:
    with pytest.raises(ModelLoadError, match=r"'cpu' is not available.*CXX"):
        ModelRunner(EngineConfig(model_dir, kv_slots=9, device="cpu", attention_backend="cpu"))


def test_kernels_for_a_dtype_that_has_none_are_an_error(model_dir: str) -> None:
    with pytest.raises(ModelLoadError, match="float16"):
        ModelRunner(
            EngineConfig(
                model_dir, kv_slots=9, device="cpu", dtype="float16", attention_backend="cpu"
            )
        )


def test_a_level_that_does_not_exist_is_an_error(
    kernels: CpuKernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LEVEL_VARIABLE, "mmx")
    with pytest.raises(KernelBuildError, match=f"mmx.*{kernels.level}"):
        load_kernels()


def test_a_compiler_error_is_shown_and_leaves_nothing(
    kernels: CpuKernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said: list[str] = []
    with pytest.raises(KernelBuildError, match=r"unrecognized|unknown"):
        build(said.append, ["-fno-such-flag"])
    assert "building" in said[0]
    assert not library_path(["-fno-such-flag"]).exists()
    kept = (tmp_path / "branchline" / "kernels").iterdir()
    assert [path for path in kept if path.suffix != ".lock"] == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_backends_give_the_same_logits(
    model_dir: str, kernels: CpuKernels, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LEVEL_VARIABLE, kernels.level)
    slots = torch.arange(12)
    name = str(dtype).removeprefix("torch.")
    batch = ForwardBatch(slots + 7, slots, slots, [12], [slots], logit_rows=slots)
    ours, theirs = (
        ModelRunner(
            EngineConfig(model_dir, kv_slots=12, device="cpu", dtype=name, attention_backend=way)  # type: ignore[arg-type]
        ).forward(batch)
        for way in ("cpu", "torch")
    )
    tolerance = 1e-5 if dtype is torch.float32 else 2e-2
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


@pytest.mark.usefixtures("kernels")
def test_a_library_that_others_can_write_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = library_path()
    path.parent.mkdir(parents=True)
    path.touch()
    path.chmod(0o777)
    with pytest.raises(KernelBuildError, match="written by others"):
        build(print)


def of_folder(source: Path, said: list[str]) -> Path:
    return build_folder(source, "sum.so", said.append)


@pytest.fixture
def source(kernels: CpuKernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of one file, to be built into a cache of its own."""
    if kernels.level != "portable":
        pytest.skip("the level does not matter")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "sum.cpp").write_text('extern "C" int sum(int a, int b) { return a + b; }\n')
    return folder


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_library_that_was_cut_off_is_built_again(source: Path, size: int) -> None:
    said: list[str] = []
    path = of_folder(source, said)
    os.truncate(path, size)
    assert not is_built(path)
    assert of_folder(source, said) == path
    assert (is_built(path), len(said)) == (True, 2)


def test_without_a_compiler_a_library_that_is_built_serves(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = of_folder(source, [])
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(source))
    assert of_folder(source, []) == path
    os.truncate(path, 100)
    with pytest.raises(KernelBuildError, match=r"no C\+\+ compiler"):
        of_folder(source, [])


def test_what_a_killed_build_left_is_removed(source: Path) -> None:
    path = of_folder(source, [])
    left = path.parent.parent / f"building-{path.parent.name}-x"
    left.mkdir()
    path.unlink()
    of_folder(source, [])
    assert not left.exists()


def test_who_waits_for_the_build_of_another_is_told(source: Path) -> None:
    path, said = of_folder(source, []), list[str]()
    path.unlink()
    with path.parent.with_suffix(".lock").open() as lock, ThreadPoolExecutor() as threads:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = threads.submit(of_folder, source, said)
        while not said:
            time.sleep(0.001)
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert built.result() == path
    assert "waiting for another process" in said[0]


def logits_of(model_dir: str, **settings: str) -> torch.Tensor:
    slots = torch.arange(12)
    batch = ForwardBatch(slots + 7, slots, slots, [12], [slots], logit_rows=slots)
    config = EngineConfig(model_dir, kv_slots=12, device="cpu", **settings)  # type: ignore[arg-type]
    return ModelRunner(config).forward(batch)


@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_a_quantized_model_is_near_the_one_it_came_from(
    model_dir: str, kernels: CpuKernels, quantization: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LEVEL_VARIABLE, kernels.level)
    exact, ours = logits_of(model_dir), logits_of(model_dir, quantization=quantization)
    assert not torch.equal(ours, exact)
    error = (ours - exact).norm() / exact.norm()
    assert error < {"int8": 0.03, "int4": 0.15}[quantization]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attention_backend": "torch"}, "'torch' excludes"),
        ({"dtype": "float16"}, "quantization 'int8' is for float32 and bfloat16"),
    ],
)
def test_quantization_without_the_kernels_is_an_error(
    model_dir: str, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(ModelLoadError, match=message):
        logits_of(model_dir, quantization="int8", **settings)


def test_a_quantization_for_gpus_is_refused_on_a_cpu(model_dir: str) -> None:
    with pytest.raises(ModelLoadError, match="'fp8' is for GPUs"):
        logits_of(model_dir, quantization="fp8")
