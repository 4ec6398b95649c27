"""What every benchmark prints and writes: a table, a JSON file, a plot. Used by all of bench/."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure. `goal` is the least value wanted, or the greatest with `at_most`; None where
    there is no goal. most: what the value cannot exceed here, where that is known."""

    metric: str
    value: float
    unit: str
    goal: float | None = None
    detail: str = ""
    at_most: bool = False
    most: float | None = None

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal

    @property
    def goal_told(self) -> str:
        """The goal, and beside one that is impossible what is possible."""
        if self.goal is None:
            return ""
        told = f"{'<=' if self.at_most else '>='} {self.goal:g}"
        impossible = self.most is not None and self.most < self.goal
        return f"{told}; at most {self.most:.2f} here" if impossible else told


@dataclass
class Report:
    """The rows of one run of the benchmark `name`."""

    name: str
    rows: list[Row] = field(default_factory=list)

    def add(
        self,
        metric: str,
        value: float,
        unit: str,
        *,
        goal: float | None = None,
        detail: str = "",
        at_most: bool = False,
        most: float | None = None,
    ) -> None:
        self.take(Row(metric, value, unit, goal, detail, at_most, most))

    def take(self, row: Row) -> None:
        self.rows.append(row)

    def as_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "machine": machine(),
            "date": datetime.now(UTC).date().isoformat(),
            "rows": [asdict(row) | {"met": row.met} for row in self.rows],
        }

    def print(self) -> None:
        # Not at the top: a machine with a GPU may lack it, and then wants its figures all the same.
        from rich.console import Console
        from rich.table import Table

        table = Table(title=f"bench.{self.name} on {machine()}", title_justify="left")
        for column in ("metric", "value", "unit", "goal", "detail"):
            table.add_column(column, justify="right" if column in ("value", "goal") else "left")
        for row in self.rows:
            colour = {None: "", True: "[green]", False: "[red]"}[row.met]
            table.add_row(
                row.metric, f"{colour}{row.value:,.2f}", row.unit, row.goal_told, row.detail
            )
        # In a file there is no width to keep to.
        Console(width=None if sys.stdout.isatty() else 140).print(table)


@dataclass
class LiveReport(Report):
    """Tells every figure as soon as it is known, and keeps all so far in a file: a run that is cut
    short leaves what it had."""

    json_file: Path | None = None

    def take(self, row: Row) -> None:
        super().take(row)
        told = f"\n  {row.metric}: {row.value:,.2f} {row.unit} ({row.detail})"
        print(told, file=sys.stderr, flush=True)
        if self.json_file:
            self.json_file.write_text(json.dumps(self.as_dict(), indent=2) + "\n")


def machine() -> str:
    """CPU model and core count, as a reader needs them to place a figure."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {os.cpu_count()} cores"


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="same metrics on less work")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the figures here")
    return parser


def finish(
    report: Report, options: argparse.Namespace, plot: Callable[[Report, Path], None]
) -> None:
    """Print the table and write what the options ask for."""
    report.print()
    if options.json:
        options.json.write_text(json.dumps(report.as_dict(), indent=2) + "\n")
    if options.plot:
        plot(report, options.plot)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """A part of a benchmark, told on standard error with the time it took."""
    print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
    start = time.perf_counter()
    yield
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


def interleaved(
    contenders: dict[str, Callable[[], float]], rounds: int
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Median of what each contender returns over `rounds`, taking turns, after one warm-up each.

    Taking turns lets whatever else the machine does fall on all of them alike.
    """
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():
        run()
    for _ in range(rounds):
        for name, run in contenders.items():
            samples[name].append(run())
    return {name: statistics.median(values) for name, values in samples.items()}, samples
