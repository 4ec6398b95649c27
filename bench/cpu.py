"""The engine on a CPU against `transformers` generate, on random models S (100 M) and M (0.5 B).

Both run in this process with the same weights in bfloat16, the same threads and greedy sampling,
in turns. The engine runs whole steps (scheduler, radix tree, sampling) but no sockets. The limits
of the machine are measured in the same run: what reading the weights once per step, or their
arithmetic, takes at least.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from branchline.runtime import protocol
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore

from .random_models import write_model
from .report import Report, arguments, finish, interleaved

Prompts = list[list[int]]
FIRST_ID, LAST_ID = 300, 4000  # tokens that stand for text in the embedded model's vocabulary
SCHEMA = (
    '{"type":"object","properties":{"name":{"type":"string","maxLength":200},"numbers":'
    '{"type":"array","items":{"type":"integer"},"maxItems":60}},"required":["name","numbers"]}'
)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, help="folder that keeps the models between runs")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    report = Report("cpu")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.models or Path(scratch)
        for name in ("S",) if options.quick else ("S", "M"):
            Bench(report, name, write_model(name, folder), options.quick).run()
    finish(report, options, plot)


class Bench:
    """One model: both contenders, the machine's limits, and the workloads."""

    def __init__(self, report: Report, name: str, path: Path, quick: bool) -> None:
        from transformers import AutoModelForCausalLM

        self.report, self.name, self.quick = report, name, quick
        self.rounds = 2 if quick else 3
        self.rng = random.Random(0)
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16).eval()
        self.core = EngineCore(EngineConfig(model=str(path), dtype="bfloat16"))
        self.next_sid = 0
        self.weights = sum(p.numel() for p in self.model.parameters())
        self.bytes_per_s, self.flops_per_s = limits()

    def run(self) -> None:
        self.report.add(f"{self.name}: read bandwidth", self.bytes_per_s / 1e9, "GB/s")
        self.report.add(f"{self.name}: bfloat16 products", self.flops_per_s / 1e9, "GFLOP/s")
        for length, goal in ((128, 1.15), (1024, 1.15), (4096, 1.3)):
            prompts = self.prompts(1, length)
            floor = max(self.read_s, length * self.token_s)
            self.compare(f"prefill {length}", prompts, 1, goal=goal, floor=floor)
        new_tokens = 16 if self.quick else 128
        for batch, goal in ((1, 1.15), (8, 1.3), (32, 2.0), (64, 2.0)):
            prompts = self.prompts(batch, 16 if self.quick else 128)
            prefill = batch * len(prompts[0]) * self.token_s
            floor = prefill + new_tokens * max(self.read_s, batch * self.token_s)
            self.compare(f"decode batch {batch}", prompts, new_tokens, goal=goal, floor=floor)
        self.shared("shared prefix", *((256, 8, 16, 8) if self.quick else (1024, 32, 64, 64)), 2.0)
        self.shared("fork", *((512, 16, 1, 8) if self.quick else (2000, 64, 1, 32)), 3.0)
        self.multi_turn(*((2, 2, 32) if self.quick else (8, 4, 64)))
        self.json(32 if self.quick else 128)

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

        seconds, _ = interleaved(
            {"peer": lambda: self.transformers(prompts, new_tokens), "ours": ours}, self.rounds
        )
        detail = f"{seconds['ours']:.3f} s against {seconds['peer']:.3f} s"
        if floor is not None:
            detail += f", {100 * floor / seconds['ours']:.0f} % of the machine's limit"
        ratio = seconds["peer"] / seconds["ours"]
        self.report.add(f"{self.name}: {metric}", ratio, "x", goal=goal, detail=detail)

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

        seconds, _ = interleaved(
            {"peer": lambda: talk(lambda prompts: self.generate(prompts, length)), "ours": ours},
            self.rounds,
        )
        ratio = seconds["peer"] / seconds["ours"]
        detail = f"{seconds['ours']:.3f} s against {seconds['peer']:.3f} s"
        self.report.add(f"{self.name}: multi-turn", ratio, "x", goal=1.5, detail=detail)

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

        seconds, _ = interleaved({"peer": peer, "ours": ours}, self.rounds)
        ratio = seconds["peer"] / seconds["ours"]
        detail = f"{1 / seconds['ours']:.0f} against {1 / seconds['peer']:.0f} tokens/s, free text"
        self.report.add(f"{self.name}: JSON batch 8", ratio, "x", goal=1.5, detail=detail)

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
    ) -> Prompts:
        """The tokens after each prompt, all prompts at once."""
        made: dict[int, list[int]] = {}
        for prompt in prompts:
            sampling = protocol.SamplingParams(
                max_new_tokens=new_tokens, temperature=0.0, ignore_eos=constraint is None
            )
            command = protocol.Submit(self.next_sid, prompt, sampling, constraint)
            self.core.submit(command)
            made[self.next_sid] = []
            self.next_sid += 1
        while self.core.has_work:
            events = self.core.step()
            if events.failed:
                raise RuntimeError(f"a sequence failed: {events.failed[0].message}")
            for progress in events.progress:
                made[progress.sid] += progress.token_ids
        return list(made.values())


def limits() -> tuple[float, float]:
    """Bytes per second that all threads read, and bfloat16 operations per second."""
    numbers = torch.ones(64 * 1024**2, dtype=torch.float32)
    a, b = (torch.randn(1024, 1024).bfloat16() for _ in range(2))

    def best(run: Callable[[], object]) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        return min(times)

    return numbers.nbytes / best(numbers.sum), 2 * 1024**3 / best(lambda: a @ b)


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
