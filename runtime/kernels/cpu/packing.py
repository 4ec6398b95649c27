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

Storage = Literal["bf16", "int8", "int4", "float", "int6"]
# Numbered as in src/kernels.h.
STORAGES: Final[tuple[Storage, ...]] = ("bf16", "int8", "int4", "float", "int6")

# Outputs that are packed at once: so many rows of float32 are all that packing needs beside the
# weight and its packed form.
_ROWS: Final = 2048
_LARGEST_INT8: Final = 127.0
_INT6_GROUP: Final = 64
# Of int6: in a span of 32 inputs, and of these the words with low bits.
_SPAN_WORDS: Final = 6
_LOW_WORDS: Final = 4
# Of the high ones in a byte: [which of two words with low bits, 1, which nibble of it, 1].
_HIGH_SHIFTS: Final = torch.tensor([0, 2, 4, 6], dtype=torch.uint8).view(2, 1, 2, 1)
_PAGES_FROM: Final = 64 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Packed:
    """A weight [outputs, inputs] for the kernels. group: inputs that share a scale, in int4
    and int6.

    words: int32 [blocks of 16 outputs, words, 16]. scales: float32 [outputs, padded] for int8,
    bfloat16 [blocks, groups, 16] for int4 and int6, else None.
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
            codes = _nibbles(words) - 8 if self.storage == "int4" else _six_bits(words) - 32
            scales = self.scales[block, :, lane].float()
            values = (_grouped(codes, self.group) * scales[..., None]).flatten(1)
        return values[:, : self.inputs].to(dtype)


def storage_of(
    quantization: Quantization, use: WeightUse, *, has_int6: bool = False
) -> tuple[Storage, int]:
    """How a weight is stored, and its group. The vocabulary's is never as coarse as int4: its rows
    are inputs and its products logits, and it loses the most by rounding. A router's, which is
    small, is not rounded: another expert is another model."""
    if quantization == "none" or use == "router":
        return "bf16", 0
    if quantization == "int8" or (use == "vocabulary" and not has_int6):
        return "int8", 0
    if use == "vocabulary":
        return "int6", _INT6_GROUP
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
    unit = group or (64 if storage == "int8" else 32)
    padded, blocks = -(-inputs // unit) * unit, -(-outputs // 16)
    span_words = {"bf16": 16, "int8": 8, "int4": 4, "float": 32, "int6": _SPAN_WORDS}[storage]
    words = _words_of(blocks, padded // 32 * span_words, 16)
    scales: torch.Tensor | None = None
    if storage == "int8":
        scales = torch.empty(blocks * 16)
    elif group:
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
            bits = 4 if storage == "int4" else 6
            values, scale = round_in_groups(rows, group, bits)
            whole = (values + (1 << bits - 1)).to(torch.uint8)
            codes = _words(whole) if storage == "int4" else _words_of_six_bits(whole)
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


def round_in_groups(rows: torch.Tensor, group: int, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 [rows, inputs] of `bits` bits, with a sign, and its scales, bfloat16 [rows, inputs /
    group].

    A group's value of the largest magnitude becomes the least integer, one more step than a
    symmetric range has. Then the scale is fitted to the rounded values by least squares.
    """
    groups, least = _grouped(rows.float(), group), -(1 << bits - 1)
    largest = groups.gather(2, groups.abs().argmax(2, keepdim=True))
    scale = _fitted(groups, (largest / least).to(torch.bfloat16).float(), least)
    codes = _codes(groups, scale, least)
    return codes.to(torch.int8).flatten(1), scale.squeeze(2).to(torch.bfloat16)


def _grouped(rows: torch.Tensor, group: int) -> torch.Tensor:
    return rows.reshape(len(rows), -1, group)


def _fitted(groups: torch.Tensor, scale: torch.Tensor, least: int) -> torch.Tensor:
    codes = _codes(groups, scale, least)
    squares = codes.square().sum(2, keepdim=True)
    fitted = (groups * codes).sum(2, keepdim=True) / torch.where(squares > 0, squares, 1.0)
    return fitted.to(torch.bfloat16).float()


def _codes(groups: torch.Tensor, scale: torch.Tensor, least: int) -> torch.Tensor:
    return (groups / torch.where(scale != 0, scale, 1.0)).round_().clamp_(least, -least - 1)


def _words(nibbles: torch.Tensor) -> torch.Tensor:
    """0 ... 15 as uint8 [rows, inputs] to int32 [rows, inputs / 8]: input 2 i + j of a word in bits
    16 j + 4 i."""
    nibbles = nibbles.view(len(nibbles), -1, 4, 2)  # [.., i, j]
    pairs = nibbles[:, :, ::2] | nibbles[:, :, 1::2] << 4  # [.., i / 2, j]: the bytes of half j
    return pairs.transpose(2, 3).flatten(2).view(torch.int32).flatten(1)


def _nibbles(words: torch.Tensor) -> torch.Tensor:
    """What `_words` packed, as float32 [rows, inputs]."""
    halves = words.contiguous().view(torch.uint8).view(len(words), -1, 2, 2)  # [.., j, i / 2]
    pairs = torch.stack((halves & 15, halves >> 4), -1)  # [.., j, i / 2, i % 2]
    return pairs.flatten(3).transpose(2, 3).flatten(1).float()


def _words_of_six_bits(codes: torch.Tensor) -> torch.Tensor:
    """0 ... 63 as uint8 [rows, inputs] to int32 [rows, inputs / 32 * 6]: for 32 inputs four words
    as `_words` makes of the low four bits, and two with the high ones, each of 16 inputs."""
    rows = len(codes)
    # [.., word with high bits, which of two with low ones, i / 2, i % 2, j]; i, j as in `_words`.
    high = (codes >> 4).view(rows, -1, 2, 2, 2, 2, 2)
    high = (high << _HIGH_SHIFTS).sum((3, 5), dtype=torch.uint8)  # [.., i / 2, j]
    high = high.transpose(3, 4).flatten(2).view(torch.int32)
    low = _words(codes & 15).view(rows, -1, _LOW_WORDS)
    return torch.cat((low, high), 2).flatten(1)


def _six_bits(words: torch.Tensor) -> torch.Tensor:
    """What `_words_of_six_bits` packed, as float32 [rows, inputs]."""
    spans = words.reshape(len(words), -1, _SPAN_WORDS)
    high = spans[:, :, _LOW_WORDS:].contiguous().view(torch.uint8).view(*spans.shape[:2], 2, 2, 2)
    high = high.transpose(3, 4)[:, :, :, None, :, None] >> _HIGH_SHIFTS & 3
    return _nibbles(spans[:, :, :_LOW_WORDS].flatten(1)) + 16 * high.flatten(1)


def unpacked(
    packed: Packed, dtype: torch.dtype, use: Callable[[slice, torch.Tensor], None]
) -> None:
    """Hand the weight to `use` in `dtype`, some of its outputs at a time."""
    for start in range(0, packed.outputs, _ROWS):
        rows = slice(start, min(start + _ROWS, packed.outputs))
        use(rows, packed.unpack(torch.arange(rows.start, rows.stop), dtype))
