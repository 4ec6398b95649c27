"""The gap between two forward passes on a CPU: what a decode step does besides its model.

In parts: drawing the tokens and making the next step's tensors, which the next pass waits for in
any case, and the rest (stops, streams, tree, scheduling), which could run beside it. Times are of
the engine's thread, so that a busy machine matters less; the model computes on one thread.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from branchline.runtime import protocol
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine.inputs import build_batch

from .random_models import write_model
from .report import Report, arguments, finish

FIRST_ID, LAST_ID = 300, 4000  # tokens that stand for text in the embedded model's vocabulary


class Spent:
    """Seconds of this thread in some functions, by name."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            start_s = time.thread_time()
            try:
                return function(*arguments)
            finally:
                self.times[name] += time.thread_time() - start_s  # type: ignore[assignment]

        return run


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, help="folder that keeps the model between runs")
    options = parser.parse_args()
    report = Report("gap")
    with tempfile.TemporaryDirectory() as scratch:
        of_s = str(write_model("S", options.models or Path(scratch)))
        for words, model in (("embedded", "embedded"), ("S", of_s)):
            for count in (1, 8, 32):
                step_ms, parts = measure(model, count, 24 if options.quick else 96)
                rest_ms = step_ms - sum(parts.values())
                told = ", ".join(f"{name} {value:.2f}" for name, value in parts.items())
                report.add(
                    f"{words}, {count} at a time: the rest",
                    100 * rest_ms / step_ms,
                    "% of a step",
                    detail=f"step {step_ms:.2f} ms: {told}, rest {rest_ms:.2f}",
                )
    finish(report, options, plot)


def measure(model: str, count: int, num_tokens: int) -> tuple[float, dict[str, float]]:
    """Milliseconds of a step that decodes `count` sequences, and of its parts: medians."""
    spent = Spent()
    build = spent.around("tensors", build_batch)
    with mock.patch("branchline.runtime.engine.forward.build_batch", build):
        core = EngineCore(EngineConfig(model=model, num_threads=1, speculation="off"))
        core.runner.forward = spent.around("model", core.runner.forward)  # type: ignore[method-assign]
        core._chooser.choose = spent.around("tokens", core._chooser.choose)  # type: ignore[method-assign]
        rng = random.Random(count)
        params = protocol.SamplingParams(
            max_new_tokens=num_tokens, temperature=0.0, ignore_eos=True
        )
        for sid in range(count):
            ids = [rng.randint(FIRST_ID, LAST_ID) for _ in range(128)]
            core.submit(protocol.Submit(sid, ids, params))
        steps: list[dict[str, float]] = []
        while core.has_work:
            spent.times.clear()
            start_s = time.thread_time()
            core.step()
            steps.append({"step": time.thread_time() - start_s, **spent.times})
    names = ("model", "tokens", "tensors")
    medians = {n: 1e3 * statistics.median(s.get(n, 0.0) for s in steps) for n in ("step", *names)}
    return medians["step"], {name: medians[name] for name in names}


def plot(report: Report, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    axes.barh([row.metric for row in report.rows], [row.value for row in report.rows])
    axes.set_xlabel("% of a decode step that could run beside the next one's model")
    figure.savefig(path)


if __name__ == "__main__":
    main()
