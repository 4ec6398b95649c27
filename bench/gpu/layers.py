"""The small operators of a layer, sampling and quantized weights against the memory's bandwidth."""

from __future__ import annotations

from typing import Any

import torch

from branchline.runtime.device.base import Device
from branchline.runtime.memory.kv_pool import KVPool

from ..report import Report
from .limits import Limits
from .timing import median_s


class LayersBench:
    """Shapes of an 8B Llama at `rows` rows; only where the device has Triton's kernels."""

    def __init__(self, device: Device, report: Report, limits: Limits, rows: int = 256) -> None:
        self.device, self.report, self.limits, self.rows = device, report, limits, rows
        self.where = device.torch_device

    def run(self) -> None:
        self.norm()
        self.gate()
        self.rope()
        for name in ("int8", "int4", "fp8"):
            self.linear(name)

    def _randn(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=self.where).bfloat16()

    def _share(self, metric: str, num_bytes: int, seconds: float) -> None:
        share = num_bytes / seconds / self.limits.bytes_per_s
        detail = f"{1e6 * seconds:.1f} us for {num_bytes / 1e6:.1f} MB"
        self.report.add(metric, share, "of copy bandwidth", detail=detail)

    def norm(self) -> None:
        from branchline.runtime.kernels.triton.norm import rms_norm

        # Many rows, so that the copy bandwidth and not the launch is what limits.
        x, weight = self._randn(64 * self.rows, 4096), self._randn(4096)
        seconds = median_s(self.device, lambda: rms_norm(x, weight, 1e-5))
        self._share(f"RMSNorm, {len(x)} rows", 2 * x.nbytes, seconds)

    def gate(self) -> None:
        from branchline.runtime.kernels.triton.activation import silu_mul

        x = self._randn(16 * self.rows, 2 * 14_336)
        seconds = median_s(self.device, lambda: silu_mul(x))
        self._share(f"SiLU-mul, {len(x)} rows", x.nbytes * 3 // 2, seconds)

    def rope(self) -> None:
        from branchline.runtime.kernels.triton.rope import rope_store

        rows = 64 * self.rows
        pool = KVPool(1, rows, 8, 128, torch.bfloat16, self.where)
        qkv, cos, sin = self._randn(rows, 48, 128), *self._randn(2, rows, 1, 128)
        new_slots = torch.arange(rows, device=self.where)

        def run() -> torch.Tensor:
            rope_store(qkv, cos, sin, pool.layers[0], new_slots)
            return qkv

        # q read and written, k and v read and stored.
        self._share(f"RoPE + store, {rows} rows", 2 * qkv.nbytes, median_s(self.device, run))

    def linear(self, name: str) -> None:
        """One row times a gate-up matrix: reading the weight is all there is to it."""
        kernels = self.device.kernels("auto", name, torch.bfloat16)
        if kernels.ops is None:
            return
        weight = self._randn(2 * 14_336, 4096)
        packed: Any = kernels.ops.pack_linear(weight)
        x = self._randn(1, 4096)
        plain_s = median_s(self.device, lambda: torch.mm(x, weight.mT))
        seconds = median_s(self.device, lambda: packed(x))
        self.report.add(
            f"{name} linear, 1 row",
            plain_s / seconds,
            "x bfloat16",
            detail=f"{1e6 * seconds:.0f} us against {1e6 * plain_s:.0f} us by cuBLAS",
        )


def sampling(device: Device, report: Report, rows: int = 256, vocab: int = 151_936) -> None:
    """Drawing tokens with top-p and a mask, from logits that are there already. Needs msgspec."""
    import numpy as np

    from branchline.runtime.kernels.triton.sampler import DeviceSampler
    from branchline.runtime.protocol import SamplingParams
    from branchline.runtime.sampling import SamplingState

    params = SamplingParams(temperature=0.8, top_p=0.95, top_k=50, seed=1)
    states = [SamplingState(params, [], vocab) for _ in range(rows)]
    sampler = DeviceSampler(rows, vocab, device.torch_device)
    mask = np.full(-(-vocab // 32), 0x55555555, np.int32)
    logits = torch.randn(rows, vocab, device=device.torch_device)
    greedy = [SamplingState(SamplingParams(temperature=0.0), [], vocab) for _ in range(rows)]
    sampler.load(greedy, None)
    if not torch.equal(sampler.launch(logits), logits.argmax(-1)):
        raise RuntimeError("at temperature 0 the sampler draws others than the likeliest tokens")
    sampler.load(states, [mask if row % 2 else None for row in range(rows)])
    seconds = median_s(device, lambda: sampler.launch(logits))
    report.add(
        f"sampling, {rows} x {vocab}",
        1e3 * seconds,
        "ms",
        detail="temperature, top-k, top-p, half of the rows masked",
    )
