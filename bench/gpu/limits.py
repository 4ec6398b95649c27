"""What the device does at most: the bounds beside which every figure is put."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from branchline.runtime.device.base import Device

from .timing import median_s


@dataclass(frozen=True)
class Limits:
    """bytes_per_s: read and written, of a copy in its memory. flops_per_s: of a square product in
    bfloat16 with random numbers, which draw more power than zeros."""

    bytes_per_s: float
    flops_per_s: float


def measure_limits(device: Device, copied: int = 2**30, side: int = 8192) -> Limits:
    """copied: bytes of the copy, many times the cache. side: of the product's matrices."""
    where = device.torch_device
    source = torch.zeros(copied, dtype=torch.uint8, device=where)
    target = torch.empty_like(source)
    copy_s = median_s(device, lambda: target.copy_(source))
    a, b = torch.randn(2, side, side, device=where).bfloat16()
    out = torch.empty_like(a)
    product_s = median_s(device, lambda: torch.mm(a, b, out=out))
    return Limits(2 * copied / copy_s, 2 * side**3 / product_s)
