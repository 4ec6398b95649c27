"""Partial results of one query put together by log-sum-exp; launched by `attention.py`."""

from __future__ import annotations

from typing import Any, Final

import torch
import triton
import triton.language as tl

from .tiles import block_d
from .work import Partials

_PARTS: Final = 8  # of one query and head, loaded at once


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
):
    merge = merges + tl.program_id(0) * 3
    head = tl.program_id(1)
    token = tl.load(merge)
    start = tl.load(merge + 1)
    count = tl.load(merge + 2).to(tl.int32)
    if count == 0:
        return
    dims = tl.arange(0, BLOCK_D)
    parts = tl.arange(0, PARTS)
    top = -float("inf")
    total = 0.0
    acc = tl.zeros([BLOCK_D], tl.float32)
    for first in range(0, count, PARTS):
        there = first + parts < count
        row = (start + first + parts) * HEADS + head
        log_sum = tl.load(partial_log_sum + row, mask=there, other=-float("inf"))
        x = tl.load(
            partial_out + row[:, None] * HEAD_DIM + dims[None, :],
            mask=there[:, None] & (dims < HEAD_DIM)[None, :],
            other=0.0,
        )
        new_top = tl.maximum(top, tl.max(log_sum, 0))
        base = tl.where(new_top == -float("inf"), 0.0, new_top)
        weights = tl.exp2(log_sum - base)
        shrink = tl.exp2(top - base)
        total = total * shrink + tl.sum(weights, 0)
        acc = acc * shrink + tl.sum(x * weights[:, None], 0)
        top = new_top
    tl.store(
        out + token * out_token_stride + head * HEAD_DIM + dims,
        (acc / total).to(out.dtype.element_ty),
        mask=dims < HEAD_DIM,
    )


def launch_merges(merges: torch.Tensor, partials: Partials, out: torch.Tensor) -> None:
    """Write the queries of `merges` into `out: [tokens, heads, head_dim]`."""
    heads, head_dim = out.shape[1:]
    kernel: Any = merge_parts
    kernel[merges.shape[0], heads](
        *partials,
        merges,
        out,
        out.stride(0),
        HEADS=heads,
        HEAD_DIM=head_dim,
        BLOCK_D=block_d(head_dim),
        PARTS=_PARTS,
        num_warps=2,
    )
