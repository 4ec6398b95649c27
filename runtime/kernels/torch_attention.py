"""Attention over KV slots in plain PyTorch, for any device and dtype; the reference of all kernels.

Once per step the sequences are put into a few groups of similar size (`grouping.py`), each padded
to a rectangle, so that a layer runs one gather and one attention call per group. Where decoding
sequences begin with the same slots, these are gathered and multiplied once for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from ..engine.batch import ForwardBatch
from ..memory.int8_rows import rounded, unrounded
from ..memory.kv_pool import LayerKV
from .base import Attention
from .grouping import Group, TorchPlan, fixed_plan, make_plan, refill


class TorchAttention(Attention[TorchPlan]):
    """The interface in `base.py` for models of `heads` query heads and `kv_heads` KV heads.

    soft_cap: scores become soft_cap * tanh(score / soft_cap); slower, for want of an operator.
    """

    def __init__(
        self, heads: int, kv_heads: int, head_dim: int, soft_cap: float | None = None
    ) -> None:
        self.soft_cap = soft_cap
        self.heads = heads
        self.kv_heads = kv_heads
        self.head_dim = head_dim
        self.heads_per_kv = heads // kv_heads

    def plan(self, batch: ForwardBatch) -> TorchPlan:
        return make_plan(batch)

    def fixed_plan(
        self, batch: ForwardBatch, keys: int, windows: Sequence[int | None], *, shares: bool
    ) -> TorchPlan:
        return fixed_plan(batch, keys)

    def refill(self, plan: TorchPlan, batch: ForwardBatch) -> None:
        refill(plan, batch)

    def store_kv(
        self, k: torch.Tensor, v: torch.Tensor, layer_kv: LayerKV, plan: TorchPlan
    ) -> None:
        store(k, v, layer_kv, plan.new_slots)

    def extend_attention(
        self,
        q: torch.Tensor,
        layer_kv: LayerKV,
        plan: TorchPlan,
        window: int | None,
        out: torch.Tensor,
    ) -> None:
        for group in plan.extend:
            _put_rows(out, group, self._extend_group(_take_rows(q, group), layer_kv, group, window))

    def decode_attention(
        self,
        q: torch.Tensor,
        layer_kv: LayerKV,
        plan: TorchPlan,
        window: int | None,
        out: torch.Tensor,
    ) -> None:
        for group in plan.decode:
            _put_rows(out, group, self._decode_group(_take_rows(q, group), layer_kv, group, window))

    def attend(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        layer_kv: LayerKV,
        plan: TorchPlan,
        window: int | None,
    ) -> torch.Tensor:
        self.store_kv(k, v, layer_kv, plan)
        width = self.heads * self.head_dim
        if not plan.extend and len(plan.decode) == 1:
            return self._decode_group(q, layer_kv, plan.decode[0], window).reshape(-1, width)
        out = torch.empty_like(q, memory_format=torch.contiguous_format)
        self.decode_attention(q, layer_kv, plan, window, out)
        self.extend_attention(q, layer_kv, plan, window, out)
        return out.view(-1, width)

    def merge(
        self, outputs: torch.Tensor, log_sums: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return merge(outputs, log_sums)

    def _keys_values(
        self, layer_kv: LayerKV, group: Group, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of a group, each [sequences, kv_heads, keys, head_dim]."""
        if isinstance(group.slots, slice):
            rows = layer_kv.heads[:, group.slots]
            k, v = _numbers(rows, dtype).unsqueeze(0).chunk(2, 1)
            return k, v
        heads = _numbers(layer_kv.heads.index_select(1, group.slots), dtype)
        shape = (2, self.kv_heads, group.sequences, group.keys, self.head_dim)
        k, v = heads.view(shape).transpose(1, 2).unbind(0)
        return k, v

    def _decode_group(
        self, q: torch.Tensor, layer_kv: LayerKV, group: Group, window: int | None
    ) -> torch.Tensor:
        window = group.effective(window)
        if group.shared_keys and window is None:
            return self._decode_shared(q, layer_kv, group)
        k, v = self._keys_values(layer_kv, group, q.dtype)
        mask = group.mask(window, q.dtype)
        if self.soft_cap is not None:
            out = self._capped(q.unsqueeze(2), k, v, mask, self.soft_cap)
        elif q.dtype is torch.float32:
            # The query heads of one KV head take the place of the query dimension, so that keys
            # and values are read once for all of them. Measured: 1.3x in float32, 0.7x in bfloat16.
            folded = q.reshape(group.sequences, self.kv_heads, self.heads_per_kv, self.head_dim)
            out = F.scaled_dot_product_attention(folded, k, v, attn_mask=mask)
        else:
            out = F.scaled_dot_product_attention(
                q.unsqueeze(2), k, v, attn_mask=mask, enable_gqa=self.heads_per_kv > 1
            )
        return out.reshape(group.sequences, self.heads, self.head_dim)

    def _decode_shared(self, q: torch.Tensor, layer_kv: LayerKV, group: Group) -> torch.Tensor:
        """Decode of sequences whose first `shared_keys` slots are the same: one matrix product for
        the shared keys, one per sequence for its own, and one softmax over both."""
        count, shared, kv_heads = group.sequences, group.shared_keys, self.kv_heads
        own = group.keys - shared
        shared_heads = layer_kv.heads.index_select(1, group.shared_slots)
        shared_k, shared_v = _numbers(shared_heads, q.dtype).chunk(2)
        own_heads = _numbers(layer_kv.heads.index_select(1, group.own_slots), q.dtype)
        own_k, own_v = own_heads.view(2, kv_heads * count, own, self.head_dim).unbind(0)

        # [kv_heads, sequences * heads_per_kv, head_dim]
        q = q.reshape(count, kv_heads, self.heads_per_kv, self.head_dim).transpose(0, 1)
        q = (q * self.head_dim**-0.5).reshape(kv_heads, -1, self.head_dim)
        own_q = q.view(kv_heads * count, self.heads_per_kv, self.head_dim)

        shared_scores = torch.bmm(q, shared_k.mT)
        own_scores = torch.bmm(own_q, own_k.mT).view(kv_heads, count, self.heads_per_kv, own)
        mask = group.mask(None, q.dtype)
        if self.soft_cap is not None:
            shared_scores = cap_softly(shared_scores, self.soft_cap)
            own_scores = cap_softly(own_scores, self.soft_cap)
        if mask is not None:
            own_scores += mask[:, 0, :, shared:]
        own_scores = own_scores.view(kv_heads, -1, own)
        weights = torch.cat((shared_scores, own_scores), -1).softmax(-1)

        own_weights = weights[..., shared:].view(own_q.shape[0], self.heads_per_kv, own)
        out = torch.bmm(own_weights, own_v).view(q.shape)
        out = out.baddbmm_(weights[..., :shared], shared_v)
        out = out.view(kv_heads, count, self.heads_per_kv, self.head_dim).transpose(0, 1)
        return out.reshape(count, self.heads, self.head_dim)

    def _extend_group(
        self, q: torch.Tensor, layer_kv: LayerKV, group: Group, window: int | None
    ) -> torch.Tensor:
        window = group.effective(window)
        k, v = self._keys_values(layer_kv, group, q.dtype)
        q = q.view(group.sequences, group.queries, self.heads, self.head_dim).transpose(1, 2)
        if self.soft_cap is not None:
            out = self._capped(q, k, v, group.mask(window, q.dtype), self.soft_cap)
            return out.transpose(1, 2).reshape(-1, self.heads, self.head_dim)
        causal = group.cold and window is None
        out = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=None if causal else group.mask(window, q.dtype),
            is_causal=causal,
            enable_gqa=self.heads_per_kv > 1,
        )
        return out.transpose(1, 2).reshape(-1, self.heads, self.head_dim)

    def _capped(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        mask: torch.Tensor | None,
        soft_cap: float,
    ) -> torch.Tensor:
        """[sequences, heads, queries, head_dim], of q so shaped and keys and values as they are."""
        k, v = (x.repeat_interleave(self.heads_per_kv, 1) for x in (k, v))
        scores = cap_softly(torch.matmul(q * self.head_dim**-0.5, k.mT), soft_cap)
        if mask is not None:
            scores += mask
        return torch.matmul(scores.softmax(-1), v)


def store(k: torch.Tensor, v: torch.Tensor, layer_kv: LayerKV, new_slots: torch.Tensor) -> None:
    """`Attention.store_kv` into these slots."""
    for new, pool in ((k, layer_kv.k), (v, layer_kv.v)):
        pool.index_copy_(0, new_slots, rounded(new) if pool.dtype is torch.int8 else new)


def _numbers(rows: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return unrounded(rows, dtype) if rows.dtype is torch.int8 else rows


def cap_softly(x: torch.Tensor, cap: float) -> torch.Tensor:
    """cap * tanh(x / cap), in place."""
    return x.div_(cap).tanh_().mul_(cap)


def partial_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, allowed: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention over some of the keys, with what `merge` needs to combine it with the rest.

    q: [tokens, heads, head_dim]; k, v: [keys, kv_heads, head_dim]; allowed: [tokens, keys], bool.
    Returns (output [tokens, heads, head_dim], log_sum [tokens, heads]).
    """
    heads_per_kv = q.shape[1] // k.shape[1]
    k = k.repeat_interleave(heads_per_kv, 1)
    v = v.repeat_interleave(heads_per_kv, 1)
    scores = torch.einsum("thd,khd->thk", q, k) * q.shape[-1] ** -0.5
    scores = scores.masked_fill(~allowed.unsqueeze(1), -torch.inf)
    log_sum = scores.logsumexp(-1)
    # A query without any key here has log_sum -inf: its weights are 0, not NaN.
    weights = (scores - log_sum.unsqueeze(-1).nan_to_num(neginf=0.0)).exp()
    return torch.einsum("thk,khd->thd", weights, v), log_sum


def merge(outputs: torch.Tensor, log_sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`Attention.merge`: the parts' outputs weighted by their share of the exponential sum."""
    log_sum = log_sums.logsumexp(0)
    weights = (log_sums - log_sum.nan_to_num(neginf=0.0)).exp().unsqueeze(-1)
    return torch.where(weights > 0, weights * outputs, 0.0).sum(0), log_sum


def _take_rows(q: torch.Tensor, group: Group) -> torch.Tensor:
    return q if group.token_rows is None else q.index_select(0, group.token_rows)


def _put_rows(out: torch.Tensor, group: Group, rows: torch.Tensor) -> None:
    """Padding rows repeat a real query and carry its result: writing them twice is harmless."""
    if group.token_rows is None:
        out.copy_(rows)
    else:
        out.index_copy_(0, group.token_rows, rows)
