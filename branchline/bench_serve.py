"""`branchline bench serve`: a sweep of request rates or concurrencies against a server, its figures
as a table, as JSON and as a plot. Called by cli.py; the requests are loadgen.py's."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from .loadgen import HttpError, Sample, Target, get_json, run_load
from .records import UsageError

_WORDS: Final = (
    *("river", "stone", "lamp", "garden", "letter", "winter", "table", "green", "paper"),
    *("market", "engine", "island", "question", "harbour", "music", "window", "kitchen"),
    *("mountain", "number", "copper", "silent", "train", "orange", "village", "doctor"),
)
_QUANTILES: Final = (0.5, 0.9, 0.99)

Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Workload:
    """prompt_words, shared_words: words of each prompt, of which so many begin all of them."""

    num_requests: int
    prompt_words: int
    shared_words: int
    max_tokens: int
    chat: bool
    seed: int
    prompts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Goal:
    """What a request must keep to count as good: seconds, None for anything."""

    ttft_s: float | None = None
    itl_s: float | None = None

    def kept_by(self, sample: Sample) -> bool:
        if sample.error is not None or sample.ttft_s is None:
            return False
        in_time = self.ttft_s is None or sample.ttft_s <= self.ttft_s
        return in_time and (self.itl_s is None or sample.mean_gap_s <= self.itl_s)


@dataclass(frozen=True, slots=True)
class Level:
    """One point of the sweep: arrivals per second (None: all at once), requests at a time."""

    rate: float | None
    concurrency: int | None

    def __str__(self) -> str:
        rate = "all at once" if self.rate is None else f"{self.rate:g}/s"
        return rate if self.concurrency is None else f"{rate}, {self.concurrency} at a time"


@dataclass(frozen=True, slots=True)
class Figures:
    """One point's result. Latencies in seconds by quantile ("p50", ...)."""

    level: str
    rate: float | None
    concurrency: int | None
    requests: int
    failed: int
    seconds: float
    requests_per_s: float
    output_tokens_per_s: float
    total_tokens_per_s: float
    cached_share: float
    goodput_per_s: float
    good_share: float
    ttft_s: dict[str, float]
    itl_s: dict[str, float]
    e2e_s: dict[str, float]
    errors: dict[str, int]


def run_sweep(
    target: Target,
    workload: Workload,
    levels: Sequence[Level],
    goal: Goal,
    on_level: Callable[[Level], Tick] = lambda level: lambda: None,
) -> list[Figures]:
    """Measure every level, one after the other. Raises UsageError when the server is not there.

    on_level: told of each level before it starts; what it returns is called for every answer.
    """
    return asyncio.run(_sweep(target, workload, levels, goal, on_level))


async def _sweep(
    target: Target,
    workload: Workload,
    levels: Sequence[Level],
    goal: Goal,
    on_level: Callable[[Level], Tick],
) -> list[Figures]:
    target = await _find_model(target)
    path = "/v1/chat/completions" if workload.chat else "/v1/completions"
    found = []
    for number, level in enumerate(levels):
        # Other prompts at each level: a warm cache would flatter the later ones.
        bodies = make_bodies(target, workload, workload.seed + number)
        samples, seconds = await run_load(
            target,
            bodies,
            path,
            rate=level.rate,
            concurrency=level.concurrency,
            seed=workload.seed,
            on_done=on_level(level),
        )
        found.append(figures_of(level, samples, seconds, goal))
    return found


async def _find_model(target: Target) -> Target:
    """The target with the model that it serves, asked for where none was given."""
    try:
        models = await get_json(target, "/v1/models")
        if target.model:
            return target
        name = str(models["data"][0]["id"])
    except (HttpError, OSError, TimeoutError, ValueError, LookupError, TypeError) as error:
        raise UsageError(
            f"{target.url} does not answer as an OpenAI-compatible server ({error}); start one "
            "with `branchline serve --http 127.0.0.1:8000`, or give --url and --api-key"
        ) from None
    return Target(target.url, name, target.key, target.timeout_s)


def make_bodies(target: Target, workload: Workload, seed: int) -> list[dict[str, Any]]:
    """The requests of one level: drawn words, or the given prompts in turn."""
    chance = random.Random(seed)
    shared = " ".join(chance.choices(_WORDS, k=workload.shared_words))
    own = max(1, workload.prompt_words - workload.shared_words)
    bodies = []
    for number in range(workload.num_requests):
        if workload.prompts:
            text = workload.prompts[number % len(workload.prompts)]
        else:
            words = " ".join(chance.choices(_WORDS, k=own))
            text = f"{shared} {words}".strip()
        body: dict[str, Any] = {
            "model": target.model,
            "max_tokens": workload.max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if workload.chat:
            body["messages"] = [{"role": "user", "content": text}]
        else:
            body["prompt"] = text
        bodies.append(body)
    return bodies


def figures_of(level: Level, samples: Sequence[Sample], seconds: float, goal: Goal) -> Figures:
    """What a level's samples say."""
    good = [sample for sample in samples if sample.error is None]
    kept = [sample for sample in good if goal.kept_by(sample)]
    errors: dict[str, int] = {}
    for sample in samples:
        if sample.error is not None:
            errors[sample.error] = errors.get(sample.error, 0) + 1
    prompt = sum(sample.prompt_tokens for sample in good)
    output = sum(sample.output_tokens for sample in good)
    return Figures(
        level=str(level),
        rate=level.rate,
        concurrency=level.concurrency,
        requests=len(samples),
        failed=len(samples) - len(good),
        seconds=seconds,
        requests_per_s=len(good) / seconds,
        output_tokens_per_s=output / seconds,
        total_tokens_per_s=(prompt + output) / seconds,
        cached_share=sum(sample.cached_tokens for sample in good) / max(1, prompt),
        goodput_per_s=len(kept) / seconds,
        good_share=len(kept) / max(1, len(samples)),
        ttft_s=quantiles([sample.ttft_s for sample in good if sample.ttft_s is not None]),
        itl_s=quantiles([gap for sample in good for gap in sample.gaps_s]),
        e2e_s=quantiles([sample.total_s for sample in good if sample.total_s is not None]),
        errors=errors,
    )


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 by nearest rank; empty of nothing."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {
        f"p{q * 100:g}": ordered[max(0, -(-int(q * 1000) * len(ordered) // 1000) - 1)]
        for q in _QUANTILES
    }


def table_of(found: Sequence[Figures], goal: Goal) -> Table:
    """The figures for a terminal, a column for each load."""
    table = Table(title="branchline bench serve", title_justify="left", caption_justify="left")
    table.add_column("")
    for each in found:
        table.add_column(each.level, justify="right")

    def row(name: str, cell: Callable[[Figures], str]) -> None:
        table.add_row(name, *(cell(each) for each in found))

    row("requests", lambda each: f"{each.requests}, {each.failed} failed")
    row("requests/s", lambda each: f"{each.requests_per_s:.2f}")
    row("goodput, requests/s", lambda each: f"{each.goodput_per_s:.2f} ({each.good_share:.0%})")
    row("output tokens/s", lambda each: f"{each.output_tokens_per_s:,.0f}")
    row("all tokens/s", lambda each: f"{each.total_tokens_per_s:,.0f}")
    row("prompt from cache", lambda each: f"{each.cached_share:.0%}")
    row("TTFT, ms p50 / p90 / p99", lambda each: _three(each.ttft_s))
    row("ITL, ms p50 / p90 / p99", lambda each: _three(each.itl_s))
    row("whole, ms p50 / p90 / p99", lambda each: _three(each.e2e_s))
    goals = [
        f"{name} <= {limit * 1000:g} ms"
        for name, limit in (("TTFT", goal.ttft_s), ("mean ITL", goal.itl_s))
        if limit is not None
    ]
    table.caption = f"goodput: requests per second with {' and '.join(goals)}"
    if not goals:
        table.caption = "goodput: requests that did not fail (no goal was given)"
    return table


def write_json(path: Path, target: Target, workload: Workload, found: Sequence[Figures]) -> None:
    """Everything that was measured, and of what."""
    settings = {key: value for key, value in asdict(workload).items() if key != "prompts"}
    content = {
        "name": "serve",
        "url": target.url,
        "workload": settings,
        "rows": [asdict(each) for each in found],
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def write_plot(path: Path, found: Sequence[Figures]) -> None:
    """Latency and goodput over the load. Raises UsageError without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        raise UsageError("--plot needs matplotlib: pip install matplotlib") from None
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 4), layout="constrained")
    places = range(len(found))
    for axes, title, latencies in (
        (left, "time to first token, ms", [each.ttft_s for each in found]),
        (middle, "between pieces, ms", [each.itl_s for each in found]),
    ):
        for name in ("p50", "p90", "p99"):
            heights = [each.get(name, float("nan")) * 1000 for each in latencies]
            axes.plot(places, heights, marker="o", label=name)
        axes.set_title(title)
        axes.set_ylim(bottom=0)
        axes.legend()
    right.bar(places, [each.requests_per_s for each in found], label="answered", alpha=0.4)
    right.bar(places, [each.goodput_per_s for each in found], label="good", width=0.5)
    right.set_title("requests per second")
    right.legend()
    for axes in (left, middle, right):
        axes.set_xticks(list(places), [each.level for each in found], rotation=20, ha="right")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _three(latencies: dict[str, float]) -> str:
    return " / ".join(_ms(latencies.get(name)) for name in ("p50", "p90", "p99"))


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:,.1f}" if seconds < 0.1 else f"{seconds * 1000:,.0f}"
