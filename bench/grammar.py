"""What the grammars cover of JSON Schema and what they cost, beside xgrammar, outlines_core and
llguidance: `python -m bench.grammar DATA ... --tokenizer tokenizer.json`.

DATA is a file with one object per line, `{"id", "schema", "tests": [{"valid", "data"}]}`
(MaskBench's form), or a folder of such objects (SchemaStore's) or of JSON Schema Test Suite files;
each gives a table of its own. A schema is right when every valid value is accepted and no invalid
one; values are given as compact JSON, as they stand and with the members of objects in the schema's
order. Formats count, also where a test suite says that they only describe. With `--tokenizer`,
what compiling, masks and forced tokens cost is measured for its vocabulary on the schemas of the
first DATA. Peers that are not installed are left out.
"""

from __future__ import annotations

import json
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any

from bench.grammar_costs import measure_costs
from bench.grammar_data import Case, SchemaOrder, cases, spelled
from bench.grammar_engines import ENGINES, Refused
from bench.report import Report, arguments, finish

# Schemas that are to be right, by what stands in the data's name; of others nothing is asked.
_GOALS = {"maskbench": 96.4, "schemastore": 85.0, "suite": 75.0}
_ANSWERED_GOALS = {"maskbench": 98.0}
_CHUNK = 8
_Verdict = tuple[str, str, float]


class _TooLate(BaseException):
    """A schema took too long; not an Exception, so that no handler on the way takes it."""


def judge(case: Case, build: Callable[[Any], Callable[[bytes], bool]]) -> _Verdict:
    """right, over (a valid value refused), under (an invalid one accepted) or refused; why; CPU
    seconds until the grammar was there, -1 where it was not."""
    started = time.thread_time()
    try:
        accepts = build(case.schema)
    except Refused as error:
        return "refused", str(error), -1.0
    took = time.thread_time() - started
    order = SchemaOrder(case.schema)
    verdict, why = "right", ""
    for valid, value in case.tests:
        texts = {spelled(value), spelled(order.of(value))}
        taken = any(text is not None and accepts(text) for text in texts)
        if taken and not valid:
            return "under", json.dumps(value)[:200], took
        if valid and not taken and not why:
            verdict, why = "over", json.dumps(value)[:200]
    return verdict, why, took


def _late(signum: int, frame: FrameType | None) -> None:
    raise _TooLate


def _judged(engine: str, some: list[Case], limit_s: float) -> list[_Verdict]:
    """The verdicts of one engine; in a process of its own."""
    build = _built(engine)
    assert build is not None
    signal.signal(signal.SIGPROF, _late)
    verdicts = []
    for case in some:
        signal.setitimer(signal.ITIMER_PROF, limit_s)
        try:
            verdicts.append(judge(case, build))
        except _TooLate:
            verdicts.append(("late", f"over {limit_s:g} s", -1.0))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    return verdicts


_engines: dict[str, Any] = {}


def _built(engine: str) -> Callable[[Any], Callable[[bytes], bool]] | None:
    if engine not in _engines:
        _engines[engine] = ENGINES[engine]()
    built: Callable[[Any], Callable[[bytes], bool]] | None = _engines[engine]
    return built


def measured(
    pool: ProcessPoolExecutor, engine: str, every: list[Case], limit_s: float
) -> list[_Verdict]:
    chunks = [every[start : start + _CHUNK] for start in range(0, len(every), _CHUNK)]
    jobs = [pool.submit(_judged, engine, chunk, limit_s) for chunk in chunks]
    verdicts: list[_Verdict] = []
    for number, job in enumerate(jobs):
        verdicts += job.result()
        if number % 10 == 0:
            done = f"\r  {len(verdicts)} of {len(every)}"
            print(done, end="", file=sys.stderr, flush=True)
    print("\r", end="", file=sys.stderr)
    return verdicts


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("data", type=Path, nargs="+", help="JSON lines, or a folder of JSON files")
    parser.add_argument(
        "--engines",
        default=";".join(ENGINES),
        help=f"of {', '.join(ENGINES)}; joined by semicolons",
    )
    parser.add_argument("--limit-s", type=float, default=10.0, help="CPU seconds per schema")
    parser.add_argument("--processes", type=int, default=1, help="that judge at the same time")
    parser.add_argument("--details", type=Path, help="write the verdict on each schema here")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json: measure costs, too")
    options = parser.parse_args()
    report = Report("grammar")
    details: dict[str, dict[str, list[tuple[str, str, str]]]] = {}
    context = get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        for path in options.data:
            every = list(cases(path))
            if options.quick:
                every = every[:: max(1, len(every) // 150)]
            found = details[path.stem] = {}
            for engine in options.engines.split(";"):
                if _built(engine) is None:
                    print(f"{engine} is not installed: left out")
                    continue
                print(f"{path.stem}, {engine}", file=sys.stderr)
                verdicts = measured(pool, engine, every, options.limit_s)
                found[engine] = [
                    (case.name, verdict, why)
                    for case, (verdict, why, _) in zip(every, verdicts, strict=True)
                ]
                _rows(report, path.stem, engine, verdicts)
    if options.tokenizer:
        measure_costs(report, options.tokenizer, list(cases(options.data[0])), options.quick)
    if options.details:
        options.details.write_text(json.dumps(details, indent=1) + "\n")
    finish(report, options, _plot)


def _rows(report: Report, data: str, engine: str, verdicts: list[_Verdict]) -> None:
    counts = Counter(verdict for verdict, _, _ in verdicts)
    ours = engine.startswith("branchline")
    name = f"{data}, {engine}"

    def wanted(goals: dict[str, float]) -> float | None:
        found = (goal for part, goal in goals.items() if part in data.lower())
        return next(found, None) if ours else None

    def share(count: int) -> float:
        return 100 * count / len(verdicts)

    report.add(
        f"{name}: fully right",
        share(counts["right"]),
        "%",
        goal=wanted(_GOALS),
        detail=", ".join(f"{count} {kind}" for kind, count in counts.most_common()),
    )
    answered = len(verdicts) - counts["refused"] - counts["late"]
    report.add(f"{name}: not refused", share(answered), "%", goal=wanted(_ANSWERED_GOALS))
    kept = share(len(verdicts) - counts["under"])
    report.add(f"{name}: no invalid value accepted", kept, "%", goal=100.0 if ours else None)
    if seconds := sorted(1e3 * took for _, _, took in verdicts if took >= 0):
        report.add(f"{name}: compile p50", statistics.median(seconds), "ms")
        report.add(f"{name}: compile p99", seconds[int(0.99 * (len(seconds) - 1))], "ms")


def _plot(report: Report, path: Path) -> None:
    import matplotlib.pyplot as plt

    rows = [row for row in report.rows if row.metric.endswith("fully right")]
    figure, axes = plt.subplots(figsize=(8, 1 + 0.3 * len(rows)))
    axes.barh([row.metric.removesuffix(": fully right") for row in rows], [r.value for r in rows])
    axes.set_xlabel("schemas fully right, %")
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
