"""Weights that a checkpoint stores in float8, as they are: the loader makes them, operators that
can multiply by them take them, `whole` unpacks them for all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch

# Side of a square of weights with one scale (as in DeepSeek-V3's and Qwen3's checkpoints).
SQUARE: Final = 128

# Rows that are unpacked at once, in float32: the memory that it needs beside the result.
_ROWS: Final = 2048


@dataclass(frozen=True, slots=True)
class Float8Weight:
    """A weight [outputs, inputs], which is codes * scales.

    codes: float8_e4m3fn [outputs, inputs]. scales: float32, of output n and input k at
    [n // scale_rows, k // SQUARE], or in the one column that there is; scale_rows is 1 or SQUARE.
    dtype: what `whole` gives.
    """

    codes: torch.Tensor
    scales: torch.Tensor
    scale_rows: int
    dtype: torch.dtype

    def to(self, device: torch.device) -> Float8Weight:
        codes, scales = self.codes.to(device), self.scales.to(device)
        return Float8Weight(codes, scales, self.scale_rows, self.dtype)

    def whole(self) -> torch.Tensor:
        """[outputs, inputs] in `dtype`."""
        outputs, inputs = self.codes.shape
        whole = torch.empty(outputs, inputs, dtype=self.dtype, device=self.codes.device)
        for start in range(0, outputs, _ROWS):
            codes = self.codes[start : start + _ROWS]
            scales = self.of_rows()[start : start + _ROWS]
            if scales.shape[1] > 1:
                scales = scales.repeat_interleave(SQUARE, 1)[:, :inputs]
            torch.mul(codes.float(), scales, out=whole[start : start + _ROWS])
        return whole

    def of_rows(self) -> torch.Tensor:
        """The scales of each output, [outputs, columns]."""
        if self.scale_rows == 1:
            return self.scales
        return self.scales.repeat_interleave(self.scale_rows, 0)[: len(self.codes)]


def float8_weight(
    codes: torch.Tensor, scales: torch.Tensor, dtype: torch.dtype = torch.bfloat16
) -> Float8Weight:
    """`codes: [outputs, inputs]` by a checkpoint's scales: one number, one per output, or one per
    square, [ceil(outputs / 128), ceil(inputs / 128)]. Raises ValueError where they are not."""
    outputs, inputs = codes.shape
    squares = (-(-outputs // SQUARE), -(-inputs // SQUARE))
    scales = scales.float()
    if scales.numel() == 1:
        return Float8Weight(codes, scales.reshape(1, 1).repeat(outputs, 1), 1, dtype)
    if tuple(scales.shape) in ((outputs,), (outputs, 1)):
        return Float8Weight(codes, scales.reshape(outputs, 1), 1, dtype)
    if tuple(scales.shape) == squares:
        return Float8Weight(codes, scales, SQUARE, dtype)
    raise ValueError(
        f"scales {list(scales.shape)} of a float8 weight {list(codes.shape)} must be one number, "
        f"one per output, or {list(squares)}, one per {SQUARE} x {SQUARE} weights"
    )


def stacked(parts: Sequence[Float8Weight]) -> Float8Weight:
    """Several weights of the same inputs, one's outputs behind the other's."""
    if len(parts) == 1:
        return parts[0]
    # As bytes, because torch joins no float8 everywhere.
    codes = torch.cat([part.codes.view(torch.uint8) for part in parts]).view(parts[0].codes.dtype)
    in_squares = all(part.scale_rows == SQUARE for part in parts)
    if in_squares and not any(len(part.codes) % SQUARE for part in parts[:-1]):
        scales = torch.cat([part.scales for part in parts])
        return Float8Weight(codes, scales, SQUARE, parts[0].dtype)
    # Squares that do not begin where a square of the whole does have their scales in every row.
    columns = max(part.scales.shape[1] for part in parts)
    scales = torch.cat([part.of_rows().expand(-1, columns) for part in parts])
    return Float8Weight(codes, scales, 1, parts[0].dtype)
