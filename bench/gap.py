"""The gap between two forward passes on a CPU: what a decode step does besides its model.

In parts: drawing the tokens and making the next step's tensors, which the next pass waits for in
any case, and the rest (stops, streams, tree, scheduling), which could run beside it. Times are of
the engine's thread, so that a busy machine matters less; the model computes on one thread.

Then whether it pays to let that rest run beside the pass: the pass in a thread of its own, which
tells when it has left the interpreter, and as much work of the interpreter as the rest takes,
against one after the other. Times on the clock, of a machine that has nothing else to do; with one
thread a core is free for the rest, with as many threads as cores the pass uses both.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from branchline.runtime import protocol
from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine.inputs import build_batch

from .random_models import write_model
from .report import Report, arguments, finish, interleaved

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
                for threads in sorted({1, os.cpu_count() or 1}):
                    turn_ms, beside_ms = in_turn_and_beside(model, count, threads, rest_ms)
                    report.add(
                        f"{words}, {count} at a time, threads {threads}: in turn over beside",
                        turn_ms / beside_ms,
                        "x",
                        detail=f"{turn_ms:.2f} ms and {beside_ms:.2f} ms; "
                        f"at best {rest_ms / threads:.2f} ms less",
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


def _submit(core: EngineCore, count: int, num_tokens: int) -> None:
    rng = random.Random(count)
    params = protocol.SamplingParams(max_new_tokens=num_tokens, temperature=0.0, ignore_eos=True)
    for sid in range(count):
        ids = [rng.randint(FIRST_ID, LAST_ID) for _ in range(128)]
        core.submit(protocol.Submit(sid, ids, params))


def in_turn_and_beside(
    model: str, count: int, threads: int, rest_ms: float, rounds: int = 60
) -> tuple[float, float]:
    """Milliseconds of a decode pass and then the rest, and of both at once: medians."""
    core = EngineCore(EngineConfig(model=model, num_threads=threads, speculation="off"))
    forward = core.runner.forward
    batches: list[ForwardBatch] = []

    def noted(batch: ForwardBatch) -> torch.Tensor:
        batches.append(batch)
        return forward(batch)

    core.runner.forward = noted  # type: ignore[method-assign]
    _submit(core, count, 24)
    while core.has_work:
        core.step()
    batch = max(
        (batch for batch in batches if len(batch.token_ids) == len(batch.query_lens)),
        key=lambda batch: len(batch.query_lens),
    )
    on_its_way = threading.Event()

    def in_turn() -> float:
        start_s = time.perf_counter()
        forward(batch)
        _interpret(rest_ms)
        return time.perf_counter() - start_s

    def beside() -> float:
        start_s = time.perf_counter()
        on_its_way.clear()
        running = pool.submit(forward, batch)
        on_its_way.wait()
        _interpret(rest_ms)
        running.result()
        return time.perf_counter() - start_s

    with ThreadPoolExecutor(1) as pool, _told_when_it_leaves(core, on_its_way):
        medians, _ = interleaved({"turn": in_turn, "beside": beside}, rounds)
    return 1e3 * medians["turn"], 1e3 * medians["beside"]


def _interpret(ms: float) -> None:
    """Work of the interpreter, which lets no other thread of Python's run meanwhile."""
    end_ns = time.perf_counter_ns() + int(1e6 * ms)
    while time.perf_counter_ns() < end_ns:
        pass


@contextmanager
def _told_when_it_leaves(core: EngineCore, event: threading.Event) -> Iterator[None]:
    """Set the event where a pass enters the kernels' call that computes all layers."""
    kernels = core.runner.model.stack._kernels  # type: ignore[attr-defined]
    library = kernels.library
    layers = library.bl_layers

    def told(*arguments: Any) -> Any:
        event.set()
        return layers(*arguments)

    with mock.patch.object(library, "bl_layers", told):
        yield


def plot(report: Report, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    rows = [row for row in report.rows if row.unit == "% of a step"]
    axes.barh([row.metric for row in rows], [row.value for row in rows])
    axes.set_xlabel("% of a decode step that could run beside the next one's model")
    figure.savefig(path)


if __name__ == "__main__":
    main()
