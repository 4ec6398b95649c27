"""The interface of attention over KV slots; the decoder families call it, kernels implement it.

Shapes, with `tokens` the new tokens of a step, in the order of `ForwardBatch`:

    q: [tokens, heads, head_dim]        k, v: [tokens, kv_heads, head_dim]
    layer_kv.k, layer_kv.v: [num_slots, kv_heads, head_dim], or rows of memory/int8_rows.py
    attention output: [tokens, heads * head_dim]

Query head h reads KV head h // (heads // kv_heads). Scores are scaled by head_dim ** -0.5. A query
at position p sees positions max(0, p - window + 1) .. p of its own sequence, all when `window` is
None. An implementation never reads a slot outside the batch's `context_slots`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

import torch
import torch.nn.functional as F

from ..engine.batch import ForwardBatch
from ..memory.kv_pool import LayerKV
from .float8 import Float8Weight
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


class ExpertsOp(Protocol):
    """The MLPs of a layer's experts."""

    def add_to(
        self,
        residual: torch.Tensor,
        x: torch.Tensor,
        expert_ids: torch.Tensor,
        shares: torch.Tensor,
        /,
    ) -> torch.Tensor:
        """residual + the sum of share * expert(x) over each token's experts, in place.

        residual, x: [tokens, hidden]; expert_ids: int64 [tokens, choices], different ones per
        token; shares: float32 [tokens, choices].
        """


# What a weight is for: that decides how coarse it may become. "vocabulary" is an embedding or the
# weight of logits; "router", which chooses experts, stays as it is.
WeightUse = Literal["layer", "vocabulary", "router"]

# gate and up as one weight [2 * size, hidden], and down [hidden, size].
Expert = tuple[torch.Tensor | Float8Weight, torch.Tensor | Float8Weight]

# A weight [out, in] and a bias [out] or none.
Projection = tuple[torch.Tensor | LinearOp, torch.Tensor | None]


@dataclass(frozen=True, slots=True)
class LayerParts:
    """A pre-norm decoder layer: x + out(attention(qkv(norm(x)))), then x + down(silu(gate) * up)
    of norm(x); norms are RMS norms with `eps`."""

    input_norm: torch.Tensor
    qkv: Projection
    head_norm: HeadNorm | None
    window: int | None
    out: Projection
    post_norm: torch.Tensor
    gate_up: Projection
    down: Projection
    eps: float


class LayerStack(Protocol):
    """All layers of a model in one call."""

    def __call__(
        self,
        x: torch.Tensor,
        layers_kv: Sequence[LayerKV],
        plan: object,
        cos: torch.Tensor,
        sin: torch.Tensor,
        positions: torch.Tensor,
        /,
    ) -> bool:
        """Take `x: [tokens, hidden]` through the layers in place, storing keys and values; False
        where this step is not one for it, and then nothing is done. cos, sin: a RotaryTable's, of
        which the tokens' are the rows `positions: [tokens]`."""


@dataclass(frozen=True, slots=True)
class WholeParts:
    """A model from token ids to logits: embedding, layers, RMS norm, head. cos, sin: a
    RotaryTable's."""

    stack: LayerStack
    embedding: torch.Tensor | LinearOp
    norm: torch.Tensor
    eps: float
    head: torch.Tensor | LinearOp
    cos: torch.Tensor
    sin: torch.Tensor


class WholePass(Protocol):
    """A model's decode step in one call."""

    def __call__(
        self, batch: ForwardBatch, layers_kv: Sequence[LayerKV], plan: object, /
    ) -> torch.Tensor | None:
        """Logits, float32 [tokens, vocab], storing keys and values; None where this step is not one
        for it, and then nothing is done."""


class LayerOps(Protocol):
    """Operators of a layer that a backend has fused; where there are none, layers use torch."""

    def rms_norm(self, x: torch.Tensor, weight: torch.Tensor, eps: float, /) -> torch.Tensor:
        """x / rms(x) * weight over the last dimension."""

    def silu_mul(self, gate_up: torch.Tensor, /) -> torch.Tensor:
        """silu(gate) * up for gate_up: [rows, 2 * size], gate first."""

    def gelu_mul(self, gate_up: torch.Tensor, /) -> torch.Tensor:
        """gelu(gate) * up, by gelu's approximation with tanh."""

    def pack_linear(self, weight: torch.Tensor, use: WeightUse = "layer", /) -> LinearOp | None:
        """`weight: [out, in]` in the order its products want; None where torch is to do them."""

    @property
    def pack_float8(self) -> Callable[[Float8Weight], LinearOp] | None:
        """`pack_linear` of a weight that is float8 in its checkpoint; None where such weights, also
        of experts, are to be unpacked first."""

    def pack_experts(self, experts: Iterable[Expert], /) -> ExpertsOp | None:
        """Experts of one layer as one operator; None, and nothing of `experts` is looked at, where
        each is to be an MLP of its own."""

    def stack(self, layers: Sequence[LayerParts], /) -> LayerStack | None:
        """The layers in one call, where a backend has that for such layers."""

    def whole(self, parts: WholeParts, /) -> WholePass | None:
        """A decode step in one call, where a backend has that for such a model."""


class Attention(ABC, Generic[Plan]):
    """One way of computing attention; `Plan` is what it prepares once per step for all layers."""

    @abstractmethod
    def plan(self, batch: ForwardBatch) -> Plan:
        """Index tensors and masks of one step."""

    def fixed_plan(
        self, batch: ForwardBatch, keys: int, windows: Sequence[int | None], *, shares: bool
    ) -> Plan | None:
        """A plan whose tensors keep their places and sizes: what computes by it can be captured
        and replayed. None where an implementation has none such.

        batch: decoding sequences, of which `new_slots` and `positions` keep their places, too.
        keys: of the longest sequence that a step may have. windows: of the model's layers. shares:
        make room for reading once what several sequences share.
        """
        return None

    def reads_shared(self, batch: ForwardBatch, windows: Sequence[int | None]) -> bool:
        """Whether a plan of `fixed_plan` with that room would read anything of a step once for
        several sequences: the room costs a launch per layer."""
        return False

    def refill(self, plan: Plan, batch: ForwardBatch) -> None:
        """Put a step into a plan of `fixed_plan`, without waiting for the device. The step may
        have fewer sequences than the plan's batch; what the rows behind them become is nobody's
        concern."""
        raise NotImplementedError(f"{type(self).__name__} has no fixed plans")

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
