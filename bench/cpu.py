"""The engine on a CPU against `transformers` generate, on random models S (100 M) and M (0.5 B).

Both run in this process with the same weights in bfloat16, the same threads and greedy sampling,
in turns. The engine runs whole steps (scheduler, radix tree, sampling) but no sockets. The limits
of the machine are measured in the same run: what reading the weights once per step, or their
arithmetic, takes at least. Every figure is told when it is known, and with --json kept at once: a
run that is cut short leaves what it had.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from branchline.runtime import protocol
from branchline.runtime.engine.config import EngineConfig, Quantization
from branchline.runtime.engine.core import EngineCore

from .cpu_limits import kernel_share, limits, memory
from .random_models import write_model
from .report import LiveReport, Report, arguments, finish

Prompts = list[list[int]]
FIRST_ID, LAST_ID = 300, 4000  # tokens that stand for text in the embedded model's vocabulary
SCHEMA = (
    '{"type":"object","properties":{"name":{"type":"string","maxLength":200},"numbers":'
    '{"type":"array","items":{"type":"integer"},"maxItems":60}},"required":["name","numbers"]}'
)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, help="folder that keeps the models between runs")
    parser.add_argument("--model", choices=("S", "M", "both"), help="default: both, quick: S")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--minutes", type=float, help="of workloads, not of loading (default: 40, quick: 2.5)"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    report = LiveReport("cpu", json_file=options.json)
    chosen = options.model or ("S" if options.quick else "both")
    minutes = options.minutes or (2.5 if options.quick else 40.0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.models or Path(scratch)
        names = ("S", "M") if chosen == "both" else (chosen,)
        for left, name in zip(range(len(names), 0, -1), names, strict=True):
            start = time.perf_counter()
            tell(f"{name}: loading")
            bench = Bench(report, name, write_model(name, folder), options)
            bench.run(60 * minutes / left)
            minutes -= (time.perf_counter() - start) / 60
    finish(report, options, plot)


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Bench:
    """One model: both contenders, the machine's limits, and the workloads."""

    def __init__(self, report: Report, name: str, path: Path, options: argparse.Namespace) -> None:
        from transformers import AutoModelForCausalLM

        self.report, self.name, self.path, self.quick = report, name, path, options.quick
        self.rounds = 2 if self.quick else 3
        self.rng = random.Random(0)
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16).eval()
        self.core = EngineCore(EngineConfig(model=str(path), dtype="bfloat16"))
        self.next_sid = 0
        self.weights = sum(p.numel() for p in self.model.parameters())
        self.bytes_per_s, self.flops_per_s = limits()

    def run(self, seconds: float) -> None:
        """All workloads, the short ones first; those that begin after `seconds` are left out."""
        end = time.perf_counter() + seconds
        self.add("read bandwidth", self.bytes_per_s / 1e9, "GB/s")
        self.add("bfloat16 products", self.flops_per_s / 1e9, "GFLOP/s")
        new_tokens = 16 if self.quick else 128
        length = 16 if self.quick else 128
        work: list[Callable[[], None]] = [
            self.kernels,
            lambda: self.prefill("TTFT 128", 128, 1 / 0.85),
            lambda: self.decode(1, length, new_tokens, 1.15),
            lambda: self.decode(8, length, new_tokens, 1.3),
            lambda: self.quantized("int8", new_tokens, 1.7),
            lambda: self.quantized("int4", new_tokens, 2.5),
            lambda: self.prefill("prefill 1,024", 1024, 1.15),
            lambda: self.json(32 if self.quick else 128),
            lambda: self.decode(32, length, new_tokens, 2.0),
            lambda: self.decode(64, length, new_tokens, 2.0),
            lambda: self.prefill("prefill 4,096", 4096, 1.3),
            lambda: self.multi_turn(*((2, 2, 32) if self.quick else (8, 4, 64))),
            lambda: self.shared(
                "shared prefix", *((256, 8, 16, 8) if self.quick else (1024, 32, 64, 64)), 2.0
            ),
            lambda: self.shared(
                "fork", *((512, 16, 1, 8) if self.quick else (2000, 64, 1, 32)), 3.0
            ),
            self.memory,
        ]
        for number, workload in enumerate(work):
            if time.perf_counter() > end:
                tell(f"{self.name}: no time for the last {len(work) - number} workloads")
                return
            workload()

    def add(
        self, metric: str, value: float, unit: str, *, goal: float | None = None, detail: str = ""
    ) -> None:
        self.report.add(f"{self.name}: {metric}", value, unit, goal=goal, detail=detail)

    def turns(self, peer: Callable[[], float], ours: Callable[[], float]) -> dict[str, float]:
        """Medians of both, taking turns; where one turn is long, it has to do."""
        start = time.perf_counter()
        first = {"peer": peer(), "ours": ours()}
        if time.perf_counter() - start > (10 if self.quick else 60):
            return first
        taken = [(peer(), ours()) for _ in range(self.rounds)]
        peers, own = zip(*taken, strict=True)
        return {"peer": statistics.median(peers), "ours": statistics.median(own)}

    def kernels(self) -> None:
        """How much of a decode step the kernels take; the rest is Python, torch and scheduling."""
        (prompt,) = self.prompts(1, 16)
        found = kernel_share(self.core, prompt, 12 if self.quick else 40)
        if found is not None:
            whole, inside = found
            detail = f"{1e3 * inside:.2f} of {1e3 * whole:.2f} ms, batch 1"
            self.add("kernels' share of a step", inside / whole, "", goal=0.95, detail=detail)

    def memory(self) -> None:
        value, detail = memory(self.path)
        self.add("memory allowed over taken", value, "x", goal=1.0, detail=detail)

    def prefill(self, metric: str, length: int, goal: float) -> None:
        floor = max(self.read_s, length * self.token_s)
        self.compare(metric, self.prompts(1, length), 1, goal=goal, floor=floor)

    def decode(self, batch: int, length: int, new_tokens: int, goal: float) -> None:
        floor = batch * length * self.token_s
        floor += new_tokens * max(self.read_s, batch * self.token_s)
        prompts = self.prompts(batch, length)
        self.compare(f"decode batch {batch}", prompts, new_tokens, goal=goal, floor=floor)

    def quantized(self, name: Quantization, new_tokens: int, goal: float) -> None:
        """Decoding at batch 1 against our own in bfloat16."""
        core = EngineCore(EngineConfig(model=str(self.path), dtype="bfloat16", quantization=name))
        prompts = self.prompts(1, 16)

        def run(core: EngineCore) -> float:
            core.flush_cache()
            start = time.perf_counter()
            self.answers(prompts, new_tokens, core=core)
            return time.perf_counter() - start

        seconds = self.turns(lambda: run(self.core), lambda: run(core))
        detail = f"{new_tokens / seconds['ours']:.0f} tokens/s, of our own bfloat16's time"
        ratio = seconds["peer"] / seconds["ours"]
        self.add(f"{name}, decode batch 1", ratio, "x", goal=goal, detail=detail)

    @property
    def read_s(self) -> float:
        """Reading every weight once."""
        return 2 * self.weights / self.bytes_per_s

    @property
    def token_s(self) -> float:
        """The arithmetic of one token."""
        return 2 * self.weights / self.flops_per_s

    def prompts(self, count: int, length: int) -> Prompts:
        return [[self.rng.randint(FIRST_ID, LAST_ID) for _ in range(length)] for _ in range(count)]

    def compare(
        self,
        metric: str,
        prompts: Prompts,
        new_tokens: int,
        *,
        goal: float,
        floor: float | None = None,
        warm: bool = False,
    ) -> None:
        """Both contenders over the same prompts of equal length; the ratio of their times."""

        def ours() -> float:
            if not warm:
                self.core.flush_cache()
            return self.engine(prompts, new_tokens)

        seconds = self.turns(lambda: self.transformers(prompts, new_tokens), ours)
        detail = f"{seconds['ours']:.3f} s against {seconds['peer']:.3f} s"
        if floor is not None:
            detail += f", {100 * floor / seconds['ours']:.0f} % of the machine's limit"
        ratio = seconds["peer"] / seconds["ours"]
        self.add(metric, ratio, "x", goal=goal, detail=detail)

    def shared(
        self, metric: str, prefix: int, count: int, own: int, new_tokens: int, goal: float
    ) -> None:
        (trunk,) = self.prompts(1, prefix)
        prompts = [trunk + tail for tail in self.prompts(count, own)]
        for warm in (False, True):
            name = f"{metric}, {'warm' if warm else 'cold'}"
            self.compare(name, prompts, new_tokens, goal=goal, warm=warm)

    def multi_turn(self, conversations: int, turns: int, length: int) -> None:
        """Each turn goes on where the last ended; transformers computes the history anew."""
        systems = self.prompts(conversations, 4 * length)
        messages = [self.prompts(conversations, length) for _ in range(turns)]

        def talk(answer: Callable[[Prompts], Prompts]) -> float:
            start = time.perf_counter()
            history = [list(system) for system in systems]
            for turn in messages:
                history = [old + new for old, new in zip(history, turn, strict=True)]
                history = [old + new for old, new in zip(history, answer(history), strict=True)]
            return time.perf_counter() - start

        def ours() -> float:
            self.core.flush_cache()
            return talk(lambda prompts: self.answers(prompts, length))

        seconds = self.turns(lambda: talk(lambda prompts: self.generate(prompts, length)), ours)
        ratio = seconds["peer"] / seconds["ours"]
        detail = f"{seconds['ours']:.3f} s against {seconds['peer']:.3f} s"
        self.add("multi-turn", ratio, "x", goal=1.5, detail=detail)

    def json(self, new_tokens: int) -> None:
        """Ours under a schema, tokens per second; transformers without any constraint."""
        prompts = self.prompts(8, 64)
        made = [0]

        def ours() -> float:
            self.core.flush_cache()
            start = time.perf_counter()
            constraint = protocol.JsonSchema(SCHEMA)
            made[0] = sum(map(len, self.answers(prompts, new_tokens, constraint)))
            return (time.perf_counter() - start) / made[0]

        def peer() -> float:
            return self.transformers(prompts, new_tokens) / (new_tokens * len(prompts))

        ours()  # compiles the grammar, which is kept
        seconds = self.turns(peer, ours)
        ratio = seconds["peer"] / seconds["ours"]
        detail = f"{1 / seconds['ours']:.0f} against {1 / seconds['peer']:.0f} tokens/s, free text"
        self.add("JSON batch 8", ratio, "x", goal=1.5, detail=detail)

    def transformers(self, prompts: Prompts, new_tokens: int) -> float:
        start = time.perf_counter()
        self.generate(prompts, new_tokens)
        return time.perf_counter() - start

    def generate(self, prompts: Prompts, new_tokens: int) -> Prompts:
        ids = torch.tensor(prompts)
        with torch.inference_mode():
            out: Any = self.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                min_new_tokens=new_tokens,
                max_new_tokens=new_tokens,
                pad_token_id=0,
            )
        answers: Prompts = out[:, ids.shape[1] :].tolist()
        return answers

    def engine(self, prompts: Prompts, new_tokens: int) -> float:
        start = time.perf_counter()
        self.answers(prompts, new_tokens)
        return time.perf_counter() - start

    def answers(
        self,
        prompts: Prompts,
        new_tokens: int,
        constraint: protocol.JsonSchema | None = None,
        core: EngineCore | None = None,
    ) -> Prompts:
        """The tokens after each prompt, all prompts at once."""
        core = core or self.core
        made: dict[int, list[int]] = {}
        for prompt in prompts:
            sampling = protocol.SamplingParams(
                max_new_tokens=new_tokens, temperature=0.0, ignore_eos=constraint is None
            )
            command = protocol.Submit(self.next_sid, prompt, sampling, constraint)
            core.submit(command)
            made[self.next_sid] = []
            self.next_sid += 1
        while core.has_work:
            events = core.step()
            if events.failed:
                raise RuntimeError(f"a sequence failed: {events.failed[0].message}")
            for progress in events.progress:
                made[progress.sid] += progress.token_ids
        return list(made.values())


def plot(report: Report, path: Path) -> None:
    """Bars: the ratio of each workload; a line at 1."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in report.rows if row.unit == "x"]
    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(rows) + 1))
    bars = axes.barh([row.metric for row in rows], [row.value for row in rows])
    axes.bar_label(bars, fmt="%.1fx")
    axes.axvline(1.0, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.set_xlabel("times transformers generate")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
