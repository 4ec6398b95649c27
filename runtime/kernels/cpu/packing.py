"""Weights in the order of the C++ linear layers (src/kernels.h, Storage), and back; in plain torch
but for the last step, which `CpuKernels.interleave` takes, too.

Called when a model is loaded; what is rounded here is all that quantization loses in a weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import torch
import torch.nn.functional as F

from ...memory.pages import zeros_by_page
from ..base import WeightUse

if TYPE_CHECKING:
    from ...engine.config import Quantization

Storage = Literal["bf16", "int8", "int4", "float"]
# Numbered as in src/kernels.h.
STORAGES: Final[tuple[Storage, ...]] = ("bf16", "int8", "int4", "float")

# Outputs that are packed at once: so many rows of float32 are all that packing needs beside the
# weight and its packed form.
_ROWS: Final = 2048
_LARGEST_INT8: Final = 127.0
_PAGES_FROM: Final = 64 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Packed:
    """A weight [outputs, inputs] for the kernels. group: inputs that share a scale, in int4.

    words: int32 [blocks of 16 outputs, words, 16]. scales: float32 [outputs, padded] for int8,
    bfloat16 [blocks, groups, 16] for int4, else None.
    """

    storage: Storage
    outputs: int
    inputs: int
    group: int
    words: torch.Tensor
    scales: torch.Tensor | None

    def unpack(self, ids: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """The weight's rows `ids: [rows]` as [rows, inputs]."""
        block, lane = ids // 16, ids % 16
        words = self.words[block, :, lane]
        if self.storage in ("bf16", "float"):
            rows = words.view(torch.bfloat16 if self.storage == "bf16" else torch.float32)
            return rows[:, : self.inputs].to(dtype)
        assert self.scales is not None
        if self.storage == "int8":
            values = words.view(torch.int8) * self.scales[ids, None]
        else:
            scales = self.scales[block, :, lane].float()
            values = (_grouped(_nibbles(words), self.group) * scales[..., None]).flatten(1)
        return values[:, : self.inputs].to(dtype)


def storage_of(quantization: Quantization, use: WeightUse) -> tuple[Storage, int]:
    """How a weight is stored, and its group. The vocabulary's is never coarser than int8: its
    rows are inputs and its products logits, and it loses the most by rounding. A router's, which is
    small, is not rounded: another expert is another model."""
    if quantization == "none" or use == "router":
        return "bf16", 0
    if quantization == "int8" or use == "vocabulary":
        return "int8", 0
    return "int4", int(quantization.partition("-")[2] or 32)


def interleave(rows: torch.Tensor, words: torch.Tensor) -> None:
    """Rows of words, int32 [16 * blocks, n], into `words: [blocks, n, 16]`."""
    words.copy_(rows.view(-1, 16, rows.shape[1]).transpose(1, 2))


def pack(
    weight: torch.Tensor,
    storage: Storage,
    group: int = 0,
    interleave: Callable[[torch.Tensor, torch.Tensor], None] = interleave,
) -> Packed:
    """`weight: [outputs, inputs]` as `storage`, a bounded number of rows at a time."""
    outputs, inputs = weight.shape
    unit = {"bf16": 32, "int8": 64, "int4": group, "float": 32}[storage]
    padded, blocks = -(-inputs // unit) * unit, -(-outputs // 16)
    per_word = {"bf16": 2, "int8": 4, "int4": 8, "float": 1}[storage]
    words = _words_of(blocks, padded // per_word, 16)
    scales: torch.Tensor | None = None
    if storage == "int8":
        scales = torch.empty(blocks * 16)
    elif storage == "int4":
        scales = torch.empty(blocks, padded // group, 16, dtype=torch.bfloat16)
    for start in range(0, blocks * 16, _ROWS):
        rows = weight[start : start + _ROWS]
        if padded > inputs or len(rows) % 16:
            rows = F.pad(rows, (0, padded - inputs, 0, -len(rows) % 16))
        here = slice(start // 16, start // 16 + len(rows) // 16)
        if storage == "bf16":
            codes = rows.to(torch.bfloat16).view(torch.int32)
        elif storage == "float":
            codes = rows.float().view(torch.int32)
        elif storage == "int8":
            assert scales is not None
            values, scale = round_to_int8(rows)
            codes = values.view(torch.int32)
            scales[start : start + len(rows)] = scale
        else:
            assert scales is not None
            values, scale = round_to_int4(rows, group)
            codes = _words(values)
            scales[here] = scale.view(-1, 16, scale.shape[1]).transpose(1, 2)
        interleave(codes, words[here])
    return Packed(storage, outputs, inputs, group, words, scales)


def _words_of(*shape: int) -> torch.Tensor:
    """int32 `shape`. On malloc's heap packed weights lie between what is freed after packing, and
    a model takes twice its size (measured: 2.0 GB resident for 1 GB)."""
    if 4 * math.prod(shape) < _PAGES_FROM:
        return torch.empty(shape, dtype=torch.int32)
    return zeros_by_page(shape, torch.int32)


def round_to_int8(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 [rows, inputs] and its scales, float32 [rows]: each row's largest is 127 of them."""
    rows = rows.float()
    scale = rows.abs().amax(1) / _LARGEST_INT8
    divisor = torch.where(scale > 0, scale, 1.0)
    return (rows / divisor[:, None]).round_().to(torch.int8), scale


def round_to_int4(rows: torch.Tensor, group: int) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 [rows, inputs] of -8 ... 7, and its scales, bfloat16 [rows, inputs / group].

    A group's value of the largest magnitude becomes -8: one more step than a symmetric range has.
    Then the scale is fitted to the rounded values by least squares.
    """
    groups = _grouped(rows.float(), group)
    largest = groups.gather(2, groups.abs().argmax(2, keepdim=True))
    scale = _fitted(groups, (largest / -8).to(torch.bfloat16).float())
    codes = _codes(groups, scale)
    return codes.to(torch.int8).flatten(1), scale.squeeze(2).to(torch.bfloat16)


def _grouped(rows: torch.Tensor, group: int) -> torch.Tensor:
    return rows.reshape(len(rows), -1, group)


def _fitted(groups: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    codes = _codes(groups, scale)
    squares = codes.square().sum(2, keepdim=True)
    fitted = (groups * codes).sum(2, keepdim=True) / torch.where(squares > 0, squares, 1.0)
    return fitted.to(torch.bfloat16).float()


def _codes(groups: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return (groups / torch.where(scale != 0, scale, 1.0)).round_().clamp_(-8, 7)


def _words(values: torch.Tensor) -> torch.Tensor:
    """-8 ... 7 as int8 [rows, inputs] to int32 [rows, inputs / 8]: input 2 i + j of a word in bits
    16 j + 4 i, plus 8."""
    nibbles = (values + 8).to(torch.uint8).view(len(values), -1, 4, 2)  # [.., i, j]
    pairs = nibbles[:, :, ::2] | nibbles[:, :, 1::2] << 4  # [.., i / 2, j]: the bytes of half j
    return pairs.transpose(2, 3).flatten(2).view(torch.int32).flatten(1)


def _nibbles(words: torch.Tensor) -> torch.Tensor:
    """What `_words` packed, as float32 [rows, inputs]."""
    halves = words.contiguous().view(torch.uint8).view(len(words), -1, 2, 2)  # [.., j, i / 2]
    pairs = torch.stack((halves & 15, halves >> 4), -1)  # [.., j, i / 2, i % 2]
    return pairs.flatten(3).transpose(2, 3).flatten(1).float() - 8


def unpacked(
    packed: Packed, dtype: torch.dtype, use: Callable[[slice, torch.Tensor], None]
) -> None:
    """Hand the weight to `use` in `dtype`, some of its outputs at a time."""
    for start in range(0, packed.outputs, _ROWS):
        rows = slice(start, min(start + _ROWS, packed.outputs))
        use(rows, packed.unpack(torch.arange(rows.start, rows.stop), dtype))
