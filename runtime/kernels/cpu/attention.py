"""Attention over KV slots read in place, in C++; the runner picks it on the CPU.

What sequences decode over the same slots is found once per step (src/plan.cpp) and read once for
all of them; the parts are merged by log-sum-exp. `torch_attention.py` is the reference.
"""

from __future__ import annotations

import ctypes

import torch

from ...engine.batch import ForwardBatch
from ...memory.kv_pool import LayerKV
from ..base import Attention, HeadNorm
from ..torch_attention import merge, store
from .library import CpuKernels
from .plan import CpuPlan
from .signatures import array_type

_DECODE, _EXTEND = 1, 2


class CpuAttention(Attention[CpuPlan]):
    """The interface in `base.py` for models of `heads` query heads and `kv_heads` KV heads, with
    keys and values in float32, bfloat16 or rows of int8."""

    def __init__(self, kernels: CpuKernels, heads: int, kv_heads: int, head_dim: int) -> None:
        self.kernels = kernels
        self.heads = heads
        self.kv_heads = kv_heads
        self.head_dim = head_dim
        # Plans that are not in use: their memory serves the next step.
        self._handles: list[int] = []

    def __del__(self) -> None:
        for handle in self._handles:
            self.kernels.library.bl_plan_delete(handle)

    def plan(self, batch: ForwardBatch) -> CpuPlan:
        handle = self._handles.pop() if self._handles else self.kernels.library.bl_plan_new()
        if not handle:
            raise MemoryError("no memory for the plan of a step")
        plan = CpuPlan(batch, handle, self._handles)
        count = len(batch.query_lens)
        lens, addresses = (array_type(item, count) for item in (ctypes.c_int64, ctypes.c_void_p))
        if self.kernels.library.bl_plan_make(
            handle,
            count,
            lens(*batch.query_lens),
            lens(*[slots.shape[0] for slots in batch.context_slots]),
            addresses(*[slots.data_ptr() for slots in batch.context_slots]),
            self.heads,
            self.kv_heads,
            self.head_dim,
            self.kernels.deterministic,
        ):
            raise MemoryError("no memory for the partial results of a step")
        return plan

    def shared_keys(self, plan: CpuPlan) -> int:
        """How many keys (per KV head) are not read because another sequence's item reads them."""
        return int(self.kernels.library.bl_plan_shared_keys(plan.handle))

    def store_kv(self, k: torch.Tensor, v: torch.Tensor, layer_kv: LayerKV, plan: CpuPlan) -> None:
        store(k, v, layer_kv, plan.batch.new_slots)

    def extend_attention(
        self,
        q: torch.Tensor,
        layer_kv: LayerKV,
        plan: CpuPlan,
        window: int | None,
        out: torch.Tensor,
    ) -> None:
        self.kernels.attend(plan.handle, _EXTEND, q, layer_kv, window, out)

    def decode_attention(
        self,
        q: torch.Tensor,
        layer_kv: LayerKV,
        plan: CpuPlan,
        window: int | None,
        out: torch.Tensor,
    ) -> None:
        self.kernels.attend(plan.handle, _DECODE, q, layer_kv, window, out)

    def attend(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        layer_kv: LayerKV,
        plan: CpuPlan,
        window: int | None,
    ) -> torch.Tensor:
        self.store_kv(k, v, layer_kv, plan)
        return self._attend_stored(q, layer_kv, plan, window)

    def attend_qkv(
        self,
        qkv: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        layer_kv: LayerKV,
        plan: CpuPlan,
        window: int | None,
        head_norm: HeadNorm | None = None,
    ) -> torch.Tensor:
        self.kernels.rope_store(qkv, cos, sin, layer_kv, plan.batch.new_slots, head_norm)
        return self._attend_stored(qkv[:, : self.heads], layer_kv, plan, window)

    def merge(
        self, outputs: torch.Tensor, log_sums: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return merge(outputs, log_sums)

    def _attend_stored(
        self, q: torch.Tensor, layer_kv: LayerKV, plan: CpuPlan, window: int | None
    ) -> torch.Tensor:
        out = q.new_empty(q.shape[0], self.heads * self.head_dim)
        self.kernels.attend(plan.handle, _DECODE | _EXTEND, q, layer_kv, window, out)
        return out
