"""Weights as the quantized linear layers of a GPU read them, in plain torch; called by `ops.py`.

int8 and int4 are rounded as for the CPU (`kernels/cpu/packing.py`), so that a quantized model is
the same model on both, but that embedding and logits beside int4 are in int8 here, in int6 there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import torch
import torch.nn.functional as F

from ..cpu.packing import round_in_groups, round_to_int8
from ..float8 import SQUARE, Float8Weight

Storage = Literal["int8", "int4", "fp8"]

# Inputs that the kernels multiply at once.
STEP: Final = SQUARE

# Outputs that are rounded at once: the memory that packing needs beside both forms of the weight.
_ROWS: Final = 2048


@dataclass(frozen=True, slots=True)
class Quantized:
    """A weight [outputs, inputs], or one of each expert; inputs are padded with zeros to a multiple
    of STEP.

    codes: [outputs, padded] int8 or float8_e4m3fn; for int4 uint8 [outputs, padded / 2], where
    byte j of a step holds its input j, plus 8, in the low and input STEP / 2 + j in the high bits.
    scales: of output n and input k at [n // scale_rows, k // group], in any strides; one column
    where `group` is 0. "plain" is a weight as it was, without padding, and nothing in
    scales.
    """

    storage: Storage | Literal["plain"]
    outputs: int
    inputs: int
    group: int
    codes: torch.Tensor
    scales: torch.Tensor
    scale_rows: int

    @property
    def steps(self) -> int:
        return -(-self.inputs // STEP)


def quantize(weight: torch.Tensor, storage: Storage, group: int = 0) -> Quantized:
    """`weight: [outputs, inputs]` rounded: int8 with a scale per output, int4 with one per output
    and `group` of 32, 64 or 128 inputs, fp8 with one per square of 128 by 128."""
    outputs, inputs = weight.shape
    padded = -(-inputs // STEP) * STEP
    codes, scales = [], []
    for start in range(0, outputs, _ROWS):
        rows = F.pad(weight[start : start + _ROWS], (0, padded - inputs))
        if storage == "int8":
            code, scale = round_to_int8(rows)
            scale = scale.unsqueeze(1)
        elif storage == "int4":
            code, scale = round_in_groups(rows, group, 4)
            code = _nibbles(code)
        else:
            code, scale = round_to_fp8(rows)
        codes.append(code)
        scales.append(scale)
    whole = torch.cat(scales)
    if storage == "int4":
        # Neighbouring outputs' scales of one group are read together.
        whole = whole.t().contiguous().t()
    if storage == "fp8":
        group = STEP
    rows_per_scale = STEP if storage == "fp8" else 1
    return Quantized(storage, outputs, inputs, group, torch.cat(codes), whole, rows_per_scale)


def as_it_is(weight: torch.Tensor) -> Quantized:
    """`weight: [outputs, inputs]` for the kernels of quantized ones."""
    outputs, inputs = weight.shape
    return Quantized("plain", outputs, inputs, 0, weight, weight.new_empty(0, 0), 1)


def from_float8(weight: Float8Weight) -> Quantized:
    """The weight of an fp8 checkpoint as it is."""
    outputs, inputs = weight.codes.shape
    codes = F.pad(weight.codes.view(torch.int8), (0, -inputs % STEP)).view(weight.codes.dtype)
    group = STEP if weight.scales.shape[1] > 1 else 0
    return Quantized("fp8", outputs, inputs, group, codes, weight.scales, weight.scale_rows)


def round_to_fp8(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """float8_e4m3fn [rows, inputs] and scales, float32 [ceil(rows / 128), inputs / 128]: the
    largest of a square is 448, float8's largest."""
    outputs, inputs = rows.shape
    squares = F.pad(rows.float(), (0, 0, 0, -outputs % STEP))
    squares = squares.view(-1, STEP, inputs // STEP, STEP)
    largest = torch.finfo(torch.float8_e4m3fn).max
    scale = squares.abs().amax((1, 3)) / largest
    divisor = torch.where(scale > 0, scale, 1.0)[:, None, :, None]
    codes = (squares / divisor).clamp_(-largest, largest).to(torch.float8_e4m3fn)
    return codes.view(-1, inputs)[:outputs], scale


def _nibbles(codes: torch.Tensor) -> torch.Tensor:
    """-8 ... 7 as int8 [rows, inputs] in the bytes that `Quantized` describes."""
    halves = (codes + 8).view(torch.uint8).view(len(codes), -1, 2, STEP // 2)
    return (halves[:, :, 0] | halves[:, :, 1] << 4).flatten(1)
