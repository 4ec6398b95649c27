"""Checkpoints in 8-bit floats: the logits of transformers' model with the weights unpacked."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from branchline.runtime.device.base import Kernels
from branchline.runtime.device.cpu import CpuDevice
from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.runner import ModelRunner
from branchline.runtime.kernels.torch_attention import TorchAttention
from branchline.runtime.kernels.triton.ops import TritonOps
from branchline.runtime.kernels.triton.quantized import QuantizedLinear
from branchline.runtime.models.errors import ModelLoadError
from branchline.runtime.models.mixture import Mixture

# Not the vocabulary, the norms and the routers.
LAYERS = re.compile(r"(_proj|\.w[123])\.weight$")
FILE = "model.safetensors"
SQUARES = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}
PER_TENSOR = {"quant_method": "fp8", "activation_scheme": "static"}
PER_CHANNEL = {
    "quant_method": "compressed-tensors",
    "config_groups": {"group_0": {"weights": {"type": "float", "num_bits": 8}}},
}
FORMATS = [("squares", SQUARES), ("tensor", PER_TENSOR), ("channel", PER_CHANNEL)]


def round_squares(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scales = torch.empty(-(-weight.shape[0] // 128), -(-weight.shape[1] // 128))
    codes = torch.empty_like(weight, dtype=torch.float8_e4m3fn)
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            here = slice(128 * i, 128 * i + 128), slice(128 * j, 128 * j + 128)
            scales[i, j] = weight[here].abs().max() / 448
            codes[here] = (weight[here] / scales[i, j]).to(torch.float8_e4m3fn)
    return codes, scales


def rounded(weight: torch.Tensor, form: str) -> tuple[torch.Tensor, torch.Tensor]:
    if form == "squares":
        return round_squares(weight)
    most = weight.abs().max() if form == "tensor" else weight.abs().amax(1, keepdim=True)
    return (weight / (most / 448)).to(torch.float8_e4m3fn), most / 448


def unpacked(codes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    if scales.ndim < 2 or scales.shape[1] == 1:
        return codes.float() * scales
    whole = scales.repeat_interleave(128, 0).repeat_interleave(128, 1)
    return codes.float() * whole[: codes.shape[0], : codes.shape[1]]


class Rounded:
    """A float8 copy of a tiny checkpoint, and transformers' model with what the copy says."""

    def __init__(self, pair: Any, folder: Path, form: str, settings: dict[str, Any]) -> None:
        self.path = Path(shutil.copytree(pair.path, folder / "model"))
        config = json.loads((self.path / "config.json").read_text())
        config["quantization_config"] = settings
        (self.path / "config.json").write_text(json.dumps(config))
        tensors = load_file(self.path / FILE)
        exact = {}
        for name in filter(LAYERS.search, list(tensors)):
            codes, scales = rounded(tensors[name], form)
            tensors[name] = codes
            tensors[name + ("_scale_inv" if form == "squares" else "_scale")] = scales
            tensors[name.removesuffix("weight") + "input_scale"] = torch.tensor(0.5)
            exact[name] = unpacked(codes, scales)
        save_file(tensors, self.path / FILE)
        plain = Path(shutil.copytree(pair.path, folder / "plain"))
        save_file({**load_file(plain / FILE), **exact}, plain / FILE, {"format": "pt"})
        self.reference = type(pair.reference).from_pretrained(plain, dtype=torch.float32)

    def logits(self, tokens: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = self.reference(torch.tensor([tokens])).logits[0]
        return logits

    def rewrite(self, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
        tensors = load_file(self.path / FILE)
        change(tensors)
        save_file(tensors, self.path / FILE)


class MultipliesFloat8(CpuDevice):
    """A CPU whose products are Triton's, in its interpreter."""

    def kernels(self, backend: str, quantization: str, dtype: torch.dtype) -> Kernels:
        return Kernels("Triton's products", TorchAttention, TritonOps(quantization))


def run(path: Path, tokens: list[int], device: CpuDevice) -> tuple[ModelRunner, torch.Tensor]:
    config = EngineConfig(str(path), dtype="float32", device="cpu", kv_slots=64)
    runner = ModelRunner(config, device)
    where = torch.arange(len(tokens))
    ids = torch.tensor(tokens)
    return runner, runner.forward(ForwardBatch(ids, where, where, [len(ids)], [where], where))


@pytest.mark.parametrize(("form", "settings"), FORMATS)
@pytest.mark.parametrize("variant", ["qwen3", "mixtral"])
def test_a_float8_checkpoint_is_the_model_that_it_unpacks_to(
    make_pair: Any, tmp_path: Path, variant: str, form: str, settings: dict[str, Any]
) -> None:
    model, tokens = Rounded(make_pair(variant), tmp_path, form, settings), [3, 1, 4, 1, 5]
    _, ours = run(model.path, tokens, CpuDevice())
    torch.testing.assert_close(ours, model.logits(tokens), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("form", "settings"), FORMATS)
def test_a_gpu_multiplies_by_the_float8_weights_as_they_are(
    make_pair: Any, tmp_path: Path, form: str, settings: dict[str, Any]
) -> None:
    model, tokens = Rounded(make_pair("mixtral"), tmp_path, form, settings), [3, 1, 4]
    runner, ours = run(model.path, tokens, MultipliesFloat8())
    torch.testing.assert_close(ours, model.logits(tokens), rtol=0, atol=1e-4)
    layer = runner.model.layers[0]
    qkv = layer.self_attn.qkv_proj.weight
    assert isinstance(qkv, QuantizedLinear)
    assert qkv.weight.codes.dtype is torch.float8_e4m3fn
    assert isinstance(layer.mlp, Mixture)
    experts: Any = layer.mlp._experts
    assert experts.gate_up.codes.dtype is experts.down.codes.dtype is torch.float8_e4m3fn


def test_float8_weights_are_unpacked_where_others_are_asked_for(
    make_pair: Any, tmp_path: Path
) -> None:
    model = Rounded(make_pair("llama"), tmp_path, "squares", SQUARES)
    assert TritonOps("int8").pack_float8 is None
    assert TritonOps("none", has_float8=False).pack_float8 is None
    config = EngineConfig(str(model.path), kv_slots=64, dtype="float32", quantization="int8")
    runner = ModelRunner(config, MultipliesFloat8())
    qkv = runner.model.layers[0].self_attn.qkv_proj.weight
    assert isinstance(qkv, QuantizedLinear)
    assert qkv.weight.storage == "int8"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda t: t.pop("model.layers.0.mlp.down_proj.weight_scale_inv"),
            "weight_scale_inv' with",
        ),
        (
            lambda t: t.update({"model.layers.0.mlp.down_proj.weight_scale_inv": torch.ones(3, 2)}),
            "must be one number",
        ),
        (lambda t: t.update({"model.layers.0.mlp.up.other_scale": torch.ones(1)}), "unexpected"),
    ],
)
def test_scales_that_do_not_fit_are_refused(
    make_pair: Any, tmp_path: Path, change: Any, words: str
) -> None:
    model = Rounded(make_pair("llama"), tmp_path, "squares", SQUARES)
    model.rewrite(change)
    with pytest.raises(ModelLoadError, match=words):
        run(model.path, [1], CpuDevice())


def test_float8_that_the_config_does_not_tell_of_is_refused(make_pair: Any, tmp_path: Path) -> None:
    model = Rounded(make_pair("llama"), tmp_path, "squares", SQUARES)
    shutil.copy(make_pair("llama").path / "config.json", model.path / "config.json")
    with pytest.raises(ModelLoadError, match="F8_E4M3; supported are F32"):
        run(model.path, [1], CpuDevice())
