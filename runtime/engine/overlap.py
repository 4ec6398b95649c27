"""Decode steps that are queued before the host knows the tokens of the step before; used by the
engine core on devices with a queue of their own, and on a CPU where another thread computes steps.

The device draws a step's tokens and feeds them to the next one. While it computes that, the host
reads the tokens, takes them (grammars, stops, streams), and fills the masks for the next drawing:

    host    masks of N, queue its drawing | queue N+1 | wait for N's tokens, take and tell them |
    device  .. step N ........................ | drawing of N | step N+1 ........................

A step runs ahead only where the scheduler would have chosen it: every running sequence decodes and
nobody waits for a place. What such a step computed for a sequence that has ended, or that took
another token than was drawn, is dropped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from ..device.base import Device
from ..device.cpu import num_cores
from ..scheduler.scheduler import Chunk, Scheduler
from ..scheduler.sequence import Sequence
from .batch import ForwardBatch
from .choose import Drawn
from .config import OverlapMode
from .forward import Runner
from .pays import Pays
from .taking import Taker
from .turn import Turn

_log = logging.getLogger(__name__)

# How long a thread has a core to itself where another one waits for it; Linux, at 250 Hz.
_TICK_S: Final = 0.004


@dataclass(slots=True)
class _Pending:
    """Turns whose tokens are being drawn from `logits`."""

    turns: list[Turn]
    logits: torch.Tensor
    drawn: Drawn


@dataclass(slots=True)
class _Computed:
    """Turns of a step that ran ahead, whose tokens are to be drawn."""

    turns: list[Turn]
    logits: torch.Tensor


@dataclass(slots=True)
class _Ahead:
    """A step that is queued. rows: which of the drawn tokens each of `seqs` goes on from; starts:
    their positions."""

    seqs: list[Sequence]
    rows: list[int]
    starts: list[int]
    logits: torch.Tensor


class Overlap:
    """At most one step runs ahead. num_ahead: steps that did; num_dropped: rows of theirs that were
    dropped.

    mode: with "auto" steps always run ahead, but on a CPU where that is measured to pay, and not
    while a grammar is compiled that needs a core of theirs. is_live: whether a sequence still runs.
    conclude: settles and reports what a turn took. count: is told how many tokens a step computes.
    is_compiling: whether a grammar is compiled.
    """

    def __init__(
        self,
        runner: Runner,
        scheduler: Scheduler,
        taker: Taker,
        mode: OverlapMode,
        *,
        is_live: Callable[[Sequence], bool],
        conclude: Callable[[Turn, int], None],
        count: Callable[[int], None],
        is_compiling: Callable[[], bool],
    ) -> None:
        self._runner = runner
        self._scheduler = scheduler
        self._taker = taker
        self._mode = mode
        self._pays = Pays() if mode == "auto" and _is_host(runner.device) else None
        self._judged: list[Turn] = []  # of the last step that was timed
        self._is_live = is_live
        self._conclude = conclude
        self._count = count
        self._is_compiling = is_compiling
        num_threads = torch.get_num_threads() + 1  # a step's, and the host's
        self._may_be_crowded = self._pays is not None and num_cores() <= num_threads
        self._pending: _Pending | None = None
        self._computed: _Computed | None = None
        self.num_ahead = 0
        self.num_dropped = 0

    @property
    def needs_cores(self) -> bool:
        """Whether a grammar had better not be compiled before the step that is queued is through,
        which is sooner than a thread of the step would get its core back."""
        is_queued = self._pending is not None or self._computed is not None
        pays = self._pays if self._may_be_crowded and is_queued else None
        return pays is not None and 0.0 < pays.step_s < _TICK_S

    def _is_crowded(self) -> bool:
        """Whether threads that take turns would wait for a core each time."""
        return self._may_be_crowded and self._is_compiling()

    def begin(self, turns: list[Turn], logits: torch.Tensor) -> bool:
        """Queue the drawing of a step's tokens, which `advance` takes. False where the turns are
        to be taken at once; those whose sequences were found to fail are taken out of them."""
        may_begin = self._may_begin(turns)
        if self._pays is not None:
            may_begin = self._asked(self._pays, turns, may_begin and not self._is_crowded())
        if not may_begin:
            return False
        try:
            drawn = self._taker.draw(turns, logits, self._runner.device)
        except Exception:
            _log.exception("queueing the drawing of %d tokens failed; the host waits", len(turns))
            drawn = None
        if drawn is None:
            turns[:] = [turn for turn in turns if self._is_live(turn.seq)]
            return not turns
        self._pending = _Pending(turns, logits, drawn)
        return True

    def _asked(self, pays: Pays, turns: list[Turn], may_begin: bool) -> bool:
        if self._judged and all(map(_stopped, self._judged)):
            pays.note_loss()
        self._judged = turns if may_begin else []
        if may_begin:
            return pays.runs_ahead(len(turns), time.perf_counter())
        pays.interrupt()
        return False

    def _may_begin(self, turns: list[Turn]) -> bool:
        if self._mode == "off" or not self._runner.device.is_asynchronous:
            return False
        if not turns or self._taker.held or not all(map(_takes_one, turns)):
            return False
        # Elsewhere drawing on the device pays in any case.
        return not _is_host(self._runner.device) or self._scheduler.is_steady(len(turns))

    def advance(self) -> bool:
        """Take what is pending, with the next step queued before where it can be. False where
        nothing was pending, and the caller schedules a step. What was drawn does not wait for
        anything that comes after it: not for the next masks, nor for a step that the scheduler
        must decide on."""
        computed, self._computed = self._computed, None
        if computed is not None and not self._begun(computed):
            return True
        pending, self._pending = self._pending, None
        if pending is None:
            return False
        ahead = self._queue(pending)
        drawn_ids = self._take(pending)
        if ahead is not None:
            self._computed = _Computed(self._settled(ahead, drawn_ids), ahead.logits)
        return True

    def _begun(self, computed: _Computed) -> bool:
        """Queue the drawing of a step that ran ahead, where it can be; else its turns are taken."""
        turns = [turn for turn in computed.turns if self._is_live(turn.seq)]
        if not turns or self.begin(turns, computed.logits):
            return True
        self._runner.device.catch_up()
        try:
            self._taker.take(turns, computed.logits)
        finally:
            for turn in turns:
                self._conclude(turn, len(turns))
        return False

    def forget(self) -> None:
        """A step failed; what was pending is void. The scheduler has taken back all slots."""
        self._pending = self._computed = None

    def _queue(self, pending: _Pending) -> _Ahead | None:
        """Queue the step behind `pending`; None where the scheduler must decide first."""
        scheduler, drawn = self._scheduler, pending.drawn
        if drawn.unfinished or not scheduler.is_steady(len(drawn.seqs)) or self._is_crowded():
            return None
        rows = [i for i, seq in enumerate(drawn.seqs) if seq.num_remaining > 1]
        seqs = [drawn.seqs[i] for i in rows]
        if not all(map(self._is_live, drawn.seqs)) or not seqs:
            return None
        # A captured step has no room for guesses; elsewhere they are worth more than running ahead.
        if not self._runner.device.captures and any(seq.given for seq in seqs):
            return None
        if not scheduler.grow_ahead(seqs):
            return None
        try:
            logits = self._runner.forward(self._batch(seqs, rows, drawn.token_ids))
        except Exception:
            _log.exception("a step of %d sequences could not run ahead", len(seqs))
            for seq in seqs:
                scheduler.drop_ahead(seq)
            return None
        self.num_ahead += 1
        self._count(len(seqs))
        return _Ahead(seqs, rows, [seq.num_tokens for seq in seqs], logits)

    def _batch(self, seqs: list[Sequence], rows: list[int], drawn: torch.Tensor) -> ForwardBatch:
        """One token of each sequence, from the tokens that the device drew."""
        count = len(seqs)
        contexts = [seq.slots[: seq.num_tokens + 1] for seq in seqs]
        positions = np.array([seq.num_tokens for seq in seqs], np.int64)
        new_slots = np.array([own.item(-1) for own in contexts], np.int64)
        where, into, order, chosen, *slots = self._runner.device.put(
            [positions, new_slots, np.arange(count), np.array(rows, np.int64), *contexts]
        )
        ids = self._runner.device.pick(drawn, chosen)
        return ForwardBatch(ids, where, into, [1] * count, slots, order, contexts, is_ahead=True)

    def _take(self, pending: _Pending) -> dict[int, int]:
        """Take the pending tokens; what was drawn, by sequence."""
        turns = [turn for turn in pending.turns if self._is_live(turn.seq)]
        try:
            ids = self._taker.take_drawn(turns, pending.drawn, pending.logits, self._is_live)
        finally:
            for turn in turns:
                if turn.finish is not None or turn.failed:
                    turn.seq.num_ahead = 0
                self._conclude(turn, len(turns))
        return {seq.sid: token for seq, token in zip(pending.drawn.seqs, ids, strict=True)}

    def _settled(self, ahead: _Ahead, drawn_ids: dict[int, int]) -> list[Turn]:
        """The turns of a step that ran ahead, of the sequences that took what was drawn."""
        turns = []
        for row, (seq, start) in enumerate(zip(ahead.seqs, ahead.starts, strict=True)):
            if not self._is_live(seq):
                self.num_dropped += 1
                continue
            if seq.num_tokens != start + 1 or seq.ids.item(start) != drawn_ids[seq.sid]:
                self._scheduler.drop_ahead(seq)
                self.num_dropped += 1
                continue
            seq.num_ahead = 0
            self._scheduler.settle(Chunk(seq, start, start + 1))
            turns.append(Turn(seq, row, []))
        return turns


def _stopped(turn: Turn) -> bool:
    """Whether a turn ended its sequence where nobody knew before."""
    return turn.finish is not None and turn.finish.reason != "length"


def _is_host(device: Device) -> bool:
    """Whether a device's work takes the cores that the host needs."""
    return device.torch_device.type == "cpu"


def _takes_one(turn: Turn) -> bool:
    """Whether a turn is to draw one token, and no more is wanted of its logits: a grammar may have
    another token taken in its place, whose log probability is looked up in them."""
    seq = turn.seq
    returns = seq.logprobs is not None and seq.matcher is not None
    return turn.is_open and not turn.staged and not seq.num_forced and not returns
