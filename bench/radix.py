"""The radix tree alone: match, insert and evict at a million cached tokens; its share of serving.

The tree holds 10,000 nodes: trunks of 4,000 tokens from which a branch of 100 leaves every 100, so
that a path is 40 nodes deep. A tree of a tenth of that stands beside it: no time may grow with the
tree. Each time is the best of several medians, so that a busy machine matters less. The share is
that of the tree's methods in the steps of an engine that serves prompts with nothing in common. At
the end stands, on a simulated clock, what it saves to know the programs (bench.agents).
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from branchline.runtime import engine_protocol, protocol
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.memory.allocator import SlotAllocator
from branchline.runtime.radix_cache.tree import RadixCache

from . import agents
from .random_models import write_model
from .report import Report, arguments, finish

Tokens = npt.NDArray[np.int32]

_PIECE = 100
_PIECES = 40
_QUERY_TOKENS = 4_096
_VOCABULARY = 32_000
_BATCHES = 5
# The tree's share of serving that is wanted at most.
_MOST_SHARE = 0.005
_TREE_METHODS = (
    "match_length",
    "match_prefix",
    "insert",
    "extend",
    "lock",
    "unlock",
    "count_hit",
    "evict",
    "keep",
    "unkeep",
)
FIRST_ID, LAST_ID = 300, 4_000  # tokens that stand for text in the embedded model's vocabulary


def main() -> None:
    options = arguments(__doc__.splitlines()[0]).parse_args()
    rounds = 50 if options.quick else 200
    report = Report("radix")
    small, large = Forest(1_000), Forest(10_000)
    for name, goal_us, measure in (
        (f"match of {_QUERY_TOKENS} tokens", 100.0, match_us),
        (f"insert {_QUERY_TOKENS - _PIECE * _PIECES} behind {_PIECE * _PIECES}", 150.0, insert_us),
        ("evict 1,000 slots", 1_000.0, evict_us),
    ):
        times = {forest.cache.num_nodes: measure(forest, rounds) for forest in (small, large)}
        of_small, of_large = times.values()
        detail = f"{of_large:.1f} us; in a tree of a tenth {of_small:.1f} us"
        report.add(name, goal_us / of_large, "goal / time", goal=1.0, detail=detail)
    with tempfile.TemporaryDirectory() as scratch:
        for name, words, num_prompts in (
            ("embedded", "5 M", 8 if options.quick else 32),
            (str(write_model("S", Path(scratch))), "100 M", 4 if options.quick else 16),
        ):
            tree_s, serving_s = share_of_serving(name, num_prompts)
            detail = f"{1e3 * tree_s:.1f} ms of {serving_s:.1f} s on one thread"
            report.add(
                f"share of serving at zero hits, {words} parameters",
                _MOST_SHARE * serving_s / tree_s,
                "goal / share",
                goal=1.0,
                detail=detail,
            )
    agents.measure(report)
    finish(report, options, plot)


class Forest:
    """A tree of about `num_nodes` nodes of 100 tokens each."""

    def __init__(self, num_nodes: int) -> None:
        self.rng = np.random.default_rng(num_nodes)
        self.cache = RadixCache(SlotAllocator(num_nodes * 2 * _PIECE))
        self.trunks: list[Tokens] = []
        while self.cache.num_nodes < num_nodes:
            trunk = self.tokens(_PIECE * _PIECES)
            self.trunks.append(trunk)
            self.put(trunk)
            for start in range(_PIECE, len(trunk), _PIECE):
                self.put(np.concatenate([trunk[:start], self.tokens(_PIECE)]))

    def tokens(self, count: int) -> Tokens:
        return self.rng.integers(0, _VOCABULARY, count, np.int32)

    def query(self, number: int) -> Tokens:
        """A trunk, and then something new."""
        trunk = self.trunks[number % len(self.trunks)]
        return np.concatenate([trunk, self.tokens(_QUERY_TOKENS - len(trunk))])

    def slots_for(self, ids: Tokens) -> npt.NDArray[np.int64]:
        """The slots of what is cached, and fresh ones."""
        present = self.cache.match_prefix("", ids).slots
        fresh = self.cache.allocator.allocate(len(ids) - len(present))
        assert fresh is not None
        return np.concatenate([present, fresh])

    def put(self, ids: Tokens) -> None:
        self.cache.insert("", ids, self.slots_for(ids))


def match_us(forest: Forest, rounds: int) -> float:
    queries = [forest.query(i) for i in range(rounds * _BATCHES)]
    return best_us(lambda i: forest.cache.match_prefix("", queries[i]), rounds)


def insert_us(forest: Forest, rounds: int) -> float:
    queries = [forest.query(i) for i in range(rounds * _BATCHES)]
    slots = [forest.slots_for(query) for query in queries]
    return best_us(lambda i: forest.cache.insert("", queries[i], slots[i]), rounds)


def evict_us(forest: Forest, rounds: int) -> float:
    rounds = min(rounds, forest.cache.num_evictable // (2_000 * _BATCHES))
    return best_us(lambda i: forest.cache.evict(1_000), rounds)


def best_us(work: Callable[[int], object], rounds: int) -> float:
    medians = []
    for batch in range(_BATCHES):
        times = []
        for i in range(rounds):
            start_s = time.perf_counter()
            work(batch * rounds + i)
            times.append(time.perf_counter() - start_s)
        medians.append(statistics.median(times))
    return 1e6 * min(medians)


def share_of_serving(model: str, num_prompts: int) -> tuple[float, float]:
    """Seconds in the tree's methods, and of computing in all, on one thread: each prompt of 512
    tokens has 64 new ones, and the pool is too small for all of them."""
    core = EngineCore(EngineConfig(model=model, kv_slots=num_prompts * 512, num_threads=1))
    watch = Stopwatch()
    for name in _TREE_METHODS:
        setattr(core.cache, name, watch.around(getattr(core.cache, name)))
    rng = random.Random(0)
    params = protocol.SamplingParams(max_new_tokens=64, temperature=0.0, ignore_eos=True)
    start_s = time.process_time()
    for sid in range(num_prompts):
        ids = [rng.randint(FIRST_ID, LAST_ID) for _ in range(512)]
        core.submit(engine_protocol.Submit(sid, ids, params))
    while core.has_work:
        core.step()
    return watch.total_s, time.process_time() - start_s


class Stopwatch:
    """Times some functions; what one of them calls of the others counts once."""

    def __init__(self) -> None:
        self._times: list[list[float]] = []
        self._depth = 0

    @property
    def total_s(self) -> float:
        """Of all calls, each taken at its function's median: the clock does not stop where the
        machine turns to something else, which single calls would otherwise consist of."""
        return sum(len(times) * statistics.median(times) for times in self._times if times)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        times: list[float] = []
        self._times.append(times)

        def run(*arguments: Any) -> Any:
            if self._depth:
                return function(*arguments)
            self._depth += 1
            start_s = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                times.append(time.perf_counter() - start_s)
                self._depth -= 1

        return run


def plot(report: Report, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    axes.barh([row.metric for row in report.rows], [row.value for row in report.rows])
    axes.axvline(1.0, color="black")
    axes.set_xscale("log")
    axes.set_xlabel("goal / measured: 1 and more is met")
    figure.savefig(path)


if __name__ == "__main__":
    main()
