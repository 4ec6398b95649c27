"""Products of many rows with fp8 weights, on the tensor cores' fp8; called by `quantized.py`.

Inputs are rounded to float8 as they come, with a scale per row and 128 inputs, as fp8 checkpoints
(DeepSeek-V3's, Qwen3's) are meant to be run. Sums are float32 and scaled once per 128 inputs.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl

from .dot import dot, put
from .packing import STEP, Quantized

LARGEST: Final = torch.finfo(torch.float8_e4m3fn).max

_BLOCK_N: Final = 128
# Blocks of rows that take turns on the same weights, which thereby stay in the cache.
_TOGETHER: Final = 8


@triton.jit
def _round_rows(
    x, codes, scales, inputs, x_stride, steps, STEP: tl.constexpr, LARGEST: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    step = tl.program_id(1)
    k = step * STEP + tl.arange(0, STEP)
    values = tl.load(x + row * x_stride + k, mask=k < inputs, other=0.0).to(tl.float32)
    scale = tl.max(tl.abs(values), 0) / LARGEST
    values = values / tl.where(scale > 0, scale, 1.0)
    values = tl.minimum(tl.maximum(values, -LARGEST), LARGEST)
    tl.store(codes + row * steps * STEP + k, values.to(codes.dtype.element_ty))
    tl.store(scales + row * steps + step, scale)


@triton.jit
def _product(
    x,
    x_scales,
    weights,
    scales,
    bias,
    out,
    rows,
    outputs,
    scale_stride,
    group_stride,
    steps,
    STEP: tl.constexpr,
    SCALE_ROWS: tl.constexpr,
    GROUP: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    ADDS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    TOGETHER: tl.constexpr,
):
    # Down the rows of `TOGETHER` blocks, then to the next outputs, then to the next such rows.
    blocks_m = tl.cdiv(rows, BLOCK_M)
    blocks_n = tl.cdiv(outputs, BLOCK_N)
    band = tl.program_id(0) // (TOGETHER * blocks_n)
    within = tl.program_id(0) % (TOGETHER * blocks_n)
    height = tl.minimum(blocks_m - band * TOGETHER, TOGETHER)
    m = (band * TOGETHER + within % height) * BLOCK_M + tl.arange(0, BLOCK_M)
    n = within // height * BLOCK_N + tl.arange(0, BLOCK_N)
    inside_m, inside_n = m < rows, n < outputs

    x_row = x + m[:, None].to(tl.int64) * steps * STEP
    weight_row = weights + n[:, None].to(tl.int64) * steps * STEP
    of_output = scales + n // SCALE_ROWS * scale_stride
    zeros = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    total = zeros
    for step in range(steps):
        k = step * STEP + tl.arange(0, STEP)[None, :]
        values = tl.load(x_row + k, mask=inside_m[:, None], other=0.0)
        weight = tl.load(weight_row + k, mask=inside_n[:, None], other=0.0)
        x_scale = tl.load(x_scales + m.to(tl.int64) * steps + step, mask=inside_m, other=0.0)
        product = dot(values, weight, zeros) * x_scale[:, None]
        if GROUP > 0:
            product *= tl.load(of_output + step * group_stride, mask=inside_n, other=0.0)[None, :]
        total += product
    if GROUP == 0:
        total *= tl.load(of_output, mask=inside_n, other=0.0)[None, :]
    put(total, m, n, bias, out, rows, outputs, HAS_BIAS, ADDS)


def round_rows(x: torch.Tensor, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`x: [rows, inputs]` as float8_e4m3fn [rows, steps * 128], zeros behind the inputs, and its
    scales, float32 [rows, steps]."""
    rows, inputs = x.shape
    if x.stride(1) != 1:
        x = x.contiguous()
    codes = torch.empty((rows, steps * STEP), dtype=torch.float8_e4m3fn, device=x.device)
    scales = torch.empty((rows, steps), dtype=torch.float32, device=x.device)
    _round_rows[(rows, steps)](
        x, codes, scales, inputs, x.stride(0), steps, STEP=STEP, LARGEST=LARGEST, num_warps=1
    )
    return codes, scales


def fp8_product(
    x: torch.Tensor, weight: Quantized, bias: torch.Tensor | None, out: torch.Tensor, *, adds: bool
) -> None:
    """out = x weight^T + bias, or out += where `adds`. out: [rows, outputs], contiguous."""
    rows = len(x)
    codes, x_scales = round_rows(x, weight.steps)
    block_m = 128 if rows > 256 else 64
    blocks = triton.cdiv(rows, block_m) * triton.cdiv(weight.outputs, _BLOCK_N)
    _product[(blocks,)](
        codes,
        x_scales,
        weight.codes,
        weight.scales,
        bias,
        out,
        rows,
        weight.outputs,
        *weight.scales.stride(),
        weight.steps,
        STEP=STEP,
        SCALE_ROWS=weight.scale_rows,
        GROUP=weight.group,
        HAS_BIAS=bias is not None,
        ADDS=adds,
        BLOCK_M=block_m,
        BLOCK_N=_BLOCK_N,
        TOGETHER=_TOGETHER,
        num_warps=block_m // 16,
        num_stages=4,
    )
