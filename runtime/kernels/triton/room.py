"""A plan of fixed size at a fixed place, for decode steps that are captured once and replayed.

Made by whoever captures; `load` puts the work of the next step in. What a step does not need of the
room is zeros, which the kernels leave at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import torch

from ...engine.batch import ForwardBatch
from .decode import most_pieces
from .plan import TritonPlan
from .work import DeviceWork, Machine, Partials, Work, launches_of, num_entries, split_tables

# Parts of a sequence that reads with others, on average over all, beside what keeps the machine
# busy with a single tile; a step with more shares nothing.
_PARTS: Final = 8


Works = dict[int | None, Work]


class DecodeRoom(TritonPlan):
    """Room for steps of up to as many sequences as `batch` has, with one new token each.

    Its arguments are those of `Attention.fixed_plan`. partials: room for so many partial rows,
    which other rooms may have, too: their steps run one after another. shares: costs a launch in
    every layer; where what a step shares does not fit, or without that room, every sequence reads
    for itself.
    """

    def __init__(
        self,
        batch: ForwardBatch,
        machine: Machine,
        keys: int,
        windows: Iterable[int | None],
        *,
        shares: bool,
        partials: Callable[[int], Partials],
    ) -> None:
        super().__init__(batch, machine)
        most = len(batch.new_slots)
        pieces = most_pieces(most, keys, machine)
        listed = _PARTS * most + machine.shared_block_m // machine.group * machine.places
        self._rows = [pieces, listed] * shares + [pieces, most, most]
        self._num_partials = pieces + listed * shares
        block_ms = [machine.shared_block_m] * shares + [machine.block_m(1)]
        device = batch.positions.device
        rows = partials(self._num_partials)
        self._flat: dict[int | None, torch.Tensor] = {}
        for window in windows:
            flat = torch.zeros(num_entries(self._rows), dtype=torch.int64, device=device)
            tables = split_tables(flat, self._rows)
            launches = launches_of(tables, block_ms)
            self._flat[window] = flat
            self._decode[window] = DeviceWork(launches, tables[-1], self._num_partials, rows)
        self._loaded = batch

    def decode(self, window: int | None) -> DeviceWork:
        return self._decode[window]

    def load(self, batch: ForwardBatch, works: Works | None = None) -> None:
        """Put in the work of a step, without waiting for the device. Its `context_slots` are read
        where they are; what else it holds is the caller's to copy. works: by window, where they
        are made already."""
        most = len(self.batch.new_slots)
        if max(batch.query_lens) > 1 or len(batch.query_lens) > most:
            raise ValueError(
                f"there is room for {most} sequences with one new token each, not for "
                f"{len(batch.query_lens)} with up to {max(batch.query_lens)}"
            )
        plan = TritonPlan(batch, self.machine)
        for window, flat in self._flat.items():
            work = plan.make_decode(window) if works is None else works[window]
            if not self._fits(work):
                work = plan.make_decode(window, shares=False)
            host = torch.zeros(flat.shape, dtype=torch.int64, pin_memory=flat.is_cuda)
            given = work.tables
            tables = split_tables(host, self._rows)[-len(given) :]
            for table, rows in zip(tables, given, strict=True):
                table[: len(rows)] = torch.from_numpy(rows)
            flat.copy_(host, non_blocking=True)
        # The step that is under way still reads the slots of the batch before.
        self._loaded = batch

    def _fits(self, work: Work) -> bool:
        given = work.tables
        return (
            len(given) <= len(self._rows)
            and work.num_partials <= self._num_partials
            and all(
                len(table) <= rows
                for table, rows in zip(given, self._rows[-len(given) :], strict=True)
            )
        )
