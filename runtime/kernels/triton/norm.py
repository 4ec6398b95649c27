"""RMSNorm (arXiv:1910.07467), with and without a residual; called by `ops.py`.

One program per row: a row is read once, summed in float32 and written once.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl


@triton.jit
def _rms_norm(
    x, residual, weight, out, row_stride, size, eps, ADDS: tl.constexpr, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < size
    values = tl.load(x + row * row_stride + column, mask=inside, other=0.0).to(tl.float32)
    if ADDS:
        here = residual + row * size + column
        values += tl.load(here, mask=inside, other=0.0).to(tl.float32)
        # The norm is of the sum as the next layer will read it.
        rounded = values.to(residual.dtype.element_ty)
        tl.store(here, rounded, mask=inside)
        values = rounded.to(tl.float32)
    scale = tl.rsqrt(tl.sum(values * values, 0) / size + eps)
    weights = tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    normed = values * scale * weights
    tl.store(out + row * size + column, normed.to(out.dtype.element_ty), mask=inside)


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """x / rms(x) * weight over the last dimension of `x: [..., size]`, rounded once."""
    return _launch(x, None, weight, eps)


def add_rms_norm(
    x: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, eps: float
) -> torch.Tensor:
    """`rms_norm` of residual + x; `residual: [..., size]`, contiguous, becomes that sum."""
    if residual.shape != x.shape or not residual.is_contiguous():
        raise ValueError(
            f"residual {tuple(residual.shape)} must be contiguous and shaped as x {tuple(x.shape)}"
        )
    return _launch(x, residual, weight, eps)


def _launch(
    x: torch.Tensor, residual: torch.Tensor | None, weight: torch.Tensor, eps: float
) -> torch.Tensor:
    size = weight.shape[0]
    if x.shape[-1] != size:
        raise ValueError(f"x {tuple(x.shape)} does not fit a weight of {size}")
    rows = x.reshape(-1, size)
    if rows.stride(1) != 1:
        rows = rows.contiguous()
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    if not len(rows):
        return out
    block = triton.next_power_of_2(size)
    _rms_norm[(len(rows),)](
        rows,
        residual,
        weight,
        out,
        rows.stride(0),
        size,
        eps,
        ADDS=residual is not None,
        BLOCK=block,
        num_warps=min(16, max(1, block // 512)),
    )
    return out
