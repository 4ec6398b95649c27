"""The MLPs of a mixture of experts (Mixtral, Qwen3-MoE) over tokens sorted by expert.

Called by `experts.py`. Weights are as they are or rounded as a `Quantized`. Where each expert's
tokens begin is computed on the device and the grid is as large as it can ever need to be, so
nothing waits and a graph can hold it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
import triton
import triton.language as tl

from .activation import Activation, activate
from .packing import STEP, Quantized
from .weight_tiles import add_step, scaled, scales_of

_PLAIN_STEP: Final = 64  # inputs of weights as they are that are multiplied at once


@triton.jit
def _block(block, experts_of, ends, blocks, starts, counts, order, BLOCK_M: tl.constexpr):
    """Of a block of at most BLOCK_M (token, choice) pairs of one expert: the expert, the pairs'
    places in the sorted order, which of these count, and the pairs."""
    expert = tl.load(experts_of + block)
    within = block - (tl.load(ends + expert) - tl.load(blocks + expert))
    start = tl.load(starts + expert)
    place = start + within * BLOCK_M + tl.arange(0, BLOCK_M)
    valid = place < start + tl.load(counts + expert)
    return expert, place, valid, tl.load(order + place, mask=valid, other=0)


@triton.jit
def _gate_up(
    x,
    codes,
    scales,
    out,
    experts_of,
    ends,
    blocks,
    starts,
    counts,
    order,
    experts,
    choices,
    hidden,
    size,
    expert_codes,
    code_stride,
    expert_scales,
    scale_stride,
    group_stride,
    STORAGE: tl.constexpr,
    STEP: tl.constexpr,
    SCALE_ROWS: tl.constexpr,
    GROUP: tl.constexpr,
    KIND: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    block = tl.program_id(0)
    if tl.load(experts_of + block) < experts:
        expert, place, valid, pair = _block(
            block, experts_of, ends, blocks, starts, counts, order, BLOCK_M
        )
        n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
        valid_n = n < size
        x_row = x + (pair // choices)[:, None] * hidden
        codes += expert * expert_codes
        gate_row = codes + n[:, None].to(tl.int64) * code_stride
        up_row = codes + (size + n)[:, None].to(tl.int64) * code_stride
        of_gate = scales_of(scales, expert * expert_scales, n, scale_stride, STORAGE, SCALE_ROWS)
        of_up = scales_of(
            scales, expert * expert_scales, size + n, scale_stride, STORAGE, SCALE_ROWS
        )
        gate = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        up = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        for step in range(tl.cdiv(hidden, STEP)):
            gate = add_step(
                gate, x_row, valid[:, None], gate_row, of_gate, valid_n, group_stride, step, hidden,
                STORAGE, STEP, GROUP,
            )  # fmt: skip
            up = add_step(
                up, x_row, valid[:, None], up_row, of_up, valid_n, group_stride, step, hidden,
                STORAGE, STEP, GROUP,
            )  # fmt: skip
        gate = scaled(gate, of_gate, valid_n, STORAGE, GROUP)
        up = scaled(up, of_up, valid_n, STORAGE, GROUP)
        product = activate(gate, KIND) * up
        here = out + place[:, None] * size + n[None, :]
        tl.store(here, product.to(out.dtype.element_ty), mask=valid[:, None] & valid_n[None, :])


@triton.jit
def _down(
    h,
    codes,
    scales,
    shares,
    out,
    experts_of,
    ends,
    blocks,
    starts,
    counts,
    order,
    experts,
    hidden,
    size,
    expert_codes,
    code_stride,
    expert_scales,
    scale_stride,
    group_stride,
    STORAGE: tl.constexpr,
    STEP: tl.constexpr,
    SCALE_ROWS: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    block = tl.program_id(0)
    if tl.load(experts_of + block) < experts:
        expert, place, valid, pair = _block(
            block, experts_of, ends, blocks, starts, counts, order, BLOCK_M
        )
        n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
        valid_n = n < hidden
        h_row = h + place[:, None] * size
        code_row = codes + expert * expert_codes + n[:, None].to(tl.int64) * code_stride
        of_down = scales_of(scales, expert * expert_scales, n, scale_stride, STORAGE, SCALE_ROWS)
        total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        for step in range(tl.cdiv(size, STEP)):
            total = add_step(
                total, h_row, valid[:, None], code_row, of_down, valid_n, group_stride, step, size,
                STORAGE, STEP, GROUP,
            )  # fmt: skip
        total = scaled(total, of_down, valid_n, STORAGE, GROUP)
        total *= tl.load(shares + pair, mask=valid, other=0.0).to(tl.float32)[:, None]
        here = out + pair[:, None] * hidden + n[None, :]
        tl.store(here, total.to(out.dtype.element_ty), mask=valid[:, None] & valid_n[None, :])


@triton.jit
def _add_choices(
    parts, residual, hidden, residual_stride, CHOICES: tl.constexpr, BLOCK: tl.constexpr
):
    token = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < hidden
    here = residual + token * residual_stride + column
    total = tl.load(here, mask=inside, other=0.0).to(tl.float32)
    for choice in tl.static_range(CHOICES):
        part = parts + (token * CHOICES + choice) * hidden + column
        total += tl.load(part, mask=inside, other=0.0).to(tl.float32)
    tl.store(here, total.to(residual.dtype.element_ty), mask=inside)


def add_expert_mlps(
    residual: torch.Tensor,
    x: torch.Tensor,
    gate_up: Quantized,
    down: Quantized,
    expert_ids: torch.Tensor,
    shares: torch.Tensor,
    activation: Activation = "silu",
    tile: Tile | None = None,
) -> torch.Tensor:
    """residual + the sum over each token's experts of share * down(act(gate) * up), in place.

    residual, x: [tokens, hidden]; gate_up: [experts, 2 * size, hidden], gate first, and down:
    [experts, hidden, size], `Quantized` of all experts; expert_ids: int64 [tokens, choices],
    different ones per token; shares: [tokens, choices]. tile: by default as many rows as an expert
    has on average. A token's result depends on the tile, and on nothing beside it.
    """
    tokens, hidden = x.shape
    experts, size, choices = len(gate_up.codes), down.inputs, expert_ids.shape[1]
    if (gate_up.inputs, gate_up.outputs, down.outputs) != (hidden, 2 * size, hidden):
        raise ValueError(
            f"experts of {gate_up.outputs} x {gate_up.inputs} and {down.outputs} x {down.inputs} "
            f"do not fit x {tuple(x.shape)}"
        )
    if residual.shape != x.shape or residual.stride(1) != 1:
        raise ValueError(f"residual {tuple(residual.shape)} does not fit x {tuple(x.shape)}")
    if not tokens:
        return residual
    pairs = tokens * choices
    tile = tile or tile_for(pairs, experts)
    most_blocks = min(pairs, pairs // tile.rows + experts)
    sorted_pairs = _sort(expert_ids.flatten(), experts, tile.rows, most_blocks)

    h = x.new_empty(pairs, size)
    _gate_up[(most_blocks, triton.cdiv(size, tile.columns))](
        x.contiguous(),
        gate_up.codes,
        gate_up.scales,
        h,
        *sorted_pairs,
        experts,
        choices,
        hidden,
        size,
        *_strides(gate_up),
        KIND=activation,
        **_options(gate_up, tile),
    )
    parts = x.new_empty(pairs, hidden)
    _down[(most_blocks, triton.cdiv(hidden, tile.columns))](
        h,
        down.codes,
        down.scales,
        shares.contiguous(),
        parts,
        *sorted_pairs,
        experts,
        hidden,
        size,
        *_strides(down),
        **_options(down, tile),
    )
    block = min(1024, triton.next_power_of_2(hidden))
    _add_choices[(tokens, triton.cdiv(hidden, block))](
        parts, residual, hidden, residual.stride(0), CHOICES=choices, BLOCK=block
    )
    return residual


@dataclass(frozen=True, slots=True)
class Tile:
    """What a program computes at once: rows of one expert, and outputs."""

    rows: int
    columns: int = 64
    num_warps: int = 4
    num_stages: int = 3


# Where a token's result must not depend on how many others there are.
FIXED_TILE: Final = Tile(rows=64)


def tile_for(pairs: int, experts: int) -> Tile:
    """As many rows as an expert has on average, within what a tensor core takes and registers
    hold."""
    return Tile(min(64, max(16, triton.next_power_of_2(pairs // experts))))


def _strides(weight: Quantized) -> tuple[int, ...]:
    return (*weight.codes.stride()[:2], *weight.scales.stride())


def _options(weight: Quantized, tile: Tile) -> dict[str, Any]:
    return {
        "STORAGE": weight.storage,
        "STEP": _PLAIN_STEP if weight.storage == "plain" else STEP,
        "SCALE_ROWS": weight.scale_rows,
        "GROUP": weight.group,
        "BLOCK_M": tile.rows,
        "BLOCK_N": tile.columns,
        "num_warps": tile.num_warps,
        "num_stages": tile.num_stages,
    }


def _sort(
    expert_ids: torch.Tensor, experts: int, block_m: int, most_blocks: int
) -> tuple[torch.Tensor, ...]:
    """What `_block` reads, int64: the expert of each block (`experts` for one that is not needed);
    by expert the number of blocks up to its last, its own blocks, its first place and its number
    of pairs; the pairs by expert."""
    order = expert_ids.argsort(stable=True)
    counts = expert_ids.new_zeros(experts)
    counts.scatter_add_(0, expert_ids, torch.ones_like(expert_ids))
    blocks = (counts + (block_m - 1)) // block_m
    ends = blocks.cumsum(0)
    every_block = torch.arange(most_blocks, device=expert_ids.device)
    experts_of = torch.searchsorted(ends, every_block, right=True)
    return experts_of, ends, blocks, counts.cumsum(0) - counts, counts, order
