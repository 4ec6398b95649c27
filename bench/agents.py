"""Latency of whole programs: a scheduler that knows them against one that sees calls only.

The agents of bench.traces (3 to 10 calls, a tool between two), on the real scheduler, tree and
leases, with a pool of 30 % of what they need together. No model runs and the clock is simulated: a
step takes as long as one of an 8 B model on one accelerator, so that the figures are the same on
any machine.

- `blind`: told nothing of programs. Calls go in the order in which they come, as servers do it by
  default, or with the longest cached prefix first, as ours does, with its bound on waiting or
  without one; LRU evicts what no waiting call needs.
- `aware`: each agent is a program with a session that is released at its end. How many calls
  follow is guessed from the other agents.
- `plans`: as before, and each call says what follows, as those of compiled plans do.
- `everything known`: each call says how long it and all that follow are going to take, nothing is
  ever evicted, and nothing bounds a wait: what an order of calls can come to.

Once all agents come at once, once they come as a Poisson process at 90 % of what `blind` can do,
where hardly any call waits and no order can save much.
"""

from __future__ import annotations

import heapq
import itertools
import random
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np

from branchline.runtime.memory.allocator import SlotAllocator
from branchline.runtime.protocol import SamplingParams
from branchline.runtime.radix_cache.tree import RadixCache
from branchline.runtime.sampling import SamplingState
from branchline.runtime.scheduler.config import Policy, SchedulerConfig
from branchline.runtime.scheduler.leases import LeaseTable
from branchline.runtime.scheduler.scheduler import Scheduler
from branchline.runtime.scheduler.sequence import Sequence
from branchline.runtime.scheduler.stop import StopChecker

from .report import Report, arguments, finish
from .traces import Alike, Call, agent_programs, pool_of

Knowledge = Literal["blind", "aware", "plans", "everything known"]

# A step that decodes, and each token of a prompt that it computes as well.
_STEP_S: Final = 0.015
_TOKEN_S: Final = 0.000_1
_TOOL_S: Final = 1.0
_MAX_RUNNING: Final = 16
_MAX_NEW_TOKENS: Final = 80
_LOAD: Final = 0.9
_NUM_PROGRAMS: Final = 400
_NO_BOUND: Final = 10**9
_POOL_FOR_ALL: Final = 10**6


def main() -> None:
    options = arguments(__doc__.splitlines()[0]).parse_args()
    report = Report("agents")
    measure(report)
    finish(report, options, plot)


def measure(report: Report) -> None:
    """Add the rows; called by bench.radix, too."""
    programs = agent_programs(random.Random("agents"), _NUM_PROGRAMS)
    at_once = [0.0] * len(programs)
    rate = len(programs) / Simulation(programs, at_once, "blind").run().length_s
    rng = random.Random("arrivals")
    spread = list(itertools.accumulate(rng.expovariate(_LOAD * rate) for _ in programs))
    limits = _limits(programs)
    blinds = {
        "first come": Simulation(programs, at_once, "blind", "fcfs").run(),
        "longest prefix": Simulation(programs, at_once, "blind").run(),
        "longest prefix, no bound": Simulation(
            programs, at_once, "blind", max_overtakes=_NO_BOUND
        ).run(),
    }
    for knowledge in ("aware", "plans", "everything known"):
        told = Simulation(programs, at_once, knowledge).run()
        for other, blind in blinds.items():
            # Nobody is served without a bound, or knows everything: these rows say what is left.
            is_served = knowledge != "everything known" and other != "longest prefix, no bound"
            report.add(
                f"agents all at once, {knowledge}: mean latency saved over {other}",
                1.0 - told.mean_s / blind.mean_s,
                "share",
                goal=0.25 if is_served else None,
                detail=f"{told}; blind: {blind}; {limits}",
            )
    blind = Simulation(programs, spread, "blind").run()
    for knowledge in ("aware", "plans"):
        told = Simulation(programs, spread, knowledge).run()
        report.add(
            f"agents at {_LOAD:.0%} load, {knowledge}: mean latency saved over longest prefix",
            1.0 - told.mean_s / blind.mean_s,
            "share",
            detail=f"{told}; blind: {blind}",
        )


def _limits(programs: list[list[Call]]) -> str:
    known_s, unknown_s = least_means_s(programs)
    return f"no order is below {known_s:.1f} s, none that knows no lengths below {unknown_s:.1f} s"


def least_means_s(programs: list[list[Call]]) -> tuple[float, float]:
    """Bounds for the mean latency of programs that all come at once. The machine is always full,
    computes nothing twice and no tool takes time.

    Then the shortest program first is the best order (L. Schrage, 1968), and the n-th end is also
    no earlier than the n-th shortest way alone. Who does not know which are short, but that all are
    nearer to their end the further they have come, does best to end each that was begun (S. Aalto,
    U. Ayesta, R. Righter, 2009): the mean over all orders, which is the second bound.
    """
    busy_s, alone_s = [], []
    for calls in programs:
        num_new = len(calls[-1].ids) - calls[0].prompt_len
        num_said = sum(len(call.ids) - call.prompt_len for call in calls)
        busy_s.append(num_new * _TOKEN_S + num_said * _STEP_S / _MAX_RUNNING)
        alone_s.append(num_new * _TOKEN_S + num_said * _STEP_S)
    ends_s = map(max, itertools.accumulate(sorted(busy_s)), sorted(alone_s))
    return statistics.fmean(ends_s), statistics.fmean(busy_s) * (len(busy_s) + 1) / 2


@dataclass(frozen=True)
class Outcome:
    """Latencies of programs from their arrival to their last token."""

    latencies_s: list[float]
    length_s: float
    hit_rate: float

    @property
    def mean_s(self) -> float:
        return statistics.fmean(self.latencies_s)

    def __str__(self) -> str:
        p95 = statistics.quantiles(self.latencies_s, n=20)[-1]
        return f"mean {self.mean_s:.1f} s, p95 {p95:.1f} s, hits {self.hit_rate:.2f}"


@dataclass(eq=False)
class _Agent:
    number: int
    calls: list[Call]
    arrived_s: float
    next_call: int = 0


@dataclass
class Simulation:
    programs: list[list[Call]]
    arrivals_s: list[float]
    knowledge: Knowledge
    policy: Policy = "lpm"
    max_overtakes: int = 64
    now_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        pool = pool_of([call for calls in self.programs for call in calls])
        if self.knowledge == "everything known":
            pool, self.max_overtakes = _POOL_FOR_ALL, _NO_BOUND
        allocator = SlotAllocator(pool)
        self.cache = RadixCache(allocator, lambda: self.now_s)
        if self.knowledge == "blind":
            self.cache.order.chances = Alike()
        self.leases = LeaseTable(self.cache, 0)
        config = SchedulerConfig(
            max_running=_MAX_RUNNING, policy=self.policy, max_overtakes=self.max_overtakes
        )
        self.scheduler = Scheduler(config, allocator, self.cache, max_logit_rows=1_000)
        self.rng = random.Random("tools")
        self.agents: dict[int, _Agent] = {}
        self.sids = itertools.count(1)
        # (when its next call comes, number, agent)
        self.coming = [
            (arrival_s, number, _Agent(number, calls, arrival_s))
            for number, (calls, arrival_s) in enumerate(
                zip(self.programs, self.arrivals_s, strict=True), start=1
            )
        ]
        heapq.heapify(self.coming)
        self.num_prompt_tokens = 0

    def run(self) -> Outcome:
        while self.coming or self.agents:
            while self.coming and self.coming[0][0] <= self.now_s:
                self.call(heapq.heappop(self.coming)[2])
            if not self.step():
                self.now_s = self.coming[0][0]
        hit_rate = self.scheduler.num_hit_tokens / self.num_prompt_tokens
        return Outcome(self.latencies_s, self.now_s, hit_rate)

    def call(self, agent: _Agent) -> None:
        call = agent.calls[agent.next_call]
        sid = next(self.sids)
        params = SamplingParams(max_new_tokens=len(call.ids) - call.prompt_len)
        seq = Sequence(
            sid=sid,
            arrival=sid,
            namespace="",
            prompt_len=call.prompt_len,
            max_new_tokens=params.max_new_tokens,
            sampling=params,
            sampling_state=SamplingState(params, [], 32_000),
            stop=StopChecker(params, params.max_new_tokens, (), []),
            ids=np.array(call.ids, np.int32),
            num_tokens=call.prompt_len,
        )
        self.num_prompt_tokens += call.prompt_len
        if self.knowledge != "blind":
            known = self._said_to_follow(agent)
            seq.program = agent.number
            self.leases.begin(agent.number, agent.number, "", 1e9)
            seq.tokens_after, seq.calls_after = self.leases.programs.call(agent.number, known)
        self.agents[sid] = agent
        self.scheduler.submit(seq)

    def _said_to_follow(self, agent: _Agent) -> int | None:
        """What an agent's call says of how much follows it."""
        if self.knowledge == "aware":
            return None
        if self.knowledge == "plans":
            return (len(agent.calls) - agent.next_call - 1) * _MAX_NEW_TOKENS
        left = agent.calls[agent.next_call :]
        num_new = len(left[-1].ids) - left[0].prompt_len
        num_said = sum(len(call.ids) - call.prompt_len for call in left)
        return round((num_new * _TOKEN_S + num_said * _STEP_S / _MAX_RUNNING) / _TOKEN_S)

    def step(self) -> bool:
        chunks = self.scheduler.schedule()
        if not chunks:
            return False
        num_tokens = sum(chunk.end - chunk.start for chunk in chunks)
        self.now_s += _STEP_S + _TOKEN_S * num_tokens
        for chunk in chunks:
            self.scheduler.settle(chunk)
        for chunk in chunks:
            seq = chunk.seq
            if seq.num_computed == seq.num_tokens:
                seq.num_tokens += 1  # the trace says what comes
                if not seq.num_remaining:
                    self.end(seq)
        return True

    def end(self, seq: Sequence) -> None:
        self.scheduler.finish(seq)
        agent = self.agents.pop(seq.sid)
        agent.next_call += 1
        is_over = agent.next_call == len(agent.calls)
        if self.knowledge != "blind":
            self.leases.programs.note_call(seq.num_tokens - (seq.cached_tokens or 0))
            self.leases.end(agent.number, "", seq.ids[: seq.num_tokens], last=is_over)
        if is_over:
            self.latencies_s.append(self.now_s - agent.arrived_s)
        else:
            due_s = self.now_s + self.rng.expovariate(1 / _TOOL_S)
            heapq.heappush(self.coming, (due_s, agent.number, agent))


def plot(report: Report, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    axes.barh([row.metric for row in report.rows], [row.value for row in report.rows])
    axes.axvline(0.25, color="black")
    axes.set_xlabel("share of the mean latency that is saved")
    figure.savefig(path)


if __name__ == "__main__":
    main()
