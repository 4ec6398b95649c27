"""A layer's experts against what reading their weights, or multiplying them, takes at least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from branchline.runtime.device.base import Device
from branchline.runtime.kernels.base import LayerOps

from ..report import Report
from .limits import Limits
from .timing import median_s


@dataclass(frozen=True)
class Shape:
    """One layer: experts of `size`, of which a token takes `per_token`."""

    name: str
    count: int
    per_token: int
    hidden: int
    size: int


MIXTRAL = Shape("Mixtral 8x7B", 8, 2, 4096, 14_336)
QWEN3_30B = Shape("Qwen3 30B-A3B", 128, 8, 2048, 768)


class ExpertsBench:
    """By the kernels of `device`, at random; every token chooses at random."""

    def __init__(
        self,
        device: Device,
        report: Report,
        limits: Limits,
        *,
        ops: LayerOps | None = None,
        dtype: torch.dtype = torch.bfloat16,
        repeats: int = 30,
    ) -> None:
        self.device, self.report, self.limits = device, report, limits
        self._ops, self.dtype, self.repeats = ops, dtype, repeats

    def run(self, shape: Shape) -> None:
        for quantization in ("none", "int8", "int4", "fp8"):
            experts = self.experts(shape, quantization)
            # Of thousands of tokens products are the bound, and rounded weights no help.
            for tokens in (1, 64, 4096) if quantization == "none" else (1, 64):
                self.measure(shape, quantization, experts, tokens)

    def experts(self, shape: Shape, quantization: str) -> Any:
        ops = self._ops or self.device.kernels("auto", quantization, self.dtype).ops
        if ops is None:
            raise RuntimeError(f"{self.device.describe()} has no kernels for experts")
        generator = torch.Generator(self.device.torch_device).manual_seed(1)

        def randn(*size: int) -> torch.Tensor:
            made = torch.empty(size, device=self.device.torch_device, dtype=self.dtype)
            return made.normal_(0.0, size[-1] ** -0.5, generator=generator)

        hidden, size = shape.hidden, shape.size
        packed = ops.pack_experts(
            (randn(2 * size, hidden), randn(hidden, size)) for _ in range(shape.count)
        )
        if packed is None:
            raise RuntimeError(f"{self.device.describe()} computes each expert by itself")
        return packed

    def inputs(self, shape: Shape, tokens: int) -> tuple[torch.Tensor, ...]:
        """(residual, x, experts, shares)"""
        where = self.device.torch_device
        x = torch.randn(tokens, shape.hidden, device=where).to(self.dtype)
        scores = torch.rand(tokens, shape.count, device=where)
        shares, ids = scores.softmax(-1).topk(shape.per_token, -1)
        return torch.zeros_like(x), x, ids, shares

    def measure(self, shape: Shape, quantization: str, experts: Any, tokens: int) -> None:
        inputs = self.inputs(shape, tokens)
        seconds = median_s(self.device, lambda: experts.add_to(*inputs), self.repeats)
        weights = (experts.gate_up.codes, experts.down.codes)
        read = sum(w[0].nbytes for w in weights) * len(torch.unique(inputs[2]))
        flops = 6 * tokens * shape.per_token * shape.hidden * shape.size
        bound = max(read / self.limits.bytes_per_s, flops / self.limits.flops_per_s)
        named = "bfloat16" if quantization == "none" else quantization
        self.report.add(
            f"{shape.name}'s experts, {named}, {tokens} tokens",
            bound / seconds,
            "of the bound",
            detail=f"{1e6 * seconds:.0f} us; {read / 1e6:.2f} MB, {flops / 1e9:.1f} GFLOP",
        )
