"""Linear layers with weights in int8, int4 or fp8 and inputs as they are; `ops.py` makes them.

A product of few rows is bound by reading the weight: `_product` reads it once, in parts of the
inputs where the outputs alone are too few for the GPU. Many rows are multiplied by torch with the
weight unpacked, which costs a few percent of the product then, or in fp8 (`fp8.py`).
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
import triton
import triton.language as tl

from .dot import dot, put
from .fp8 import fp8_product
from .packing import STEP, Quantized

# More rows than this are multiplied by torch or in fp8.
MOST_ROWS: Final = 64

# Programs that keep a large GPU's multiprocessors (132 on an H200) reading, some on each.
_PROGRAMS: Final = 512
_BLOCK_N: Final = 64
_BLOCK_K: Final = 256  # of unpacking


@triton.jit
def add_step(
    total,
    x_row,
    valid_m,
    code_row,
    of_output,
    valid,
    group_stride,
    step,
    inputs,
    STORAGE: tl.constexpr,
    STEP: tl.constexpr,
    GROUP: tl.constexpr,
):
    """total + x W^T over the inputs of one step, `STEP` of them. x_row, valid_m: [m, 1]; code_row:
    [n, 1]; of_output, valid: [n], an output's scales and whether it is there. Where `GROUP` is 0
    the scale, one per output, is the caller's to apply; "plain" weights have none."""
    valid_n = valid[:, None]
    if STORAGE == "int4":
        # A byte holds two inputs that lie half a step apart. They are multiplied as integers,
        # which are exact in any type, by parts that have one scale.
        half: tl.constexpr = STEP // 2
        width: tl.constexpr = GROUP if half > GROUP else half
        for start in tl.static_range(0, half, width):
            j = start + tl.arange(0, width)[None, :]
            k = step * STEP + j
            pairs = tl.load(code_row + step * half + j, mask=valid_n, other=0)
            low = ((pairs & 15).to(tl.float32) - 8.0).to(x_row.dtype.element_ty)
            high = ((pairs >> 4).to(tl.float32) - 8.0).to(x_row.dtype.element_ty)
            x_low = tl.load(x_row + k, mask=valid_m & (k < inputs), other=0.0)
            x_high = tl.load(x_row + k + half, mask=valid_m & (k + half < inputs), other=0.0)
            of_low = of_output + (step * STEP + start) // GROUP * group_stride
            of_high = of_output + (step * STEP + start + half) // GROUP * group_stride
            low_scale = tl.load(of_low, mask=valid, other=0.0).to(tl.float32)
            high_scale = tl.load(of_high, mask=valid, other=0.0).to(tl.float32)
            zeros = tl.zeros_like(total)
            total += dot(x_low, low, zeros) * low_scale[None, :]
            total += dot(x_high, high, zeros) * high_scale[None, :]
    elif STORAGE == "plain":
        k = step * STEP + tl.arange(0, STEP)[None, :]
        weights = tl.load(code_row + k, mask=valid_n & (k < inputs), other=0.0)
        values = tl.load(x_row + k, mask=valid_m & (k < inputs), other=0.0)
        total = dot(values, weights, total)
    else:
        k = step * STEP + tl.arange(0, STEP)[None, :]
        weights = tl.load(code_row + k, mask=valid_n, other=0.0)
        weights = weights.to(tl.float32).to(x_row.dtype.element_ty)
        values = tl.load(x_row + k, mask=valid_m & (k < inputs), other=0.0)
        if GROUP == 0:
            total = dot(values, weights, total)
        else:
            product = dot(values, weights, tl.zeros_like(total))
            scale = tl.load(of_output + step * group_stride, mask=valid, other=0.0)
            total += product * scale.to(tl.float32)[None, :]
    return total


@triton.jit
def _product(
    x,
    codes,
    scales,
    bias,
    out,
    parts,
    rows,
    inputs,
    outputs,
    x_stride,
    code_stride,
    scale_stride,
    group_stride,
    steps,
    steps_per_part,
    STORAGE: tl.constexpr,
    STEP: tl.constexpr,
    SCALE_ROWS: tl.constexpr,
    GROUP: tl.constexpr,
    PARTS: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    ADDS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    m = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    part = tl.program_id(2)
    valid_m = (m < rows)[:, None]
    of_output = scales + (n // SCALE_ROWS) * scale_stride
    x_row = x + m[:, None].to(tl.int64) * x_stride
    code_row = codes + n[:, None].to(tl.int64) * code_stride
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    first = part * steps_per_part
    for step in range(first, tl.minimum(first + steps_per_part, steps)):
        total = add_step(
            total, x_row, valid_m, code_row, of_output, n < outputs, group_stride, step, inputs,
            STORAGE, STEP, GROUP,
        )  # fmt: skip
    if GROUP == 0:
        total *= tl.load(of_output, mask=n < outputs, other=0.0).to(tl.float32)[None, :]
    if PARTS == 1:
        put(total, m, n, bias, out, rows, outputs, HAS_BIAS, ADDS)
    else:
        here = parts + ((part * rows + m[:, None]).to(tl.int64) * outputs + n[None, :])
        tl.store(here, total, mask=valid_m & (n < outputs)[None, :])


@triton.jit
def _sum_parts(
    parts,
    bias,
    out,
    rows,
    outputs,
    PARTS: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    ADDS: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    m = tl.program_id(1) + tl.arange(0, 1)
    inside = (m < rows)[:, None] & (n < outputs)[None, :]
    total = tl.zeros((1, BLOCK_N), tl.float32)
    for part in tl.static_range(PARTS):
        here = parts + ((part * rows + m[:, None]).to(tl.int64) * outputs + n[None, :])
        total += tl.load(here, mask=inside, other=0.0)
    put(total, m, n, bias, out, rows, outputs, HAS_BIAS, ADDS)


@triton.jit
def _unpack(
    ids,
    codes,
    scales,
    out,
    inputs,
    code_stride,
    scale_stride,
    group_stride,
    STORAGE: tl.constexpr,
    STEP: tl.constexpr,
    SCALE_ROWS: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    k = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = k < inputs
    weight_row = tl.load(ids + row).to(tl.int64)
    if STORAGE == "int4":
        half: tl.constexpr = STEP // 2
        within = k % STEP
        here = codes + weight_row * code_stride + k // STEP * half + within % half
        pair = tl.load(here, mask=inside, other=0).to(tl.int32)
        values = (((pair >> (within // half * 4)) & 15) - 8).to(tl.float32)
    else:
        here = codes + weight_row * code_stride + k
        values = tl.load(here, mask=inside, other=0.0).to(tl.float32)
    of_row = scales + weight_row // SCALE_ROWS * scale_stride
    if GROUP == 0:
        scale = tl.load(of_row).to(tl.float32)
    else:
        scale = tl.load(of_row + k // GROUP * group_stride, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row * inputs + k, (values * scale).to(out.dtype.element_ty), mask=inside)


class QuantizedLinear:
    """y = x W^T + b with `weight` in place of W: a `LinearOp`."""

    __slots__ = ("parts", "weight")

    def __init__(self, weight: Quantized) -> None:
        self.weight = weight
        # Of the weight's shape alone: a row's sums are the same sums in any batch.
        blocks = triton.cdiv(weight.outputs, _BLOCK_N)
        self.parts = max(1, min(8, _PROGRAMS // blocks, weight.steps // 4))

    def __repr__(self) -> str:
        return (
            f"QuantizedLinear({self.weight.outputs} x {self.weight.inputs}, {self.weight.storage})"
        )

    def __call__(
        self, x: torch.Tensor, bias: torch.Tensor | None = None, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        """x weight^T + bias: [rows, out], in x's dtype or in `dtype`."""
        if len(x) > MOST_ROWS and self.weight.storage != "fp8":
            out = F.linear(x, self._whole(x.dtype), bias)
            return out if dtype is None else out.to(dtype)
        out = x.new_empty((len(x), self.weight.outputs), dtype=dtype or x.dtype)
        self._multiply(x, bias, out, adds=False)
        return out

    def add_to(
        self, residual: torch.Tensor, x: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """residual + x weight^T + bias, in place, rounded once."""
        if len(x) > MOST_ROWS and self.weight.storage != "fp8":
            residual.addmm_(x, self._whole(x.dtype).mT)
            return residual if bias is None else residual.add_(bias)
        if not residual.is_contiguous():
            raise ValueError(f"residual must be contiguous, not of strides {residual.stride()}")
        self._multiply(x, bias, residual, adds=True)
        return residual

    def rows(self, ids: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """The weight's rows `ids: [tokens]` as [tokens, in]: an embedding."""
        weight = self.weight
        out = torch.empty((len(ids), weight.inputs), dtype=dtype, device=ids.device)
        if len(ids):
            _unpack[(len(ids), triton.cdiv(weight.inputs, _BLOCK_K))](
                ids.contiguous(),
                weight.codes,
                weight.scales,
                out,
                weight.inputs,
                weight.codes.stride(0),
                *weight.scales.stride(),
                STORAGE=weight.storage,
                STEP=STEP,
                SCALE_ROWS=weight.scale_rows,
                GROUP=weight.group,
                BLOCK=_BLOCK_K,
            )
        return out

    def _whole(self, dtype: torch.dtype) -> torch.Tensor:
        ids = torch.arange(self.weight.outputs, device=self.weight.codes.device)
        return self.rows(ids, dtype)

    def _multiply(
        self, x: torch.Tensor, bias: torch.Tensor | None, out: torch.Tensor, *, adds: bool
    ) -> None:
        weight, parts = self.weight, self.parts
        rows = len(x)
        if x.shape != (rows, weight.inputs):
            raise ValueError(f"x {tuple(x.shape)} does not fit {self}")
        if not rows:
            return
        if rows > MOST_ROWS:
            fp8_product(x, weight, bias, out, adds=adds)
            return
        if x.stride(1) != 1:
            x = x.contiguous()
        shared = {"PARTS": parts, "HAS_BIAS": bias is not None, "ADDS": adds, "BLOCK_N": _BLOCK_N}
        sums = (
            None
            if parts == 1
            else torch.empty((parts, rows, weight.outputs), dtype=torch.float32, device=x.device)
        )
        block_m = max(16, min(64, triton.next_power_of_2(rows)))
        _product[(triton.cdiv(weight.outputs, _BLOCK_N), triton.cdiv(rows, block_m), parts)](
            x,
            weight.codes,
            weight.scales,
            bias,
            out,
            sums,
            rows,
            weight.inputs,
            weight.outputs,
            x.stride(0),
            weight.codes.stride(0),
            *weight.scales.stride(),
            weight.steps,
            triton.cdiv(weight.steps, parts),
            STORAGE=weight.storage,
            STEP=STEP,
            SCALE_ROWS=weight.scale_rows,
            GROUP=weight.group,
            BLOCK_M=block_m,
            num_warps=4,
            num_stages=4,
            **shared,
        )
        if sums is not None:
            _sum_parts[(triton.cdiv(weight.outputs, _BLOCK_N), rows)](
                sums, bias, out, rows, weight.outputs, **shared, num_warps=1
            )
