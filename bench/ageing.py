"""What the bound on waiting costs: the longest cached prefix first, with and without it.

Requests come faster than they can be served: documents that many ask about, and prompts that share
nothing, which the longest prefix first would leave for the end. As in bench.agents the scheduler,
the tree and the pool (30 % of the need) are real, the clock is simulated, and no model runs.
"""

from __future__ import annotations

import itertools
import random
import statistics
from dataclasses import dataclass
from pathlib import Path

from branchline.runtime.scheduler.sequence import Sequence

from .agents import Simulation, _Agent
from .report import Report, arguments, finish
from .traces import Call, Words, conversation

# Of the rate at which the longest prefix first can serve them.
_LOAD = 1.3
_LONE = 0.2
_NO_BOUND = 10**9


def main() -> None:
    options = arguments(__doc__.splitlines()[0]).parse_args()
    report = Report("ageing")
    calls = requests(random.Random("ageing"), 400 if options.quick else 2_000)
    at_once = [0.0] * len(calls)
    length_s = Waits(calls, at_once, "blind", max_overtakes=_NO_BOUND).run().length_s
    rng = random.Random("arrivals")
    rate = _LOAD * len(calls) / length_s
    arrivals = list(itertools.accumulate(rng.expovariate(rate) for _ in calls))
    pure = Waits(calls, arrivals, "blind", max_overtakes=_NO_BOUND)
    aged = Waits(calls, arrivals, "blind")
    without, with_it = pure.run(), aged.run()
    detail = f"hits {with_it.hit_rate:.3f}; without {without.hit_rate:.3f}"
    speed = without.length_s / with_it.length_s
    report.add("throughput with the bound over without", speed, "ratio", goal=0.98, detail=detail)
    worst = max(wait.share for wait in aged.waits)
    detail = (
        f"longest {aged.longest}; without {pure.longest}, {max(w.share for w in pure.waits):.1f}"
    )
    report.add(
        "longest wait over what is promised", worst, "share", goal=1.0, detail=detail, at_most=True
    )
    finish(report, options, plot)


def requests(rng: random.Random, count: int) -> list[list[Call]]:
    """Of one call each."""
    words = Words(rng)
    documents = [words.some(300, 500) for _ in range(20)]
    weights = [1 / (rank + 1) for rank in range(len(documents))]
    heads = (
        words.some(300, 500) if rng.random() < _LONE else rng.choices(documents, weights)[0]
        for _ in range(count)
    )
    return [conversation(words, number, head, 1) for number, head in enumerate(heads)]


@dataclass(frozen=True)
class Wait:
    """Of a sequence: how many were admitted before it, and how many waiting.py promises at most."""

    num_admitted: int
    most: int

    @property
    def share(self) -> float:
        return self.num_admitted / self.most


class Waits(Simulation):
    """A simulation that notes each sequence's wait."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.waits: list[Wait] = []
        self._found: dict[int, tuple[int, int]] = {}
        admit = self.scheduler.waiting.admit

        def note(seq: Sequence) -> None:
            admit(seq)
            if seq.sid in self._found:  # not of one that was retracted and comes back
                before, others = self._found.pop(seq.sid)
                num_admitted = self.scheduler.waiting.num_admitted - before
                self.waits.append(Wait(num_admitted, 3 * others + 65))

        self.scheduler.waiting.admit = note  # type: ignore[method-assign]

    def call(self, agent: _Agent) -> None:
        waiting = self.scheduler.waiting
        found = waiting.num_admitted, len(waiting)
        super().call(agent)
        self._found[next(reversed(self.agents))] = found

    @property
    def longest(self) -> str:
        counts = sorted(wait.num_admitted for wait in self.waits)
        return f"{counts[-1]} admissions, median {statistics.median(counts):.0f}"


def plot(report: Report, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 2), layout="constrained")
    axes.barh([row.metric for row in report.rows], [row.value for row in report.rows])
    axes.axvline(1.0, color="black")
    figure.savefig(path)


if __name__ == "__main__":
    main()
