"""Products of a tile of rows with a tile of a weight that may be rounded (`packing.Quantized`); the
kernels of `quantized.py` and `moe.py` are made of them."""

from __future__ import annotations

import triton
import triton.language as tl

from .dot import dot


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
def scales_of(scales, of_expert, n, scale_stride, STORAGE: tl.constexpr, SCALE_ROWS: tl.constexpr):
    """Where the scales of the outputs `n` are."""
    if STORAGE == "plain":
        return n
    else:
        return scales + of_expert + (n // SCALE_ROWS) * scale_stride


@triton.jit
def scaled(total, of_output, valid_n, STORAGE: tl.constexpr, GROUP: tl.constexpr):
    """A finished sum by its outputs' scale, where there is one for all inputs."""
    if STORAGE != "plain" and GROUP == 0:
        scale = tl.load(of_output, mask=valid_n, other=0.0)
        total *= scale.to(tl.float32)[None, :]
    return total
