"""A decoder whose layers run on Triton's operators gives the logits of torch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from branchline.runtime.kernels.base import LayerOps, LinearOp, WeightUse
from branchline.runtime.kernels.triton.ops import TritonOps
from branchline.runtime.kernels.triton.quantized import QuantizedLinear
from branchline.runtime.models.layers import GatedMLP, RMSNorm, Vocabulary
from branchline.runtime.models.loader import packed_or_plain


class Weights:
    """What the layers take from a checkpoint: random numbers, the same for the same name."""

    def __init__(self, ops: LayerOps | None, device: torch.device) -> None:
        self.ops = ops
        self.dtype = torch.float32
        self._device = device

    def take(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        rng = torch.Generator().manual_seed(sum(name.encode()))
        return (torch.randn(shape, generator=rng) / shape[-1] ** 0.5).to(self._device)

    def take_rows(self, names: list[str], shapes: list[tuple[int, ...]]) -> torch.Tensor:
        return torch.cat([self.take(*pair) for pair in zip(names, shapes, strict=True)])

    def pack_rows(
        self, names: list[str], shapes: list[tuple[int, ...]], use: WeightUse = "layer"
    ) -> torch.Tensor | LinearOp:
        return packed_or_plain(self.take_rows(names, shapes), self.ops, use)

    def discard(self, name: str) -> None:
        pass


def logits(ops: LayerOps | None, device: torch.device) -> torch.Tensor:
    """A model of one MLP: embed, norm, MLP, norm, logits."""
    weights: Any = Weights(ops, device)
    vocabulary = Vocabulary(weights, 70, 64, tied=True)
    norms = [RMSNorm(weights, name, 64, 1e-6) for name in ("before", "after")]
    mlp = GatedMLP(weights, "mlp", 64, 96, bias=False)
    x = vocabulary.embed(torch.tensor([3, 69, 3], device=device)).float()
    return vocabulary.logits(norms[1](mlp.add_to(x, norms[0](x)))).cpu()


def test_logits_are_torch_s(device: torch.device) -> None:
    torch.testing.assert_close(logits(TritonOps(), device), logits(None, device))


@pytest.mark.parametrize(
    ("quantization", "most"), [("int8", 0.02), ("fp8", 0.06), ("int4", 0.15), ("int4-128", 0.18)]
)
def test_quantized_logits_are_near(device: torch.device, quantization: str, most: float) -> None:
    exact = logits(None, device)
    error = logits(TritonOps(quantization), device) - exact
    assert 1e-4 < error.norm() / exact.norm() < most


@pytest.mark.parametrize(
    ("quantization", "layer"), [("int4-64", "int4"), ("int8", "int8"), ("fp8", "fp8")]
)
def test_the_vocabulary_is_never_coarser_than_int8_and_a_router_as_it_was(
    quantization: str, layer: str
) -> None:
    ops, weight = TritonOps(quantization), torch.ones(16, 64)
    packed = [ops.pack_linear(weight), ops.pack_linear(weight, "vocabulary")]
    assert [p.weight.storage for p in packed if isinstance(p, QuantizedLinear)] == [layer, "int8"]
    assert ops.pack_linear(weight, "router") is None


def test_weights_stay_torch_s_without_quantization() -> None:
    assert TritonOps().pack_linear(torch.ones(16, 64)) is None


def test_an_unknown_quantization_is_refused() -> None:
    with pytest.raises(ValueError, match="int4-64"):
        TritonOps("int3")
