"""Time for promises by the clock, on machines that stand still now and then; for all tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

_TURN_S: Final = 0.005
# What one turn counts at most: whatever takes longer was a pause of the machine or the collection
# of the test process's garbage, and no delay of what is being watched.
_LONGEST_TURN_S: Final = 0.05


class Stopwatch:
    """The seconds since it was started, in turns of a thread of its own."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        looked_s = time.monotonic()
        while not self._ended.wait(_TURN_S):
            now_s = time.monotonic()
            self.seconds += min(now_s - looked_s, _LONGEST_TURN_S)
            looked_s = now_s


def seconds_until(condition: Callable[[], bool], at_most_s: float) -> float:
    """How long it took until the condition held; fails when it took longer than `at_most_s`."""
    with Stopwatch() as watch:
        while not condition():
            assert watch.seconds < at_most_s, f"still not so after {watch.seconds:.1f} s"
            time.sleep(_TURN_S)
    return watch.seconds
