"""The gap between two forward passes on a CPU: what a decode step does besides its model, and
whether it pays to do that while the next pass is computed.

First in parts: drawing the tokens and making the next step's tensors, which the next pass waits for
in any case, and the rest (stops, streams, tree, scheduling). Times are of the engine's thread, so
that a busy machine matters less; the model computes on one thread.

Then whole engines side by side, in turn: `overlap` off, on and auto, with one thread, where a core
is free for the host, and with as many threads as cores. Steps per second by the mean of their times
on the clock but the longest tenth; what is idle between two passes is with "off" what a step takes
besides pass and drawing, with "on" how long the thread that computes them had nothing to do.
OpenMP's threads spin no longer than the server lets them.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from branchline.runtime import engine_protocol, protocol
from branchline.runtime.engine.config import EngineConfig, OverlapMode
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine.inputs import build_batch

from .random_models import write_model
from .report import Report, arguments, finish

FIRST_ID, LAST_ID = 300, 4000  # tokens that stand for text in the embedded model's vocabulary
MODES: tuple[OverlapMode, ...] = ("off", "on", "auto")
# Steps in which "auto" has tried both ways (engine/pays.py) and goes on with one.
SETTLED = 100


class Spent:
    """Seconds in some functions, by name and by `clock`."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self.clock = clock
        self.times: Counter[str] = Counter()

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            start_s = self.clock()
            try:
                return function(*arguments)
            finally:
                self.times[name] += self.clock() - start_s  # type: ignore[assignment]

        return run

    def watch(self, core: EngineCore) -> None:
        """Around the pass and the drawing of tokens."""
        core.runner.forward = self.around("model", core.runner.forward)  # type: ignore[method-assign]
        core._chooser.choose = self.around("tokens", core._chooser.choose)  # type: ignore[method-assign]


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, help="folder that keeps the model between runs")
    options = parser.parse_args()
    report = Report("gap")
    num_tokens, rounds = (24, 5) if options.quick else (96, 9)
    with tempfile.TemporaryDirectory() as scratch:
        of_s = str(write_model("S", options.models or Path(scratch)))
        for words, model in (("embedded", "embedded"), ("S", of_s)):
            for count in (1, 8, 32):
                add_parts(report, f"{words}, {count} at a time", model, count, num_tokens)
            for threads in sorted({1, os.cpu_count() or 1}):
                engines = {mode: Engine(model, threads, mode) for mode in MODES}
                for count in (1, 8, 32):
                    name = f"{words}, {count} at a time, threads {threads}"
                    add_modes(report, name, engines, count, num_tokens, rounds)
    finish(report, options, plot)


def add_parts(report: Report, name: str, model: str, count: int, num_tokens: int) -> None:
    step_ms, parts = measure(model, count, num_tokens)
    rest_ms = step_ms - sum(parts.values())
    told = ", ".join(f"{name} {value:.2f}" for name, value in parts.items())
    report.add(
        f"{name}: the rest",
        100 * rest_ms / step_ms,
        "% of a step",
        detail=f"step {step_ms:.2f} ms: {told}, rest {rest_ms:.2f}",
    )


def measure(model: str, count: int, num_tokens: int) -> tuple[float, dict[str, float]]:
    """Milliseconds of a step that decodes `count` sequences, and of its parts: medians."""
    spent = Spent()
    build = spent.around("tensors", build_batch)
    with mock.patch("branchline.runtime.engine.forward.build_batch", build):
        core = EngineCore(_config(model, 1, "off"))
        spent.watch(core)
        _submit(core, count, num_tokens)
        steps: list[dict[str, float]] = []
        while core.has_work:
            spent.times.clear()
            start_s = time.thread_time()
            core.step()
            steps.append({"step": time.thread_time() - start_s, **spent.times})
    names = ("model", "tokens", "tensors")
    medians = {n: 1e3 * statistics.median(s.get(n, 0.0) for s in steps) for n in ("step", *names)}
    return medians["step"], {name: medians[name] for name in names}


class Engine:
    """A whole engine in one mode; `steps` decodes with it."""

    def __init__(self, model: str, threads: int, mode: OverlapMode) -> None:
        self.threads = threads
        self.core = EngineCore(_config(model, threads, mode))
        self.spent = Spent(time.perf_counter)
        if mode == "off":
            self.spent.watch(self.core)

    def steps(self, count: int, num_tokens: int) -> tuple[float, float]:
        """Seconds of a decode step, and for how long nothing was computed in it."""
        core = self.core
        torch.set_num_threads(self.threads)
        _submit(core, count, num_tokens)
        core.step()  # the prompts
        core.step()
        durations, gaps = [], []
        idle_s = self._idle_s()
        while core.has_work:
            self.spent.times.clear()
            start_s = time.perf_counter()
            core.step()
            durations.append(time.perf_counter() - start_s)
            gaps.append(durations[-1] - sum(self.spent.times.values()))
        usual = sorted(durations)[: len(durations) - len(durations) // 10]
        gap_s = (self._idle_s() - idle_s) / len(durations)
        if core.config.overlap == "off":
            gap_s = statistics.median(gaps)
        return statistics.mean(usual), gap_s

    def _idle_s(self) -> float:
        queue = getattr(self.core.runner.device, "_queue", None)
        return 0.0 if queue is None else queue.idle_s


def add_modes(
    report: Report,
    name: str,
    engines: dict[OverlapMode, Engine],
    count: int,
    tokens: int,
    rounds: int,
) -> None:
    """Both modes against "off", whose order changes from round to round."""
    for mode, engine in engines.items():
        engine.steps(count, SETTLED if mode == "auto" else 10)
    found: dict[OverlapMode, list[tuple[float, float]]] = {mode: [] for mode in engines}
    for place in range(rounds):
        order = list(engines)[:: 1 if place % 2 else -1]
        for mode in order:
            found[mode].append(engines[mode].steps(count, tokens))
    step_s = {mode: statistics.median(s for s, _ in each) for mode, each in found.items()}
    gap_ms = {mode: 1e3 * statistics.median(g for _, g in each) for mode, each in found.items()}
    rates = ", ".join(f"{mode} {1 / each:.0f}" for mode, each in step_s.items())
    for mode in ("on", "auto"):
        pairs = zip(found["off"], found[mode], strict=True)
        report.add(
            f"{name}: {mode} over off",
            statistics.median(off / this for (off, _), (this, _) in pairs),
            "x",
            goal=0.98 if mode == "auto" else None,
            detail=f"steps per second: {rates}; idle between passes: off {gap_ms['off']:.2f} ms, "
            f"on {gap_ms['on']:.2f} ms",
        )


def _config(model: str, threads: int, mode: OverlapMode) -> EngineConfig:
    return EngineConfig(model=model, num_threads=threads, speculation="off", overlap=mode)


def _submit(core: EngineCore, count: int, num_tokens: int) -> None:
    rng = random.Random(count)
    params = protocol.SamplingParams(max_new_tokens=num_tokens, temperature=0.0, ignore_eos=True)
    for sid in range(count):
        ids = [rng.randint(FIRST_ID, LAST_ID) for _ in range(128)]
        core.submit(engine_protocol.Submit(sid, ids, params))


def plot(report: Report, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 6), layout="constrained")
    rows = [row for row in report.rows if row.unit == "x"]
    axes.barh([row.metric for row in rows], [row.value for row in rows])
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlabel("steps per second, over those without overlap")
    figure.savefig(path)


if __name__ == "__main__":
    if "GOMP_SPINCOUNT" not in os.environ:
        # As the server starts its engines (server/supervisor.py); read when libgomp is loaded.
        again = [sys.executable, "-m", "bench.gap", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | {"GOMP_SPINCOUNT": "2000"})
    main()
