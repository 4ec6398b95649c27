"""The tables that tell the kernels who reads what, made once per step on the host; for `plan.py`.

An item is a range of keys of one sequence, and queries, a few, that meet it:

    items    [items, 6]    address of the sequence's slots, first key, key behind the last, first
                           query, number of queries, ordinal
    queries  [queries, 3]  row of the token, its first partial row, its position
    merges   [merges, 3]   row of the token, its first partial row, number of partial rows

A query with one item has no partial row, -1: its result goes to its place at once. One with more
leaves its n-th part, in the order of the keys, in its partial row n: the item's ordinal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

Int64 = npt.NDArray[np.int64]

# Ranges of keys are made of as many whole blocks of the kernel.
KEY_BLOCK: Final = 64
# One sequence of 32 k keys still keeps 16 processors per KV head busy, and what is written and read
# to merge a prompt's parts is a tenth of the time of computing them.
FIXED_SPLIT: Final = 2048


@dataclass(frozen=True, slots=True)
class Machine:
    """What plans depend on: the heads of the model, and the GPU's number of streaming
    multiprocessors. fixed_split: in the deterministic mode, keys per item, whatever else runs; a
    multiple of KEY_BLOCK."""

    heads: int
    kv_heads: int
    head_dim: int
    processors: int
    fixed_split: int | None = None

    @property
    def group(self) -> int:
        """Query heads that read one KV head."""
        return self.heads // self.kv_heads

    @property
    def places(self) -> int:
        """Items that run at a time: two CTAs per processor, one per item and KV head."""
        return max(1, 2 * self.processors // self.kv_heads)

    @property
    def shared_block_m(self) -> int:
        """Rows of a tile whose queries come from several sequences."""
        return self.block_m(64 // self.group)

    def block_m(self, queries: int) -> int:
        """Rows of a tile for `queries` queries: products need 16, quick ones 64 or 128; 128 times
        256 sums do not fit into registers. In the deterministic mode always as many: other shapes
        may add up in another order."""
        wanted = queries * self.group
        most = 128 if self.head_dim <= 128 else 64
        rows = 64 if self.fixed_split else next((m for m in (16, 64) if m >= wanted), most)
        return max(rows, 1 << (self.group - 1).bit_length())

    def first_seen(self, positions: Int64, window: int | None) -> Int64:
        """The first key that a query at each position sees. In the deterministic mode items begin
        at the first key of all: parts that see nothing add nothing, but keep the others' places."""
        if window is None or self.fixed_split:
            return np.zeros_like(positions)
        return np.maximum(positions - window + 1, 0)


def machine_for(
    processors: int, heads: int, kv_heads: int, head_dim: int, *, deterministic: bool = False
) -> Machine:
    """A GPU of so many multiprocessors for a model of these heads."""
    return Machine(heads, kv_heads, head_dim, processors, FIXED_SPLIT if deterministic else None)


@dataclass(frozen=True, slots=True)
class Launch:
    items: Int64
    queries: Int64
    block_m: int


@dataclass(frozen=True, slots=True)
class Work:
    """What one attention call launches: tiles, then merges of `num_partials` partial rows."""

    launches: list[Launch]
    merges: Int64
    num_partials: int

    @property
    def tables(self) -> list[Int64]:
        """Items and queries of each launch, and the merges."""
        tables = [table for launch in self.launches for table in (launch.items, launch.queries)]
        return [*tables, self.merges]


@dataclass(frozen=True, slots=True)
class DeviceLaunch:
    items: torch.Tensor
    queries: torch.Tensor
    block_m: int


@dataclass(frozen=True, slots=True)
class DeviceWork:
    """A `Work` on the device. partials: where its partial rows go, if not where everybody's do."""

    launches: list[DeviceLaunch]
    merges: torch.Tensor
    num_partials: int
    partials: Partials | None = None


# Outputs [rows, heads, head_dim] and the logarithms of sums [rows, heads] in base 2, float32.
Partials = tuple[torch.Tensor, torch.Tensor]


def upload(work: Work, device: torch.device) -> DeviceWork:
    """One copy for all tables, which nobody waits for."""
    host = torch.from_numpy(np.concatenate([table.ravel() for table in work.tables]))
    if device.type == "cuda":
        host = host.pin_memory()
    tables = split_tables(host.to(device, non_blocking=True), [len(t) for t in work.tables])
    block_ms = [launch.block_m for launch in work.launches]
    return DeviceWork(launches_of(tables, block_ms), tables[-1], work.num_partials)


def split_tables(flat: torch.Tensor, rows: Sequence[int]) -> list[torch.Tensor]:
    """A `Work`'s tables, of so many rows each, that lie one behind the other in `flat`."""
    shapes = _shapes(rows)
    parts = torch.split(flat, [count * width for count, width in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def num_entries(rows: Sequence[int]) -> int:
    """Of a `Work`'s tables of so many rows each."""
    return sum(count * width for count, width in _shapes(rows))


def _shapes(rows: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(rows, [6, 3] * (len(rows) // 2) + [3], strict=True))


def launches_of(tables: Sequence[torch.Tensor], block_ms: Sequence[int]) -> list[DeviceLaunch]:
    """The launches among a `Work`'s tables."""
    pairs = zip(tables[:-1:2], tables[1:-1:2], block_ms, strict=True)
    return [DeviceLaunch(items, queries, block_m) for items, queries, block_m in pairs]


def new_partials(rows: int, machine: Machine, device: torch.device) -> Partials:
    """Room for `rows` partial rows."""
    outputs = torch.empty(rows, machine.heads, machine.head_dim, device=device)
    return outputs, torch.empty(rows, machine.heads, device=device)


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of keys cut into pieces. owner, begin, end, ordinal: [pieces]; counts: [ranges], the
    pieces of each range, which follow one another."""

    owner: Int64
    begin: Int64
    end: Int64
    ordinal: Int64
    counts: Int64


def cut_evenly(begin: Int64, end: Int64, size: int) -> Ranges:
    """Each range in pieces of about equal length, at most `size` up to a block."""
    keys = end - begin
    pieces = np.maximum(-(-keys // size), 1)
    even = np.maximum(-(-keys // (pieces * KEY_BLOCK)), 1) * KEY_BLOCK
    return _cut(begin, begin, end, even)


def cut_at_multiples(begin: Int64, end: Int64, size: int) -> Ranges:
    """Each range from the multiple of `size` at or below `begin`, cut at multiples only, so that a
    key is in the same piece whoever reads it."""
    return _cut(begin // size * size, begin, end, np.full_like(begin, size))


def _cut(origin: Int64, begin: Int64, end: Int64, sizes: Int64) -> Ranges:
    counts = np.maximum(-(-(end - origin) // sizes), 1)
    owner = np.repeat(np.arange(len(counts)), counts)
    ordinal = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = origin[owner] + ordinal * sizes[owner]
    stops = np.minimum(starts + sizes[owner], end[owner])
    return Ranges(owner, np.maximum(starts, begin[owner]), stops, ordinal, counts)


def partial_starts(parts: Int64) -> tuple[Int64, int]:
    """(the first partial row of each query, -1 where it has one part only; how many rows)."""
    rows = np.where(parts > 1, parts, 0)
    return np.where(parts > 1, np.cumsum(rows) - rows, -1), int(rows.sum())


def merges_of(tokens: Int64, starts: Int64, parts: Int64) -> Int64:
    """The table of merges, of queries with more than one part."""
    several = parts > 1
    return np.stack((tokens[several], starts[several], parts[several]), 1)


def longest_first(items: Int64) -> Int64:
    """Items in the order in which they are to start, so that they end together."""
    return items[np.argsort(items[:, 1] - items[:, 2], kind="stable")]


def token_starts(query_lens: Sequence[int] | Int64) -> Int64:
    """The row of each sequence's first new token."""
    lens = np.asarray(query_lens, np.int64)
    return np.cumsum(lens) - lens
