"""Sequences of one step put together into padded rectangles; made once per step, used per layer.

Used by `torch_attention.py`. Padding repeats a slot and a query of the same sequence and is
masked, so that nothing is read that was not written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import torch

from ..engine.batch import ForwardBatch

# Costs in units of one query-key pair: a key is also gathered, which costs as much as a few
# queries on it; one more group costs a few operator calls per layer.
_GATHER_COST: Final = 8
_GROUP_COST: Final = 16_384

# A shared beginning pays once it saves gathering about this many keys: it costs six more operators.
_MIN_SAVED_KEYS: Final = 1_024


@dataclass(slots=True)
class Group:
    """Sequences that are computed together, padded to `queries` new and `keys` known tokens.

    token_rows: [sequences * queries], indices into the step's tokens; None when the group is the
    whole step in order.
    slots: [sequences * keys], or a slice where one sequence's slots follow one another: reading
    these needs no gather.
    positions: [sequences, queries], the position of each query.
    cold: this is one sequence without earlier tokens.
    uniform: every sequence decodes with exactly `keys` keys.
    shared_keys: all sequences begin with the same slots, `shared_slots: [shared_keys]`; the rest
    of each is in `own_slots: [sequences * (keys - shared_keys)]`. 0 where that does not pay.
    fixed: slots and positions are other ones at every step, so no mask is kept.
    """

    sequences: int
    queries: int
    keys: int
    token_rows: torch.Tensor | None
    slots: torch.Tensor | slice
    positions: torch.Tensor
    cold: bool
    uniform: bool
    shared_keys: int
    shared_slots: torch.Tensor
    own_slots: torch.Tensor
    fixed: bool = False
    _masks: dict[int | None, torch.Tensor | None] = field(default_factory=dict)

    def effective(self, window: int | None) -> int | None:
        """`window`, or None where it is as wide as the keys and so hides nothing."""
        return None if window is None or window >= self.keys else window

    def mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor | None:
        """The additive mask [sequences, 1, queries, keys], made when the first layer asks for it;
        None where every key counts."""
        if self.fixed:
            return self._make_mask(window, dtype)
        if window not in self._masks:
            self._masks[window] = self._make_mask(window, dtype)
        return self._masks[window]

    def _make_mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor | None:
        if window is None and self.uniform:
            return None
        # A sequence's slots are in order from position 0, so a key's index is its position.
        keys = torch.arange(self.keys, device=self.positions.device)
        queries = self.positions.unsqueeze(-1)
        hidden = keys > queries
        if window is not None:
            hidden |= keys <= queries - window
        mask = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device)
        return mask.masked_fill_(hidden, -torch.inf).unsqueeze(1)


@dataclass(frozen=True, slots=True)
class TorchPlan:
    """The groups of one step, and the slots its new tokens go to."""

    new_slots: torch.Tensor
    decode: list[Group]
    extend: list[Group]


def make_plan(batch: ForwardBatch) -> TorchPlan:
    """Groups of a step: decoding sequences apart from extending ones."""
    plan = TorchPlan(batch.new_slots, [], [])
    for members in group_sequences(batch.query_lens, [len(s) for s in batch.context_slots]):
        group = _make_group(batch, members)
        (plan.decode if group.queries == 1 else plan.extend).append(group)
    return plan


def fixed_plan(batch: ForwardBatch, keys: int) -> TorchPlan:
    """A plan of one group, into whose slots `refill` writes: see `Attention.fixed_plan`."""
    sequences = len(batch.new_slots)
    slots = batch.new_slots.repeat_interleave(keys)
    group = Group(
        sequences=sequences,
        queries=1,
        keys=keys,
        token_rows=None,
        slots=slots,
        positions=batch.positions.view(sequences, 1),
        cold=False,
        uniform=False,
        shared_keys=0,
        shared_slots=slots[:0],
        own_slots=slots,
        fixed=True,
    )
    return TorchPlan(batch.new_slots, [group], [])


def refill(plan: TorchPlan, batch: ForwardBatch) -> None:
    """Put the slots of a decode step into a `fixed_plan`, whose batch holds the rest already."""
    (group,) = plan.decode
    slots = _pad_slots(batch.context_slots)
    # Keys behind a sequence's last are masked, but read: they must not be other sequences'.
    table = group.own_slots.view(group.sequences, group.keys)
    table.copy_(plan.new_slots.unsqueeze(1).expand_as(table))
    table[: slots.shape[0], : slots.shape[1]] = slots


def group_sequences(query_lens: Sequence[int], context_lens: Sequence[int]) -> list[list[int]]:
    """Indices of sequences to compute together.

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


def _cost(queries: int, keys: int) -> int:
    return (queries + _GATHER_COST) * keys


def _make_group(batch: ForwardBatch, members: list[int]) -> Group:
    lens = [len(batch.context_slots[i]) for i in members]
    count, keys = len(members), max(lens)
    queries = max(batch.query_lens[i] for i in members)
    slots = _pad_slots([batch.context_slots[i] for i in members])
    shared = _shared_keys(slots, min(lens)) if queries == 1 and count > 1 else 0

    if count == len(batch.token_ids):
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
        slots=_as_slice(slots[0]) if count == 1 else slots.view(-1),
        positions=positions,
        cold=count == 1 and queries == keys,
        uniform=queries == 1 and min(lens) == keys,
        shared_keys=shared,
        shared_slots=slots[0, :shared],
        own_slots=slots[:, shared:].reshape(-1),
    )


def _pad_slots(slots: Sequence[torch.Tensor]) -> torch.Tensor:
    """[sequences, keys]; a shorter sequence repeats its first slot."""
    if len(slots) == 1:
        return slots[0].unsqueeze(0)
    padded = torch.nn.utils.rnn.pad_sequence(list(slots), batch_first=True, padding_value=-1)
    return torch.where(padded < 0, padded[:, :1], padded)


def _as_slice(slots: torch.Tensor) -> torch.Tensor | slice:
    """`slots: [keys]` as a slice where it is one. Only looked for where looking costs no wait."""
    if slots.device.type != "cpu":
        return slots
    first, last = int(slots[0]), int(slots[-1])
    if last - first != len(slots) - 1 or not torch.equal(slots, torch.arange(first, last + 1)):
        return slots
    return slice(first, last + 1)


def _shared_keys(slots: torch.Tensor, shortest: int) -> int:
    """Length of the beginning that all rows of `slots` have in common, 0 where it does not pay.

    At least one key of each sequence stays its own, because the products need one.
    """
    most = shortest - 1
    if most * (len(slots) - 1) < _MIN_SAVED_KEYS:
        return 0
    differs = (slots[1:, :most] != slots[:1, :most]).any(0)
    first = int(differs.to(torch.uint8).argmax())
    shared = first if differs[first] else most
    return shared if shared * (len(slots) - 1) >= _MIN_SAVED_KEYS else 0


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
