"""Linear layers with weights in int8, int4 or fp8, or as they were where products must be
deterministic, and inputs as they are; `ops.py` makes them.

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

from .dot import put
from .fp8 import fp8_product
from .packing import STEP, Quantized
from .weight_tiles import add_step, scaled, scales_of

# More rows than this are multiplied by torch or in fp8.
MOST_ROWS: Final = 64

# Rows whose sums over parts of the inputs are in memory at a time.
_ROWS_AT_ONCE: Final = 2048

# Programs that keep a large GPU's multiprocessors (132 on an H200) reading, some on each.
_PROGRAMS: Final = 512
_BLOCK_N: Final = 64
_BLOCK_K: Final = 256  # of unpacking


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
    of_output = scales_of(scales, 0, n, scale_stride, STORAGE, SCALE_ROWS)
    x_row = x + m[:, None].to(tl.int64) * x_stride
    code_row = codes + n[:, None].to(tl.int64) * code_stride
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    first = part * steps_per_part
    for step in range(first, tl.minimum(first + steps_per_part, steps)):
        total = add_step(
            total, x_row, valid_m, code_row, of_output, n < outputs, group_stride, step, inputs,
            STORAGE, STEP, GROUP,
        )  # fmt: skip
    total = scaled(total, of_output, n < outputs, STORAGE, GROUP)
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
    """y = x W^T + b with `weight` in place of W: a `LinearOp`.

    fixed: every number of rows is computed in one way, so that a row's result is the same bits in
    any batch.
    """

    __slots__ = ("fixed", "parts", "weight")

    def __init__(self, weight: Quantized, *, fixed: bool = False) -> None:
        self.weight = weight
        self.fixed = fixed
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
        if self._is_torchs(len(x)):
            out = F.linear(x, self._whole(x.dtype), bias)
            return out if dtype is None else out.to(dtype)
        out = x.new_empty((len(x), self.weight.outputs), dtype=dtype or x.dtype)
        self._multiply(x, bias, out, adds=False)
        return out

    def add_to(
        self, residual: torch.Tensor, x: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """residual + x weight^T + bias, in place, rounded once."""
        if self._is_torchs(len(x)):
            residual.addmm_(x, self._whole(x.dtype).mT)
            return residual if bias is None else residual.add_(bias)
        if not residual.is_contiguous():
            raise ValueError(f"residual must be contiguous, not of strides {residual.stride()}")
        self._multiply(x, bias, residual, adds=True)
        return residual

    def rows(self, ids: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """The weight's rows `ids: [tokens]` as [tokens, in]: an embedding."""
        weight = self.weight
        if weight.storage == "plain":
            return F.embedding(ids, weight.codes).to(dtype)
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

    def _is_torchs(self, rows: int) -> bool:
        """Whether torch multiplies so many rows, with the weight unpacked."""
        return rows > MOST_ROWS and self.weight.storage != "fp8" and not self.fixed

    def _whole(self, dtype: torch.dtype) -> torch.Tensor:
        ids = torch.arange(self.weight.outputs, device=self.weight.codes.device)
        return self.rows(ids, dtype)

    def _multiply(
        self, x: torch.Tensor, bias: torch.Tensor | None, out: torch.Tensor, *, adds: bool
    ) -> None:
        rows = len(x)
        if x.shape != (rows, self.weight.inputs):
            raise ValueError(f"x {tuple(x.shape)} does not fit {self}")
        if not rows:
            return
        if rows > MOST_ROWS and not self.fixed:
            fp8_product(x, self.weight, bias, out, adds=adds)
            return
        if x.stride(1) != 1:
            x = x.contiguous()
        for part in range(0, rows, _ROWS_AT_ONCE):
            here = slice(part, part + _ROWS_AT_ONCE)
            self._multiply_some(x[here], bias, out[here], adds=adds)

    def _multiply_some(
        self, x: torch.Tensor, bias: torch.Tensor | None, out: torch.Tensor, *, adds: bool
    ) -> None:
        weight, parts, rows = self.weight, self.parts, len(x)
        shared = {"PARTS": parts, "HAS_BIAS": bias is not None, "ADDS": adds, "BLOCK_N": _BLOCK_N}
        sums = (
            None
            if parts == 1
            else torch.empty((parts, rows, weight.outputs), dtype=torch.float32, device=x.device)
        )
        block_m = 64 if self.fixed else max(16, min(64, triton.next_power_of_2(rows)))
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
            num_stages=2 if weight.codes.dtype is torch.float32 else 4,
            **shared,
        )
        if sums is not None:
            _sum_parts[(triton.cdiv(weight.outputs, _BLOCK_N), rows)](
                sums, bias, out, rows, weight.outputs, **shared, num_warps=1
            )
