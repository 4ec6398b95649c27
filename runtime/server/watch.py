"""Decides when an engine's loop hangs, from what front.py sees of it ten times a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# A look that comes later than this counts as one on time: whoever starved the watcher starved the
# engine as well.
_LONGEST_LOOK_S: Final = 0.2
# Waiting for a core is no hang, up to so many times what counts as one.
_MOST_CREDIT: Final = 20


class LoopWatch:
    """Counts the time in which the loop stood still though it could have run."""

    def __init__(self) -> None:
        self._looked_s: float | None = None
        self._still_s = 0.0
        self._queued_s: float | None = None

    def look(
        self, now_s: float, moved: bool, queued: Callable[[], float], hang_s: float
    ) -> float | None:
        """For how long a hanging loop has stood still; None for one that does not hang.

        moved: whether it got somewhere since the last look. queued: for how long the engine has
        waited for a core, all in all; asked only once the loop has stood still for a while.
        """
        passed_s = 0.0 if self._looked_s is None else now_s - self._looked_s
        self._looked_s = now_s
        if moved:
            self._still_s = 0.0
            self._queued_s = None
            return None
        self._still_s += min(passed_s, _LONGEST_LOOK_S)
        if self._still_s < hang_s / 2:
            return None
        queued_s = queued()
        if self._queued_s is None:
            self._queued_s = queued_s
        own_s = self._still_s - (queued_s - self._queued_s)
        hangs = own_s > hang_s or self._still_s > _MOST_CREDIT * hang_s
        return self._still_s if hangs else None
