"""Decode steps that are captured once and replayed; the model runner asks here before it computes.

Replaying costs the host one call where computing costs it one per operator. What was captured has
fixed sizes, so there is a capture per number of sequences and of keys, each rounded up to a bucket
and made when the first step needs it. A step is copied into the capture's own tensors, its plan
with it; rows that it lacks compute a token of no meaning into a slot that nobody owns.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from ..device.base import Device, Replay
from ..kernels.base import Attention
from .batch import ForwardBatch

_log = logging.getLogger(__name__)

# More sequences than this keep a device busy while the host asks for each operator.
MAX_SEQUENCES: Final = 512
_MIN_KEYS: Final = 512
# A capture keeps its plan, its inputs, and what its graph takes beside the memory that all share.
_MOST_CAPTURES: Final = 64

Compute = Callable[[ForwardBatch, Any], torch.Tensor]
# Sequences, keys, and whether some are shared.
_Bucket = tuple[int, int, bool]


def sequence_bucket(count: int) -> int:
    """The number of rows that `count` sequences are computed in: at most 8 too many, or an eighth
    of a large batch."""
    if count <= 8:
        return 1 << (count - 1).bit_length()
    step = max(8, 1 << (count - 1).bit_length() - 4)
    return -(-count // step) * step


def key_bucket(longest: int) -> int:
    """The number of keys that a plan has room for where the longest sequence has `longest`."""
    return max(_MIN_KEYS, 1 << (longest - 1).bit_length())


@dataclass(slots=True)
class _Captured:
    """One bucket. inputs: [3, sequences], token ids, positions and new slots. num_filled: rows of
    the step before, which the next one must overwrite."""

    inputs: torch.Tensor
    plan: Any
    replay: Replay
    num_filled: int


class DecodeGraphs:
    """Captured decode steps of one model.

    compute: a step by a given plan, [rows, width]. windows: of the model's layers. spare_slot: a KV
    slot that no sequence ever gets. num_captures, num_replays: for whoever watches.
    """

    def __init__(
        self,
        device: Device,
        attention: Attention[Any],
        compute: Compute,
        windows: Iterable[int | None],
        spare_slot: int,
        width: int,
    ) -> None:
        self._device = device
        # What all captures write into: a result of each one's own would take a gigabyte and more.
        self._results = torch.empty(0, width, dtype=torch.float32, device=device.torch_device)
        self._attention = attention
        self._compute = compute
        self._windows = tuple(set(windows))
        self._spare_slot = spare_slot
        self._captured: OrderedDict[_Bucket, _Captured] = OrderedDict()
        self._is_off = False
        self.num_captures = 0
        self.num_replays = 0

    @torch.inference_mode()
    def forward(self, batch: ForwardBatch) -> torch.Tensor | None:
        """What `compute` gives for a step, float32 [rows, width], valid until the next call; None
        where the step is not one that is captured."""
        count = len(batch.query_lens)
        if self._is_off or count > MAX_SEQUENCES or not _is_decode(batch):
            return None
        longest = max(map(len, batch.host_slots or batch.context_slots))
        shares = self._attention.reads_shared(batch, self._windows)
        bucket = (sequence_bucket(count), key_bucket(longest), shares)
        captured = self._captured.get(bucket) or self._capture(*bucket)
        if captured is None:
            return None
        self._captured[bucket] = captured
        self._captured.move_to_end(bucket)
        self._fill(captured, batch)
        self.num_replays += 1
        return captured.replay()[:count]

    def _capture(self, size: int, keys: int, shares: bool) -> _Captured | None:
        """The capture of a bucket, of rows without meaning; None, for good, where it fails: the
        model then computes every step operator by operator."""
        while len(self._captured) >= _MOST_CAPTURES:
            self._captured.popitem(last=False)
        rows = np.zeros((4, size), np.int64)
        rows[2] = self._spare_slot
        rows[3] = np.arange(size)
        inputs = self._device.put([rows.reshape(-1)])[0].view(4, size)
        token_ids, positions, new_slots, logit_rows = inputs.unbind(0)
        slots = [new_slots[:1]] * size
        batch = ForwardBatch(token_ids, positions, new_slots, [1] * size, slots, logit_rows)
        plan = self._attention.fixed_plan(batch, keys, self._windows, shares=shares)
        if plan is None:
            self._is_off = True
            return None
        self._attention.refill(plan, batch)
        if len(self._results) < size:
            # The captures before keep what they write into.
            self._results = self._results.new_empty(
                max(size, 2 * len(self._results)), self._results.shape[1]
            )
        results = self._results[:size]
        try:
            replay = self._device.capture(lambda: results.copy_(self._compute(batch, plan)))
        except Exception:
            _log.exception("a decode step of %d rows cannot be captured; going on without", size)
            self._is_off = True
            return None
        self.num_captures += 1
        return _Captured(inputs[:3], plan, replay, num_filled=0)

    def _fill(self, captured: _Captured, batch: ForwardBatch) -> None:
        """Copy a step into the capture's tensors."""
        count, inputs = len(batch.query_lens), captured.inputs
        given = (batch.token_ids, batch.positions, batch.new_slots)
        for row, values in zip(inputs.unbind(0), given, strict=True):
            row[:count].copy_(values)
        left_over = inputs[:, count : captured.num_filled]
        left_over[:2].zero_()
        left_over[2].fill_(self._spare_slot)
        captured.num_filled = count
        self._attention.refill(captured.plan, batch)


def _is_decode(batch: ForwardBatch) -> bool:
    """Whether every sequence has one new token and wants its logits: rows are named once each, in
    order, so as many rows as sequences are all of them."""
    count = len(batch.query_lens)
    return len(batch.token_ids) == count == len(batch.logit_rows)
