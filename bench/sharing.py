"""What the cache is worth where prompts share a beginning: throughput with it against without.

32 questions of 64 tokens behind one system prompt of 1,024, 64 new tokens each, all at once, on
model S (100 M parameters, random weights). Without: each request in a namespace of its own, so that
it shares nothing with another, cached or running. Cold: the tree is empty before each round, so the
system prompt is computed once in it. Warm: the tree holds it.

The contenders take turns in one process; processor time, of all threads, stands beside the time on
the clock, which a busy machine stretches.
"""

from __future__ import annotations

import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from branchline.runtime import engine_protocol, protocol
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore

from .random_models import write_model
from .report import Report, arguments, finish, interleaved

Cache = Literal["without", "cold", "warm"]

FIRST_ID, LAST_ID = 300, 4000
_SYSTEM: Final = 1_024
_NUM_QUESTIONS: Final = 32
_QUESTION: Final = 64
_NEW: Final = 64
_GOAL: Final = 4.0


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, help="folder that keeps the model between runs")
    parser.add_argument("--model", default="S", choices=("S", "M"))
    options = parser.parse_args()
    report = Report("sharing")
    with tempfile.TemporaryDirectory() as scratch:
        path = write_model(options.model, options.models or Path(scratch))
        measure(report, options.model, path, 1 if options.quick else 5)
    finish(report, options, plot)


def measure(report: Report, words: str, model: Path, rounds: int) -> None:
    num_slots = _NUM_QUESTIONS * (_SYSTEM + _QUESTION + _NEW) + _SYSTEM
    core = EngineCore(EngineConfig(model=str(model), kv_slots=num_slots, speculation="off"))
    rng = random.Random("sharing")
    trunk = _some_ids(rng, _SYSTEM)
    prompts = [trunk + _some_ids(rng, _QUESTION) for _ in range(_NUM_QUESTIONS)]
    numbers = itertools.count()
    processor_s: dict[Cache, list[float]] = {"without": [], "cold": [], "warm": []}

    def contender(cache: Cache) -> Callable[[], float]:
        def run() -> float:
            core.flush_cache()
            if cache == "warm":
                _answer(core, numbers, [trunk], 1)
            start_s, start_of_processor_s = time.perf_counter(), time.process_time()
            _answer(core, numbers, prompts, _NEW, shares=cache != "without")
            processor_s[cache].append(time.process_time() - start_of_processor_s)
            return time.perf_counter() - start_s

        return run

    medians, _ = interleaved({name: contender(name) for name in processor_s}, rounds)
    # The first of each warmed up.
    of_processor = {name: statistics.median(times[1:]) for name, times in processor_s.items()}
    num_tokens = _NUM_QUESTIONS * _NEW
    for name in ("cold", "warm"):
        ratio = of_processor["without"] / of_processor[name]
        report.add(
            f"{words}, shared prefix: {name} over without",
            medians["without"] / medians[name],
            "x",
            goal=_GOAL,
            detail=f"{num_tokens / medians[name]:.0f} and {num_tokens / medians['without']:.0f} "
            f"new tokens/s; {ratio:.2f}x in processor time",
        )


def _some_ids(rng: random.Random, count: int) -> list[int]:
    return [rng.randint(FIRST_ID, LAST_ID) for _ in range(count)]


def _answer(
    core: EngineCore,
    numbers: itertools.count[int],
    prompts: list[list[int]],
    num_new: int,
    *,
    shares: bool = True,
) -> None:
    params = protocol.SamplingParams(max_new_tokens=num_new, temperature=0.0, ignore_eos=True)
    for prompt in prompts:
        sid = next(numbers)
        core.submit(
            engine_protocol.Submit(sid, prompt, params, namespace="" if shares else f"alone {sid}")
        )
    while core.has_work:
        core.step()


def plot(report: Report, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 2), layout="constrained")
    axes.barh([row.metric for row in report.rows], [row.value for row in report.rows])
    axes.axvline(_GOAL, color="black")
    axes.set_xlabel("times the throughput without the cache")
    figure.savefig(path)


if __name__ == "__main__":
    main()
