"""Looks after the bookkeeping of KV slots while the engine serves; used by the engine core.

A contradiction, found by a check or met in a step, costs the sequences that have part in it. The
others are retracted, lose none of their work, and go on. The engine never ends by it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from ..radix_cache.check import InvariantError, check
from ..radix_cache.repair import repair
from ..radix_cache.tree import RadixCache
from ..scheduler.leases import LeaseTable
from ..scheduler.scheduler import Scheduler
from ..scheduler.sequence import Sequence

_log = logging.getLogger(__name__)

# A check takes 10 ms for a million slots: seldom while others wait, more often at idle.
_IDLE_INTERVAL_S: Final = 1.0
_BUSY_INTERVAL_S: Final = 60.0
# Steps in a row that fail although everything was repaired, before everything is given up.
_MAX_REPAIRS_IN_A_ROW: Final = 3


class Auditor:
    """num_violations: contradictions found so far. num_regained: slots brought back by repairs."""

    def __init__(self, scheduler: Scheduler, cache: RadixCache, leases: LeaseTable) -> None:
        self.num_violations = 0
        self.num_regained = 0
        self._scheduler = scheduler
        self._cache = cache
        self._leases = leases
        self._checked_s = cache.clock()
        self._num_in_a_row = 0

    def stats(self) -> dict[str, float]:
        """Counters."""
        return {"violations": self.num_violations, "regained_slots": self.num_regained}

    def prove(self) -> None:
        """Raise InvariantError unless every slot has one owner and every lease its sequence."""
        running = self._scheduler.running
        leases = [seq.node for seq in running if seq.node is not None]
        check(self._cache, [seq.own_slots() for seq in running], leases)

    def after_step(self, sequences: Iterable[Sequence], *, idle: bool) -> list[Sequence]:
        """A step went well. Check now and then; the sequences that a repair gave up."""
        self._num_in_a_row = 0
        now_s = self._cache.clock()
        if now_s - self._checked_s < (_IDLE_INTERVAL_S if idle else _BUSY_INTERVAL_S):
            return []
        self._checked_s = now_s
        try:
            self.prove()
        except InvariantError as error:
            return self._recover(sequences, error)
        return []

    def after_failure(self, sequences: Iterable[Sequence], error: Exception) -> list[Sequence]:
        """A step raised. The sequences that the repair gave up; when repairs do not help, all."""
        self._num_in_a_row += 1
        sequences = list(sequences)
        if self._num_in_a_row <= _MAX_REPAIRS_IN_A_ROW:
            return self._recover(sequences, error)
        for root in self._cache.roots.values():
            root.children.clear()
        self._recover(sequences, error)
        for seq in sequences:
            if seq.is_waiting:
                self._scheduler.waiting.remove(seq)
        self._num_in_a_row = 0
        return sequences

    def _recover(self, sequences: Iterable[Sequence], error: Exception) -> list[Sequence]:
        self.num_violations += 1
        blamed: list[Sequence] = []
        running: list[Sequence] = []
        for seq in sequences:
            if seq.node is not None:
                running.append(seq)
            elif not seq.is_waiting:  # lost on its way from one to the other
                blamed.append(seq)
        done = repair(self._cache, running)
        self.num_regained += done.num_regained
        blamed += done.blamed
        self._scheduler.resume([seq for seq in running if seq not in done.blamed], blamed)
        self._leases.claim_again()
        _log.error(
            "the bookkeeping of KV slots was wrong; repaired: %d sequences given up, %d nodes of "
            "the tree cut off, %d slots regained",
            len(blamed),
            done.num_cut,
            done.num_regained,
            exc_info=error,
        )
        return blamed
