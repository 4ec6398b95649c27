"""Rotary embedding of q and k and the storing of k and v, in one pass; called by attention.

A program takes some heads of one token, each as two halves that rotate into each other, so that a
thread overwrites only what it alone has read.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl

from ...memory.kv_pool import LayerKV
from ..base import HeadNorm

# Heads of a program: a single decoded token still fills several multiprocessors.
_HEADS: Final = 8


@triton.jit
def _rope_store(
    qkv,
    cos,
    sin,
    weight,
    kv,
    slots,
    heads,
    kv_heads,
    num_slots,
    eps,
    NORMS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    HALF: tl.constexpr,
    HEADS: tl.constexpr,
    LARGEST: tl.constexpr,
):
    token = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    column = tl.arange(0, HALF)
    half: tl.constexpr = HEAD_DIM // 2
    inside = (head < heads + 2 * kv_heads)[:, None] & (column < half)[None, :]
    rotates = head < heads + kv_heads

    here = qkv + (token * (heads + 2 * kv_heads) + head)[:, None] * HEAD_DIM + column[None, :]
    first = tl.load(here, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(here + half, mask=inside, other=0.0).to(tl.float32)
    # A value is neither normalised nor rotated.
    plain_first, plain_second = first, second

    if NORMS:
        squares = tl.sum(first * first, 1) + tl.sum(second * second, 1)
        scale = tl.rsqrt(squares / HEAD_DIM + eps)[:, None]
        weighted = weight + head[:, None] * HEAD_DIM + column[None, :]
        of_rotated = inside & rotates[:, None]
        first *= scale * tl.load(weighted, mask=of_rotated, other=0.0).to(tl.float32)
        second *= scale * tl.load(weighted + half, mask=of_rotated, other=0.0).to(tl.float32)

    angle = token * HEAD_DIM + column
    cos_first = tl.load(cos + angle, mask=column < half, other=0.0).to(tl.float32)[None, :]
    cos_second = tl.load(cos + angle + half, mask=column < half, other=0.0).to(tl.float32)[None, :]
    sin_first = tl.load(sin + angle, mask=column < half, other=0.0).to(tl.float32)[None, :]
    sin_second = tl.load(sin + angle + half, mask=column < half, other=0.0).to(tl.float32)[None, :]
    turned_first = first * cos_first + second * sin_first
    turned_second = second * cos_second + first * sin_second
    first = tl.where(rotates[:, None], turned_first, plain_first)
    second = tl.where(rotates[:, None], turned_second, plain_second)

    is_query = inside & (head < heads)[:, None]
    tl.store(here, first.to(qkv.dtype.element_ty), mask=is_query)
    tl.store(here + half, second.to(qkv.dtype.element_ty), mask=is_query)

    slot = tl.load(slots + token)
    if slot >= 0:
        # Keys and values are one block of 2 * kv_heads heads here and there (LayerKV.heads).
        stored = inside & (head >= heads)[:, None]
        kv_head = tl.maximum(head - heads, 0).to(tl.int64)
        there = kv + (kv_head * num_slots + slot)[:, None] * HEAD_DIM + column[None, :]
        if LARGEST > 0:
            first = tl.minimum(tl.maximum(first, -LARGEST), LARGEST)
            second = tl.minimum(tl.maximum(second, -LARGEST), LARGEST)
        tl.store(there, first.to(kv.dtype.element_ty), mask=stored)
        tl.store(there + half, second.to(kv.dtype.element_ty), mask=stored)


def rope_store(
    qkv: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    layer_kv: LayerKV,
    new_slots: torch.Tensor,
    head_norm: HeadNorm | None = None,
) -> None:
    """Rotate q in place; rotate k and store it and v, each rounded once to the pool's type.

    qkv: [tokens, heads + 2 * kv_heads, head_dim], contiguous; its k and v stay as they are. cos,
    sin, head_norm: as in `Attention.attend_qkv`. new_slots: int64 [tokens]; nothing is stored for
    a negative one, so that a captured graph can be padded. A float8 pool's values are clamped to
    its range.
    """
    twice, num_slots, head_dim = layer_kv.heads.shape
    kv_heads = twice // 2
    tokens, all_heads, _ = qkv.shape
    if not qkv.is_contiguous() or qkv.shape[2] != head_dim or head_dim % 2:
        raise ValueError(
            f"qkv must be contiguous [tokens, heads, {head_dim}] of even head_dim, not "
            f"{tuple(qkv.shape)} with strides {qkv.stride()}"
        )
    if not tokens:
        return
    kv_type = layer_kv.heads.dtype
    weight, eps = head_norm if head_norm is not None else (None, 0.0)
    _rope_store[(tokens, triton.cdiv(all_heads, _HEADS))](
        qkv,
        cos.contiguous(),
        sin.contiguous(),
        weight,
        layer_kv.heads,
        new_slots,
        all_heads - twice,
        kv_heads,
        num_slots,
        eps,
        NORMS=head_norm is not None,
        HEAD_DIM=head_dim,
        HALF=triton.next_power_of_2(head_dim // 2),
        HEADS=_HEADS,
        LARGEST=torch.finfo(kv_type).max if kv_type.itemsize == 1 else 0.0,
        num_warps=4 if head_dim > 64 else 2,
    )
