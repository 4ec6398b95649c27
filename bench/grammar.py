"""What the grammars cover of JSON Schema and what they cost, beside xgrammar, outlines_core and
llguidance: `python -m bench.grammar DATA ... --tokenizer tokenizer.json`.

DATA is a file with one object per line, `{"id", "schema", "tests": [{"valid", "data"}]}`
(MaskBench's form), or a folder of such objects (SchemaStore's) or of JSON Schema Test Suite files;
each gives a table of its own. A schema is right when every valid value is accepted and no invalid
one; values are given as compact JSON, as they stand and with the members of objects in the schema's
order. Formats count, also where a test suite says that they only describe. With `--tokenizer`,
what compiling, masks and forced tokens cost is measured for its vocabulary on the schemas of the
first DATA. Peers that are not installed are left out. With `--resume FILE` a run that was cut short
goes on where it stopped, and `--json FILE` holds every row from the moment that it is known.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import Counter
from pathlib import Path

from bench.grammar_costs import measure_costs
from bench.grammar_data import cases
from bench.grammar_engines import ENGINES
from bench.grammar_judging import Verdict, Verdicts, installed
from bench.report import LiveReport, Report, arguments, finish

# Schemas that are to be right, by what stands in the data's name; of others nothing is asked.
_GOALS = {"maskbench": 96.4, "schemastore": 85.0, "suite": 75.0}
_ANSWERED_GOALS = {"maskbench": 98.0}


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
    parser.add_argument(
        "--resume", type=Path, help="keep verdicts here as they are found, and take those that are"
    )
    options = parser.parse_args()
    report = LiveReport("grammar", json_file=options.json)
    details: dict[str, dict[str, list[tuple[str, str, str]]]] = {}
    verdicts = Verdicts(options.processes, options.limit_s, options.resume)
    engines = installed(options.engines.split(";"))
    for path in options.data:
        every = list(cases(path))
        if options.quick:
            every = every[:: max(1, len(every) // 150)]
        found = details[path.stem] = {}
        for engine in engines:

            def tell(count: int, what: str = f"{path.stem}, {engine}") -> None:
                if count % 50 == 0:
                    print(f"{what}: {count}", file=sys.stderr, flush=True)

            each = verdicts.of(path.stem, engine, every, tell)
            found[engine] = [
                (case.name, one.kind, one.why) for case, one in zip(every, each, strict=True)
            ]
            _rows(report, path.stem, engine, each, options.limit_s)
    verdicts.close()
    if options.tokenizer:
        measure_costs(report, options.tokenizer, list(cases(options.data[0])), options.quick)
    if options.details:
        options.details.write_text(json.dumps(details, indent=1) + "\n")
    finish(report, options, _plot)


def _rows(report: Report, data: str, engine: str, verdicts: list[Verdict], limit_s: float) -> None:
    counts = Counter(verdict.kind for verdict in verdicts)
    ours = engine.startswith("branchline")
    name = f"{data}, {engine}"

    def wanted(goals: dict[str, float]) -> float | None:
        found = (goal for part, goal in goals.items() if part in data.lower())
        return next(found, None) if ours else None

    def share(count: int) -> float:
        return 100 * count / len(verdicts)

    told = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    report.add(
        f"{name}: fully right",
        share(counts["right"]),
        "%",
        goal=wanted(_GOALS),
        detail=f"{told}; at most {limit_s:g} s of CPU each",
    )
    answered = len(verdicts) - counts["refused"] - counts["late"] - counts["lost"]
    report.add(f"{name}: not refused", share(answered), "%", goal=wanted(_ANSWERED_GOALS))
    kept = share(len(verdicts) - counts["under"])
    report.add(f"{name}: no invalid value accepted", kept, "%", goal=100.0 if ours else None)
    if seconds := sorted(1e3 * one.compile_s for one in verdicts if one.compile_s >= 0):
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
