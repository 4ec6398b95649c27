"""The waiting queue: who comes next, by longest cached prefix or by age; used by the scheduler."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from operator import attrgetter

from ..radix_cache.tree import RadixCache
from .config import SchedulerConfig
from .sequence import Sequence

# Lookups in the tree per step, 2-3 us each: a long queue must not slow down those that run.
_REFRESHED_PER_STEP = 16

_arrival = attrgetter("arrival")


class WaitingQueue:
    """Sequences in order of arrival. A retracted one returns to the place that its age gives it."""

    def __init__(self, config: SchedulerConfig, cache: RadixCache) -> None:
        self._config = config
        self._cache = cache
        self._queue: list[Sequence] = []
        self._next_refresh = 0

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, seq: Sequence) -> None:
        seq.prefix_bytes = seq.ids[: seq.num_tokens].tobytes()
        seq.hit_estimate = self._lookup(seq)
        if self._queue and self._queue[-1].arrival > seq.arrival:
            self._queue.insert(bisect_left(self._queue, seq.arrival, key=_arrival), seq)
        else:
            self._queue.append(seq)

    def remove(self, seq: Sequence) -> None:
        del self._queue[bisect_left(self._queue, seq.arrival, key=_arrival)]

    def candidates(self) -> list[Sequence]:
        """Those that may be admitted now, the one to try first in front."""
        window = self._queue[: self._config.window]
        if self._config.policy == "fcfs":
            return window
        self._refresh(window)
        return sorted(window, key=self._rank)

    def must_not_be_passed(self, seq: Sequence) -> bool:
        """True when nobody may be admitted before `seq` any more."""
        return self._config.policy == "fcfs" or seq.overtaken >= self._config.max_overtakes

    def note_admitted(self, admitted: Iterable[Sequence]) -> None:
        """Count, for those that still wait, the younger ones that went before them."""
        youngest_first = sorted((seq.arrival for seq in admitted), reverse=True)
        for seq in self._queue[: self._config.window]:
            if seq.arrival > youngest_first[0]:
                return
            seq.overtaken += sum(arrival > seq.arrival for arrival in youngest_first)

    def _rank(self, seq: Sequence) -> tuple[bool, int, int]:
        aged = seq.overtaken >= self._config.max_overtakes
        return (not aged, 0 if aged else -seq.hit_estimate, seq.arrival)

    def _refresh(self, window: list[Sequence]) -> None:
        """Look some of them up again, in turn: the tree changes while they wait."""
        for _ in range(min(len(window), _REFRESHED_PER_STEP)):
            self._next_refresh = (self._next_refresh + 1) % len(window)
            seq = window[self._next_refresh]
            seq.hit_estimate = self._lookup(seq)

    def _lookup(self, seq: Sequence) -> int:
        return self._cache.match_length(seq.namespace, seq.ids[: seq.max_match])
