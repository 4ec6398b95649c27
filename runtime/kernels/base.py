"""The interface of attention over KV slots; the decoder families call it, kernels implement it.

Shapes, with `tokens` the new tokens of a step, in the order of `ForwardBatch`:

    q: [tokens, heads, head_dim]        k, v: [tokens, kv_heads, head_dim]
    layer_kv.k, layer_kv.v: [num_slots, kv_heads, head_dim]
    attention output: [tokens, heads * head_dim]

Query head h reads KV head h // (heads // kv_heads). Scores are scaled by head_dim ** -0.5. A query
at position p sees positions max(0, p - window + 1) .. p of its own sequence, all when `window` is
None. An implementation never reads a slot outside the batch's `context_slots`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

import torch
import torch.nn.functional as F

from ..engine.batch import ForwardBatch
from ..memory.kv_pool import LayerKV
from .rotary import rotate

Plan = TypeVar("Plan")

# Weight of a normalisation per rotated head, [heads + kv_heads, head_dim], and its epsilon.
HeadNorm = tuple[torch.Tensor, float]


class LinearOp(Protocol):
    """A weight of shape [out, in] in an order of its own."""

    def __call__(
        self,
        x: torch.Tensor,
        bias: torch.Tensor | None = None,
        dtype: torch.dtype | None = None,
        /,
    ) -> torch.Tensor:
        """x weight^T + bias, in x's dtype or in `dtype`, float32."""

    def add_to(
        self, residual: torch.Tensor, x: torch.Tensor, bias: torch.Tensor | None = None, /
    ) -> torch.Tensor:
        """residual + x weight^T + bias, in place."""

    def rows(self, ids: torch.Tensor, dtype: torch.dtype, /) -> torch.Tensor:
        """The weight's rows `ids: [tokens]` as [tokens, in]: an embedding."""


class LayerOps(Protocol):
    """Operators of a layer that a backend has fused; where there are none, layers use torch."""

    def rms_norm(self, x: torch.Tensor, weight: torch.Tensor, eps: float, /) -> torch.Tensor:
        """x / rms(x) * weight over the last dimension."""

    def silu_mul(self, gate_up: torch.Tensor, /) -> torch.Tensor:
        """silu(gate) * up for gate_up: [rows, 2 * size], gate first."""

    def pack_linear(self, weight: torch.Tensor, /, vocabulary: bool = False) -> LinearOp | None:
        """`weight: [out, in]` in the order its products want; None where torch is to do them.
        vocabulary: an embedding or the weight of logits."""


class Attention(ABC, Generic[Plan]):
    """One way of computing attention; `Plan` is what it prepares once per step for all layers."""

    @abstractmethod
    def plan(self, batch: ForwardBatch) -> Plan:
        """Index tensors and masks of one step."""

    @abstractmethod
    def store_kv(self, k: torch.Tensor, v: torch.Tensor, layer_kv: LayerKV, plan: Plan) -> None:
        """Write the new tokens' keys and values into their slots."""

    @abstractmethod
    def extend_attention(
        self,
        q: torch.Tensor,
        layer_kv: LayerKV,
        plan: Plan,
        window: int | None,
        out: torch.Tensor,
    ) -> None:
        """Write into `out: [tokens, heads, head_dim]` the rows of sequences with several new
        tokens, whose keys and values are stored already."""

    @abstractmethod
    def decode_attention(
        self,
        q: torch.Tensor,
        layer_kv: LayerKV,
        plan: Plan,
        window: int | None,
        out: torch.Tensor,
    ) -> None:
        """Write into `out: [tokens, heads, head_dim]` the rows of sequences with one new token,
        whose key and value are stored already."""

    @abstractmethod
    def attend(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        layer_kv: LayerKV,
        plan: Plan,
        window: int | None,
    ) -> torch.Tensor:
        """Store, then attend for every token of the step: [tokens, heads * head_dim]."""

    def attend_qkv(
        self,
        qkv: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        layer_kv: LayerKV,
        plan: Plan,
        window: int | None,
        head_norm: HeadNorm | None = None,
    ) -> torch.Tensor:
        """Normalise q and k per head where `head_norm` is given, rotate them, then `attend`.

        qkv: [tokens, heads + 2 * kv_heads, head_dim], contiguous, may be overwritten; cos, sin:
        [tokens, 1, head_dim], rows of a RotaryTable.
        """
        kv_heads = layer_kv.k.shape[1]
        rotated = qkv.shape[1] - kv_heads
        qk = qkv[:, :rotated]
        if head_norm is not None:
            weight, eps = head_norm
            qk = F.rms_norm(qk, qk.shape[-1:], None, eps).mul_(weight)
        qk = rotate(qk, cos, sin)
        q, k = qk[:, : rotated - kv_heads], qk[:, rotated - kv_heads :]
        return self.attend(q, k, qkv[:, rotated:], layer_kv, plan, window)

    @abstractmethod
    def merge(
        self, outputs: torch.Tensor, log_sums: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention over the union of disjoint sets of keys from the results over each.

        outputs: [parts, tokens, heads, head_dim]; log_sums: [parts, tokens, heads], the log of the
        sum of exponentiated scores, -inf where a part has no key for a query (its output is then
        ignored). Returns (output, log_sum) of the union.
        """
