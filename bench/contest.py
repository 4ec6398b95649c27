"""Several ways of doing the same, measured in turns. Used by programs.py."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from .processes import cpu_seconds


class Contest:
    """Ways of doing the same, taking turns after a warm-up each: whatever else the machine does
    falls on all of them alike. Knows for each the median time, and CPU time by process.

    step_seconds: what a runtime has spent in its engine's steps so far, with the time between two
    of them in which a pass that runs ahead is computed; "steps" is then known, too.
    """

    def __init__(
        self, processes: dict[str, int], step_seconds: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._processes = processes
        self._step_seconds = step_seconds
        self._samples: dict[str, list[dict[str, float]]] = {}

    def run(self, ways: dict[str, Callable[[], int]], rounds: int, end_s: float) -> None:
        """Each way tells how many calls it made. One round is run in any case."""
        for way in ways.values():
            way()
        for number in range(rounds):
            if number and time.perf_counter() > end_s:
                print(f"no time for {rounds - number} more rounds", file=sys.stderr)
                return
            for name, way in ways.items():
                before = {"steps": self._step_seconds(), **cpu_seconds(self._processes)}
                before["wall"] = time.perf_counter()
                num_calls = way()
                after = {"wall": time.perf_counter(), **cpu_seconds(self._processes)}
                after["steps"] = self._step_seconds()
                self._samples.setdefault(name, []).append(
                    {what: (after[what] - before[what]) / num_calls * 1000 for what in after}
                )

    def median_ms(self, way: str, what: str = "wall") -> float:
        """Of a call."""
        return statistics.median(sample[what] for sample in self._samples[way])

    def median_overhead_ms(self, way: str) -> float:
        """Of a call, what its run took beyond the steps of that very run: the machine's speed
        changes from one to the next."""
        return statistics.median(s["wall"] - s["steps"] for s in self._samples[way])

    def told(self, way: str) -> str:
        spent = ", ".join(
            f"{name} {self.median_ms(way, name):.2f}" for name in ("client", *self._processes)
        )
        return f"{way} {self.median_ms(way):.3f} ms (CPU: {spent})"
