"""Attention over KV slots in plain PyTorch, for any device and dtype; the reference of all kernels.

Once per step the sequences are put into a few groups of similar size; a group is padded to a
rectangle, so that each layer runs one gather and one `scaled_dot_product_attention` per group.
Padding repeats a slot and a query of the same sequence and is masked, so that nothing is read that
was not written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from ..engine.batch import ForwardBatch
from ..memory.kv_pool import LayerKV
from .base import Attention


@dataclass(slots=True)
class Group:
    """Sequences that are computed together, padded to `queries` new and `keys` known tokens.

    token_rows: [sequences * queries], indices into the step's tokens; None when the group is the
    whole step in order.
    slots: [sequences * keys].
    positions: [sequences, queries], the position of each query.
    causal: the one sequence has no earlier tokens, so that no mask is needed.
    masks: additive masks by window, [sequences, 1, queries, keys], or None where every key counts.
    """

    sequences: int
    queries: int
    keys: int
    token_rows: torch.Tensor | None
    slots: torch.Tensor
    positions: torch.Tensor
    causal: bool
    full: bool
    masks: dict[int | None, torch.Tensor | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TorchPlan:
    """The groups of one step, and the slots its new tokens go to."""

    new_slots: torch.Tensor
    decode: list[Group]
    extend: list[Group]


class TorchAttention(Attention[TorchPlan]):
    """The interface in `base.py` for models of `heads` query heads and `kv_heads` KV heads."""

    def __init__(self, heads: int, kv_heads: int, head_dim: int) -> None:
        self.heads = heads
        self.kv_heads = kv_heads
        self.head_dim = head_dim
        self.heads_per_kv = heads // kv_heads

    def plan(self, batch: ForwardBatch) -> TorchPlan:
        decode: list[Group] = []
        extend: list[Group] = []
        for members in group_sequences(batch.query_lens, [len(s) for s in batch.context_slots]):
            group = _make_group(batch, members)
            (decode if group.queries == 1 else extend).append(group)
        return TorchPlan(batch.new_slots, decode, extend)

    def store_kv(
        self, k: torch.Tensor, v: torch.Tensor, layer_kv: LayerKV, plan: TorchPlan
    ) -> None:
        layer_kv.k.index_copy_(0, plan.new_slots, k)
        layer_kv.v.index_copy_(0, plan.new_slots, v)

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
        if not plan.extend and len(plan.decode) == 1 and plan.decode[0].token_rows is None:
            return self._decode_group(q, layer_kv, plan.decode[0], window).reshape(-1, width)
        out = torch.empty_like(q, memory_format=torch.contiguous_format)
        self.decode_attention(q, layer_kv, plan, window, out)
        self.extend_attention(q, layer_kv, plan, window, out)
        return out.view(-1, width)

    def merge(
        self, outputs: torch.Tensor, log_sums: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return merge(outputs, log_sums)

    def _keys_values(self, layer_kv: LayerKV, group: Group) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of a group, each [sequences, kv_heads, keys, head_dim]."""
        rows = layer_kv.rows.index_select(0, group.slots)
        shaped = rows.view(group.sequences, group.keys, 2, self.kv_heads, self.head_dim)
        k, v = shaped.permute(2, 0, 3, 1, 4).unbind(0)
        return k, v

    def _decode_group(
        self, q: torch.Tensor, layer_kv: LayerKV, group: Group, window: int | None
    ) -> torch.Tensor:
        # The query heads of one KV head take the place of the query dimension: keys and values
        # are then read once for all of them.
        k, v = self._keys_values(layer_kv, group)
        folded = q.reshape(group.sequences, self.kv_heads, self.heads_per_kv, self.head_dim)
        mask = _mask(group, window, q.dtype)
        out = F.scaled_dot_product_attention(folded, k, v, attn_mask=mask)
        return out.reshape(group.sequences, self.heads, self.head_dim)

    def _extend_group(
        self, q: torch.Tensor, layer_kv: LayerKV, group: Group, window: int | None
    ) -> torch.Tensor:
        k, v = self._keys_values(layer_kv, group)
        q = q.reshape(group.sequences, group.queries, self.heads, self.head_dim).transpose(1, 2)
        causal = group.causal and (window is None or window >= group.keys)
        out = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=None if causal else _mask(group, window, q.dtype),
            is_causal=causal,
            enable_gqa=self.heads_per_kv > 1,
        )
        return out.transpose(1, 2).reshape(-1, self.heads, self.head_dim)


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


def group_sequences(query_lens: Sequence[int], context_lens: Sequence[int]) -> list[list[int]]:
    """Indices of sequences to compute together. Decoding sequences are never with extending ones.

    Sequences are taken in order of size; one joins the group before it while the padded
    rectangle costs little more than the sequences alone.
    """
    order = sorted(range(len(query_lens)), key=lambda i: (query_lens[i], context_lens[i]))
    groups: list[list[int]] = []
    exact = queries = keys = 0
    for i in order:
        cost = _cost(query_lens[i], context_lens[i])
        if groups and (query_lens[i] == 1) == (queries == 1):
            widest = max(keys, context_lens[i])
            padded = (len(groups[-1]) + 1) * _cost(query_lens[i], widest)
            if padded <= 1.3 * (exact + cost) + _GROUP_COST:
                groups[-1].append(i)
                exact, queries, keys = exact + cost, query_lens[i], widest
                continue
        groups.append([i])
        exact, queries, keys = cost, query_lens[i], context_lens[i]
    return [sorted(group) for group in groups]


# Cost in units of one query-key pair: a key is also gathered, which costs as much as a few
# queries on it; one more group costs a few operator calls per layer.
_GATHER_COST = 8
_GROUP_COST = 16_384


def _cost(queries: int, keys: int) -> int:
    return (queries + _GATHER_COST) * keys


def _make_group(batch: ForwardBatch, members: list[int]) -> Group:
    slots = [batch.context_slots[i] for i in members]
    lens = [len(s) for s in slots]
    queries = max(batch.query_lens[i] for i in members)
    count, keys = len(members), max(lens)
    if min(lens) == keys:
        padded = slots[0] if count == 1 else torch.cat(slots)
    else:
        padded = torch.nn.utils.rnn.pad_sequence(slots, batch_first=True, padding_value=-1)
        padded = torch.where(padded < 0, padded[:, :1], padded).view(-1)

    total = len(batch.token_ids)
    if count == total:
        # Every sequence of the step decodes, and `members` is in order.
        token_rows, positions = None, batch.positions.view(count, 1)
    else:
        rows = _token_rows(batch.query_lens, members, queries)
        token_rows = torch.tensor(rows, device=batch.positions.device)
        positions = batch.positions.index_select(0, token_rows).view(count, queries)
    return Group(
        sequences=count,
        queries=queries,
        keys=keys,
        token_rows=token_rows,
        slots=padded,
        positions=positions,
        causal=count == 1 and queries == keys,
        full=queries == 1 and min(lens) == keys,
    )


def _token_rows(query_lens: Sequence[int], members: list[int], queries: int) -> list[int]:
    """Indices of the members' new tokens, each padded to `queries` by repeating its last one."""
    starts, start = [], 0
    for length in query_lens:
        starts.append(start)
        start += length
    rows: list[int] = []
    for i in members:
        last = starts[i] + query_lens[i] - 1
        rows.extend(range(starts[i], last + 1))
        rows.extend([last] * (queries - query_lens[i]))
    return rows


def _mask(group: Group, window: int | None, dtype: torch.dtype) -> torch.Tensor | None:
    """The group's additive mask for `window`, made when the first layer asks for it."""
    if window is not None and window >= group.keys:
        window = None
    if window not in group.masks:
        group.masks[window] = _make_mask(group, window, dtype)
    return group.masks[window]


def _make_mask(group: Group, window: int | None, dtype: torch.dtype) -> torch.Tensor | None:
    if window is None and group.full:
        return None
    # A sequence's context slots are in order from position 0, so a key's index is its position.
    keys = torch.arange(group.keys, device=group.positions.device)
    queries = group.positions.unsqueeze(-1)
    hidden = keys > queries
    if window is not None:
        hidden |= keys <= queries - window
    mask = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device)
    return mask.masked_fill_(hidden, -torch.inf).unsqueeze(1)


def _take_rows(q: torch.Tensor, group: Group) -> torch.Tensor:
    return q if group.token_rows is None else q.index_select(0, group.token_rows)


def _put_rows(out: torch.Tensor, group: Group, rows: torch.Tensor) -> None:
    """Padding rows repeat a real query and carry its result: writing them twice is harmless."""
    if group.token_rows is None:
        out.copy_(rows)
    else:
        out.index_copy_(0, group.token_rows, rows)
