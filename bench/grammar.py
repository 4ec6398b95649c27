"""JSON Schema coverage of the grammars beside xgrammar, outlines_core and llguidance, and what
compiling costs: `python -m bench.grammar DATA.jsonl`.

DATA holds one object per line, `{"id", "schema", "tests": [{"valid", "data"}]}` (MaskBench's form),
or is a folder of such objects (SchemaStore's) or of JSON Schema Test Suite files. A schema is right
when every valid value is accepted and no invalid one; values are given as compact JSON. Peers that
are not installed are left out.
"""

from __future__ import annotations

import json
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from bench.grammar_engines import ENGINES, Refused
from bench.report import Report, arguments, finish


@dataclass(frozen=True)
class Case:
    """A schema with values and whether they are valid."""

    name: str
    schema: Any
    tests: list[tuple[bool, Any]]


class _TooLate(BaseException):
    """A schema took too long; not an Exception, so that no handler on the way takes it."""


def cases(path: Path) -> Iterator[Case]:
    if path.is_file():
        for line in path.read_text().splitlines():
            yield _case(json.loads(line))
        return
    for file in sorted(path.rglob("*.json")):
        content = json.loads(file.read_text())
        if isinstance(content, dict) and "tests" in content:
            yield _case(content)
        elif isinstance(content, list):  # a file of the test suite
            for group in content:
                tests = [(test["valid"], test["data"]) for test in group["tests"]]
                yield Case(f"{file.stem}: {group['description']}", group["schema"], tests)


def _case(content: dict[str, Any]) -> Case:
    tests = [(test["valid"], test["data"]) for test in content["tests"]]
    return Case(content["id"], content["schema"], tests)


def spelled(value: Any) -> bytes | None:
    """Compact JSON with whole numbers written as such; None where it has no UTF-8 form."""
    try:
        text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value


def judge(case: Case, build: Callable[[Any], Callable[[bytes], bool]]) -> tuple[str, str, float]:
    """right, over (a valid value refused), under (an invalid one accepted), refused or late; why;
    CPU seconds until the grammar was there."""
    started = time.thread_time()
    try:
        accepts = build(case.schema)
    except Refused as error:
        return "refused", str(error), time.thread_time() - started
    took = time.thread_time() - started
    verdict = "right"
    for valid, value in case.tests:
        text = spelled(value)
        taken = text is not None and accepts(text)
        if taken and not valid:
            return "under", json.dumps(value)[:200], took
        if valid and not taken:
            verdict = "over"
    return verdict, "", took


def _late(signum: int, frame: FrameType | None) -> None:
    raise _TooLate


def measured(
    every: list[Case], build: Callable[[Any], Callable[[bytes], bool]], limit_s: float
) -> tuple[Counter[str], list[float], list[tuple[str, str, str]]]:
    verdicts: Counter[str] = Counter()
    seconds: list[float] = []
    details: list[tuple[str, str, str]] = []
    signal.signal(signal.SIGPROF, _late)
    for case in every:
        signal.setitimer(signal.ITIMER_PROF, limit_s)
        try:
            verdict, why, took = judge(case, build)
            seconds.append(took)
        except _TooLate:
            verdict, why = "late", f"over {limit_s:g} s"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        verdicts[verdict] += 1
        details.append((case.name, verdict, why))
    return verdicts, seconds, details


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("data", type=Path, help="JSON lines, or a folder of JSON files")
    parser.add_argument(
        "--engines",
        default=";".join(ENGINES),
        help=f"of {', '.join(ENGINES)}; joined by semicolons",
    )
    parser.add_argument("--limit-s", type=float, default=10.0, help="CPU seconds per schema")
    parser.add_argument("--details", type=Path, help="write the verdict on each schema here")
    options = parser.parse_args()
    every = list(cases(options.data))
    if options.quick:
        every = every[:: max(1, len(every) // 150)]
    report = Report("grammar")
    details = {}
    for name in options.engines.split(";"):
        build = ENGINES[name]()
        if build is None:
            print(f"{name} is not installed: left out")
            continue
        verdicts, seconds, details[name] = measured(every, build, options.limit_s)
        _rows(report, name, verdicts, seconds, len(every))
    if options.details:
        options.details.write_text(json.dumps(details, indent=1) + "\n")
    finish(report, options, _plot)


def _rows(
    report: Report, name: str, verdicts: Counter[str], seconds: list[float], total: int
) -> None:
    ours = name.startswith("branchline")
    report.add(
        f"{name} fully right",
        100 * verdicts["right"] / total,
        "%",
        goal=96.4 if ours else None,
        detail=", ".join(f"{count} {kind}" for kind, count in verdicts.most_common()),
    )
    report.add(
        f"{name} without an invalid value accepted",
        100 * (1 - verdicts["under"] / total),
        "%",
        goal=100.0 if ours else None,
    )
    if seconds:
        ordered = sorted(seconds)
        report.add(f"{name} compile p50", 1e3 * statistics.median(ordered), "ms")
        report.add(f"{name} compile p99", 1e3 * ordered[int(0.99 * (len(ordered) - 1))], "ms")


def _plot(report: Report, path: Path) -> None:
    import matplotlib.pyplot as plt

    rows = [row for row in report.rows if row.metric.endswith("fully right")]
    figure, axes = plt.subplots(figsize=(7, 3))
    axes.barh([row.metric.removesuffix(" fully right") for row in rows], [r.value for r in rows])
    axes.set_xlabel("schemas fully right, %")
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
