"""Partial results of one query put together by log-sum-exp; launched by `attention.py`."""

from __future__ import annotations

from typing import Any, Final

import torch
import triton
import triton.language as tl

from .tiles import block_d
from .work import Partials

_PARTS: Final = 8  # of one query and head, loaded at once
# Heads of a program: a captured step has programs for all its queries, most of which have nothing
# to merge, so there should be few.
_HEADS: Final = 4


@triton.jit
def merge_parts(
    partial_out,
    partial_log_sum,
    merges,
    out,
    out_token_stride,
    HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    BLOCK_D: tl.constexpr,
    PARTS: tl.constexpr,
    BLOCK_H: tl.constexpr,
):
    merge = merges + tl.program_id(0) * 3
    token = tl.load(merge)
    start = tl.load(merge + 1)
    count = tl.load(merge + 2).to(tl.int32)
    if count == 0:
        return
    head = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    dims = tl.arange(0, BLOCK_D)
    parts = tl.arange(0, PARTS)
    used = (head < HEADS)[:, None] & (dims < HEAD_DIM)[None, :]
    top = tl.full([BLOCK_H], -float("inf"), tl.float32)
    total = tl.zeros([BLOCK_H], tl.float32)
    acc = tl.zeros([BLOCK_H, BLOCK_D], tl.float32)
    for first in range(0, count, PARTS):
        there = (head < HEADS)[:, None] & (first + parts < count)[None, :]
        row = (start + first + parts)[None, :] * HEADS + head[:, None]
        log_sum = tl.load(partial_log_sum + row, mask=there, other=-float("inf"))
        x = tl.load(
            partial_out + row[:, :, None] * HEAD_DIM + dims[None, None, :],
            mask=there[:, :, None] & (dims < HEAD_DIM)[None, None, :],
            other=0.0,
        )
        new_top = tl.maximum(top, tl.max(log_sum, 1))
        base = tl.where(new_top == -float("inf"), 0.0, new_top)
        weights = tl.exp2(log_sum - base[:, None])
        shrink = tl.exp2(top - base)
        total = total * shrink + tl.sum(weights, 1)
        acc = acc * shrink[:, None] + tl.sum(x * weights[:, :, None], 1)
        top = new_top
    total = tl.where(total == 0.0, 1.0, total)  # of heads that are not there
    tl.store(
        out + token * out_token_stride + head[:, None] * HEAD_DIM + dims[None, :],
        (acc / total[:, None]).to(out.dtype.element_ty),
        mask=used,
    )


def launch_merges(merges: torch.Tensor, partials: Partials, out: torch.Tensor) -> None:
    """Write the queries of `merges` into `out: [tokens, heads, head_dim]`."""
    heads, head_dim = out.shape[1:]
    kernel: Any = merge_parts
    kernel[merges.shape[0], triton.cdiv(heads, _HEADS)](
        *partials,
        merges,
        out,
        out.stride(0),
        HEADS=heads,
        HEAD_DIM=head_dim,
        BLOCK_D=block_d(head_dim),
        PARTS=_PARTS,
        BLOCK_H=_HEADS,
        num_warps=4,
    )
