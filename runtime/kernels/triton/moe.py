"""The MLPs of a mixture of experts (Mixtral, Qwen3-MoE) over tokens sorted by expert.

Called by the layers of such models. Where each expert's tokens begin is computed on the device and
the grid is as large as it can ever need to be, so nothing waits and a graph can hold it.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl

from .activation import Activation, activate
from .dot import dot

_BLOCK_N: Final = 64
_BLOCK_K: Final = 64


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
    weights,
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
    KIND: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    block = tl.program_id(0)
    if tl.load(experts_of + block) < experts:
        expert, place, valid, pair = _block(
            block, experts_of, ends, blocks, starts, counts, order, BLOCK_M
        )
        n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
        valid_n = n < size
        x_row = x + (pair // choices)[:, None] * hidden
        gate_row = weights + (expert * 2 * size + n)[:, None] * hidden
        up_row = gate_row + size.to(tl.int64) * hidden
        gate = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        up = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        for first in range(0, hidden, BLOCK_K):
            k = first + tl.arange(0, BLOCK_K)[None, :]
            values = tl.load(x_row + k, mask=valid[:, None] & (k < hidden), other=0.0)
            of_weight = valid_n[:, None] & (k < hidden)
            gate_weight = tl.load(gate_row + k, mask=of_weight, other=0.0)
            up_weight = tl.load(up_row + k, mask=of_weight, other=0.0)
            gate = dot(values, gate_weight, gate)
            up = dot(values, up_weight, up)
        product = activate(gate, KIND) * up
        here = out + place[:, None] * size + n[None, :]
        tl.store(here, product.to(out.dtype.element_ty), mask=valid[:, None] & valid_n[None, :])


@triton.jit
def _down(
    h,
    weights,
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
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    block = tl.program_id(0)
    if tl.load(experts_of + block) < experts:
        expert, place, valid, pair = _block(
            block, experts_of, ends, blocks, starts, counts, order, BLOCK_M
        )
        n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
        valid_n = n < hidden
        h_row = h + place[:, None] * size
        weight_row = weights + (expert * hidden + n)[:, None] * size
        total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        for first in range(0, size, BLOCK_K):
            k = first + tl.arange(0, BLOCK_K)[None, :]
            values = tl.load(h_row + k, mask=valid[:, None] & (k < size), other=0.0)
            weight = tl.load(weight_row + k, mask=valid_n[:, None] & (k < size), other=0.0)
            total = dot(values, weight, total)
        total *= tl.load(shares + pair, mask=valid, other=0.0).to(tl.float32)[:, None]
        here = out + pair[:, None] * hidden + n[None, :]
        tl.store(here, total.to(out.dtype.element_ty), mask=valid[:, None] & valid_n[None, :])


def expert_mlp(
    x: torch.Tensor,
    gate_up: torch.Tensor,
    down: torch.Tensor,
    expert_ids: torch.Tensor,
    shares: torch.Tensor,
    activation: Activation = "silu",
) -> torch.Tensor:
    """[tokens, hidden]: for each token the sum over its experts of share * down(act(gate) * up).

    x: [tokens, hidden]; gate_up: [experts, 2 * size, hidden], gate first; down: [experts, hidden,
    size]; expert_ids: int64 [tokens, choices], different ones per token; shares: [tokens,
    choices]. Results do not depend on the order in which programs run.
    """
    tokens, hidden = x.shape
    experts, double, _ = gate_up.shape
    size, choices = double // 2, expert_ids.shape[1]
    if gate_up.shape[2] != hidden or down.shape != (experts, hidden, size):
        raise ValueError(
            f"experts of {tuple(gate_up.shape)} and {tuple(down.shape)} do not fit "
            f"x {tuple(x.shape)}"
        )
    if not (gate_up.is_contiguous() and down.is_contiguous()):
        raise ValueError("the experts' weights must be contiguous")
    if not tokens:
        return torch.empty_like(x)
    pairs = tokens * choices
    # As many rows as an expert has on average, within what a tensor core takes and registers hold.
    block_m = min(64, max(16, triton.next_power_of_2(pairs // experts)))
    most_blocks = min(pairs, pairs // block_m + experts)
    sorted_pairs = _sort(expert_ids.flatten(), experts, block_m, most_blocks)
    blocks = {"BLOCK_M": block_m, "BLOCK_N": _BLOCK_N, "BLOCK_K": _BLOCK_K}

    h = x.new_empty(pairs, size)
    _gate_up[(most_blocks, triton.cdiv(size, _BLOCK_N))](
        x.contiguous(),
        gate_up,
        h,
        *sorted_pairs,
        experts,
        choices,
        hidden,
        size,
        KIND=activation,
        **blocks,
    )
    out = x.new_empty(pairs, hidden)
    _down[(most_blocks, triton.cdiv(hidden, _BLOCK_N))](
        h, down, shares.contiguous(), out, *sorted_pairs, experts, hidden, size, **blocks
    )
    return out.view(tokens, choices, hidden).sum(1)


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
