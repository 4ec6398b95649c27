"""Decides when an engine's loop hangs, from what front.py sees of it ten times a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

# A look that comes later than this counts as one on time: whoever starved the watcher starved the
# engine as well.
_LONGEST_LOOK_S: Final = 0.2
# Waiting for a core is no hang, up to so many times what counts as one.
_MOST_CREDIT: Final = 20
# From this share of what counts as a hang on, the engine's threads are looked at: an engine without
# work stands still for a third of that, and each look reads a file or two per thread.
_LOOKED_AT: Final = 0.25


@dataclass(frozen=True, slots=True)
class ThreadTimes:
    """What the system tells of a thread: for how long it ran and waited for a core, all in all, and
    whether it could run now. A wait is counted when it ends."""

    ran_s: float
    queued_s: float
    is_runnable: bool

    def kept_waiting_s(self, before: ThreadTimes, passed_s: float) -> float:
        """For how long, of the time that passed, it wanted a core and had none."""
        queued_s = self.queued_s - before.queued_s
        still_waits = self.is_runnable and before.is_runnable and self.ran_s == before.ran_s
        return passed_s if still_waits and not queued_s else queued_s


class LoopWatch:
    """Counts the time in which the loop stood still though it could have run."""

    def __init__(self) -> None:
        self._looked_s: float | None = None
        self._still_s = 0.0
        self._own_s = 0.0
        self._threads: Mapping[int, ThreadTimes] | None = None

    def look(
        self,
        now_s: float,
        moved: bool,
        threads: Callable[[], Mapping[int, ThreadTimes]],
        hang_s: float,
    ) -> float | None:
        """For how long a hanging loop has stood still; None for one that does not hang.

        moved: whether it got somewhere since the last look. threads: of the engine, by number;
        asked for only once the loop has stood still for a while.
        """
        passed_s = 0.0 if self._looked_s is None else now_s - self._looked_s
        self._looked_s = now_s
        if moved:
            self._still_s = self._own_s = 0.0
            self._threads = None
            return None
        passed_s = min(passed_s, _LONGEST_LOOK_S)
        self._still_s += passed_s
        self._own_s += passed_s
        if self._still_s < hang_s * _LOOKED_AT:
            return None
        before, self._threads = self._threads, threads()
        if before is not None:
            # Threads wait for each other: whichever had no core, the loop may have waited for it.
            waited_s = sum(
                thread.kept_waiting_s(before[number], passed_s)
                for number, thread in self._threads.items()
                if number in before
            )
            self._own_s -= min(passed_s, waited_s)
        hangs = self._own_s > hang_s or self._still_s > _MOST_CREDIT * hang_s
        return self._still_s if hangs else None
