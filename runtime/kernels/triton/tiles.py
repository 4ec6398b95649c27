"""The kernel under all attention here: a tile of queries against a range of KV slots.

Launched by `attention.py` with the tables of `work.py`. The query heads that read one KV head are
rows of one tile, `GROUP` rows per query, so that a key is loaded once for all of them. Softmax is
computed on the way (arXiv:1805.02867), in base 2.
"""

from __future__ import annotations

from typing import Any, Final

import torch
import triton
import triton.language as tl

from ...memory.kv_pool import LayerKV
from .dot import dot
from .work import DeviceLaunch, Partials

_LOG2_E: Final = 1.4426950408889634


@triton.jit
def attend_tile(
    q,
    k,
    v,
    out,
    partial_out,
    partial_log_sum,
    items,
    queries,
    q_token_stride,
    q_head_stride,
    out_token_stride,
    kv_head_stride,
    kv_slot_stride,
    qk_scale,
    soft_cap,
    window,
    HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
    HAS_WINDOW: tl.constexpr,
    HAS_SOFT_CAP: tl.constexpr,
):
    item = items + tl.program_id(0) * 6
    kv_head = tl.program_id(1)
    begin = tl.load(item + 1).to(tl.int32)
    end = tl.load(item + 2).to(tl.int32)
    if begin >= end:
        return
    slots = tl.load(item).to(tl.pointer_type(tl.int64))
    first = tl.load(item + 3)
    count = tl.load(item + 4)
    ordinal = tl.load(item + 5)

    rows = tl.arange(0, BLOCK_M)
    used = rows // GROUP < count
    entries = queries + (first + rows // GROUP) * 3
    token = tl.load(entries, mask=used, other=0)
    partial = tl.load(entries + 1, mask=used, other=-1)
    position = tl.load(entries + 2, mask=used, other=0).to(tl.int32)
    head = kv_head * GROUP + rows % GROUP

    dims = tl.arange(0, BLOCK_D)
    used_dims = used[:, None] & (dims < HEAD_DIM)[None, :]
    q_offsets = token[:, None] * q_token_stride + head[:, None] * q_head_stride + dims[None, :]
    tile = tl.load(q + q_offsets, mask=used_dims, other=0.0)

    # Whole blocks of keys that every query of the tile sees need no mask.
    lowest = tl.min(tl.where(used, position, 2147483647))
    if HAS_WINDOW:
        begin += tl.maximum(lowest - window + 1 - begin, 0) // BLOCK_N * BLOCK_N
    whole = begin + tl.maximum(tl.minimum(lowest + 1, end) - begin, 0) // BLOCK_N * BLOCK_N

    k += kv_head.to(tl.int64) * kv_head_stride
    v += kv_head.to(tl.int64) * kv_head_stride
    top = tl.full([BLOCK_M], -float("inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    acc, top, total = _attend_keys(
        acc, top, total, tile, k, v, slots, begin, whole, position, kv_slot_stride, qk_scale,
        soft_cap, window, HEAD_DIM, BLOCK_M, BLOCK_N, BLOCK_D, False, HAS_WINDOW, HAS_SOFT_CAP,
    )  # fmt: skip
    acc, top, total = _attend_keys(
        acc, top, total, tile, k, v, slots, whole, end, position, kv_slot_stride, qk_scale,
        soft_cap, window, HEAD_DIM, BLOCK_M, BLOCK_N, BLOCK_D, True, HAS_WINDOW, HAS_SOFT_CAP,
    )  # fmt: skip

    # A query that sees no key here leaves zeros, and a sum whose logarithm is -inf.
    total = tl.where(total == 0.0, 1.0, total)
    acc = acc / total[:, None]
    alone = (partial < 0)[:, None]
    out_offsets = token[:, None] * out_token_stride + head[:, None] * HEAD_DIM + dims[None, :]
    tl.store(out + out_offsets, acc.to(out.dtype.element_ty), mask=used_dims & alone)
    part = (partial + ordinal) * HEADS + head
    tl.store(
        partial_out + part[:, None] * HEAD_DIM + dims[None, :], acc, mask=used_dims & (alone == 0)
    )
    tl.store(partial_log_sum + part, top + tl.log2(total), mask=used & (partial >= 0))


@triton.jit
def _attend_keys(
    acc,
    top,
    total,
    tile,
    k,
    v,
    slots,
    begin,
    end,
    position,
    slot_stride,
    qk_scale,
    soft_cap,
    window,
    HEAD_DIM: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
    MASKED: tl.constexpr,
    HAS_WINDOW: tl.constexpr,
    HAS_SOFT_CAP: tl.constexpr,
):
    """The tile's sums over keys begin .. end - 1 added to what it has. MASKED: they are not whole
    blocks that every query sees."""
    dims = tl.arange(0, BLOCK_D)
    for start in range(begin, end, BLOCK_N):
        keys = start + tl.arange(0, BLOCK_N)
        present = keys < end
        if MASKED:
            slot = tl.load(slots + keys, mask=present, other=0).to(tl.int32)
        else:
            slot = tl.load(slots + keys).to(tl.int32)
        offsets = slot[:, None] * slot_stride + dims[None, :]
        if MASKED:
            there = present[:, None] & (dims < HEAD_DIM)[None, :]
            key = tl.load(k + offsets, mask=there, other=0.0)
            value = tl.load(v + offsets, mask=there, other=0.0)
        elif HEAD_DIM < BLOCK_D:
            key = tl.load(k + offsets, mask=(dims < HEAD_DIM)[None, :], other=0.0)
            value = tl.load(v + offsets, mask=(dims < HEAD_DIM)[None, :], other=0.0)
        else:
            key = tl.load(k + offsets)
            value = tl.load(v + offsets)

        scores = dot(tile, key.to(tile.dtype), tl.zeros([BLOCK_M, BLOCK_N], tl.float32))
        scores *= qk_scale
        if HAS_SOFT_CAP:
            # cap * tanh(score / cap), with tanh(x) = 1 - 2 / (1 + exp(2 x)), which cannot overflow.
            scores = soft_cap * (1.0 - 2.0 / (1.0 + tl.exp2(scores)))
        if MASKED:
            seen = present[None, :] & (keys[None, :] <= position[:, None])
            scores = tl.where(seen, scores, -float("inf"))
        if HAS_WINDOW:
            seen_near = keys[None, :] > position[:, None] - window
            scores = tl.where(seen_near, scores, -float("inf"))

        new_top = tl.maximum(top, tl.max(scores, 1))
        # Where nothing was seen yet -inf - -inf would be NaN.
        base = tl.where(new_top == -float("inf"), 0.0, new_top)
        weights = tl.exp2(scores - base[:, None])
        shrink = tl.exp2(top - base)
        total = total * shrink + tl.sum(weights, 1)
        acc *= shrink[:, None]
        acc = dot(weights.to(tile.dtype), tl.trans(value.to(tile.dtype)), acc)
        top = new_top
    return acc, top, total


def block_d(head_dim: int) -> int:
    """Columns of a tile: a product needs 16 at least."""
    return max(16, int(triton.next_power_of_2(head_dim)))


def tile_options(block_m: int, head_dim: int, kv_dtype: torch.dtype) -> dict[str, int]:
    """Keys per block, warps and stages for a tile of `block_m` rows, as they fit an H100's
    registers and shared memory without spilling."""
    row_bytes = block_d(head_dim) * max(kv_dtype.itemsize, 2)
    wide = row_bytes > 256
    # The compiler spends half of the stages on the slots, which keys and values wait for. A narrow
    # tile waits for memory only, so two blocks are under way; a larger one needs the room.
    return {
        "BLOCK_N": 32 if wide else 64,
        "num_warps": 8 if block_m >= 128 or (wide and block_m >= 64) else 4,
        "num_stages": 5 if block_m <= 16 else 3,
    }


def scales(head_dim: int, soft_cap: float | None) -> tuple[float, float]:
    """(factor of the products of queries and keys, factor of their tanh), for softmax in base 2."""
    if soft_cap is None:
        return head_dim**-0.5 * _LOG2_E, 0.0
    return 2 * _LOG2_E * head_dim**-0.5 / soft_cap, soft_cap * _LOG2_E


def launch_tiles(
    launch: DeviceLaunch,
    q: torch.Tensor,
    layer_kv: LayerKV,
    window: int | None,
    soft_cap: float | None,
    out: torch.Tensor,
    partials: Partials,
) -> None:
    """Every item of `launch` for every KV head. q, out: [tokens, heads, head_dim]."""
    heads, head_dim = q.shape[1:]
    kv_heads = layer_kv.k.shape[1]
    if layer_kv.k.shape[0] * layer_kv.k.stride(0) >= 2**31:
        raise ValueError(
            f"{layer_kv.k.shape[0]} KV slots of {head_dim} are more than the kernels can address; "
            "give kv_slots"
        )
    qk_scale, cap = scales(head_dim, soft_cap)
    kernel: Any = attend_tile
    kernel[launch.items.shape[0], kv_heads](
        q,
        layer_kv.k,
        layer_kv.v,
        out,
        *partials,
        launch.items,
        launch.queries,
        q.stride(0),
        q.stride(1),
        out.stride(0),
        layer_kv.k.stride(1),
        layer_kv.k.stride(0),
        qk_scale,
        cap,
        0 if window is None else window,
        HEADS=heads,
        GROUP=heads // kv_heads,
        HEAD_DIM=head_dim,
        BLOCK_M=launch.block_m,
        BLOCK_D=block_d(head_dim),
        HAS_WINDOW=window is not None,
        HAS_SOFT_CAP=soft_cap is not None,
        **tile_options(launch.block_m, head_dim, layer_kv.k.dtype),
    )
