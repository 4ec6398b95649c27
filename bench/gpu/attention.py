"""Attention against what the memory and the matrix units allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from branchline.runtime.device.base import Device, Kernels
from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.kernels.base import Attention
from branchline.runtime.memory.kv_pool import KVPool

from ..report import Report
from .limits import Limits
from .steps import decode_batch, extend_batch, separate, shared
from .timing import median_s

HEADS, KV_HEADS, HEAD_DIM = 32, 8, 128  # an 8B Llama's layer


@dataclass(frozen=True)
class Sizes:
    """What is measured. decodes: (sequences, keys). trees: (sequences, shared keys, own keys).
    extends: new tokens of one sequence."""

    decodes: tuple[tuple[int, int], ...] = ((1, 4096), (16, 4096), (64, 4096), (256, 1536))
    trees: tuple[tuple[int, int, int], ...] = ((128, 32_768, 64), (64, 256, 512))
    extends: tuple[int, ...] = (2048, 8192)
    heads: tuple[int, int, int] = (HEADS, KV_HEADS, HEAD_DIM)
    dtype: torch.dtype = torch.bfloat16


class AttentionBench:
    """One layer's attention by `kernels`."""

    def __init__(
        self, device: Device, report: Report, limits: Limits, sizes: Sizes, kernels: Kernels
    ) -> None:
        self.device, self.report, self.limits, self.sizes = device, report, limits, sizes
        self.attention: Attention[Any] = kernels.attention(*sizes.heads, None)

    def run(self) -> None:
        for count, keys in self.sizes.decodes:
            self.decode(count, keys, goal=0.85 if count >= 16 and keys >= 4096 else None)
        for count, trunk, own in self.sizes.trees:
            self.tree(count, trunk, own)
        for tokens in self.sizes.extends:
            self.extend(tokens)

    def decode(self, count: int, keys: int, goal: float | None) -> None:
        slots = separate(count, keys)
        seconds = self.attention_s(decode_batch(self.device, slots), count * keys)
        read = self._bytes(count * keys)
        self.report.add(
            f"decode attention, {count} x {keys}",
            read / seconds / self.limits.bytes_per_s,
            "of copy bandwidth",
            goal=goal,
            detail=f"{1e6 * seconds:.0f} us for {read / 1e6:.0f} MB",
        )

    def tree(self, count: int, trunk: int, own: int) -> None:
        slots = shared(count, trunk, own)
        num_slots = trunk + count * own
        plain_s = self.attention_s(decode_batch(self.device, slots, known=False), num_slots)
        tree_s = self.attention_s(decode_batch(self.device, slots), num_slots)
        self.report.add(
            f"tree decode, {count} sharing {trunk}",
            plain_s / tree_s,
            "x plain decode",
            goal=10.0 if trunk >= 32_768 else 0.98,
            detail=f"{1e6 * tree_s:.0f} us against {1e6 * plain_s:.0f} us",
        )

    def extend(self, tokens: int) -> None:
        (slots,) = separate(1, tokens)
        batch = extend_batch(self.device, [slots], tokens)
        heads, _, head_dim = self.sizes.heads
        flops = 2 * heads * head_dim * tokens * tokens  # two products, half of it hidden
        seconds = self.attention_s(batch, tokens)
        self.report.add(
            f"extend attention, {tokens} new",
            flops / seconds / self.limits.flops_per_s,
            "of bf16 products",
            goal=0.6 if tokens >= 8192 else None,
            detail=f"{1e3 * seconds:.2f} ms, {flops / seconds / 1e12:.0f} TFLOP/s",
        )

    def attention_s(self, batch: ForwardBatch, num_slots: int, repeats: int = 30) -> float:
        """Of one layer, with keys and values at random."""
        heads, kv_heads, head_dim = self.sizes.heads
        where, dtype = self.device.torch_device, self.sizes.dtype
        pool = KVPool(1, num_slots, kv_heads, head_dim, dtype, where)
        pool.layers[0].heads.normal_()
        q = torch.randn(len(batch.token_ids), heads, head_dim, device=where).to(dtype)
        out = torch.empty_like(q)
        plan = self.attention.plan(batch)
        extends = batch.query_lens[0] > 1
        attend = self.attention.extend_attention if extends else self.attention.decode_attention

        def run() -> torch.Tensor:
            attend(q, pool.layers[0], plan, None, out)
            return out

        return median_s(self.device, run, repeats)

    def _bytes(self, keys: int) -> int:
        _, kv_heads, head_dim = self.sizes.heads
        return 2 * keys * kv_heads * head_dim * self.sizes.dtype.itemsize
