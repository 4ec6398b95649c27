"""What the server adds to the engine: its CPU, and how it stands load, crowds and slow readers.

- `cost`: CPU of the front process per generated token, over ZeroMQ and over HTTP.
- `slow`: what readers that do not keep up do to the others.
- `overload`: goodput at multiples of what can be served.
- `crowd`: 1,000 streams at a time, each text its own, and the memory of both processes.
- `throughput`: 256 HTTP clients against the engine in process, on a model with long steps.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from branchline.lang.launch import RuntimeProcess

from ..report import LiveReport, arguments, finish, stage
from . import cost, crowd, overload, slow, throughput

PARTS = ("cost", "slow", "overload", "crowd", "throughput")


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="these parts")
    parser.add_argument("--models", type=Path, help="where the models lie or are written")
    parser.add_argument(
        "--sizes", choices=["S", "M"], nargs="+", default=["S"], help="those models"
    )
    parser.add_argument("--rounds", type=int, default=5, help="of throughput, when not --quick")
    options = parser.parse_args()
    quick = options.quick
    report = LiveReport("serving", json_file=options.json)
    levels: list[overload.Level] = []
    curves: dict[str, crowd.Curve] = {}
    if {"cost", "slow"} & set(options.only):
        with RuntimeProcess(
            "embedded", http="127.0.0.1:0", speculation="off", engine_hang_s=60
        ) as process:
            if "cost" in options.only:
                with stage("cost of a token"):
                    cost.measure(report, process, num_tokens=200 if quick else 500, rounds=3)
            if "slow" in options.only:
                with stage("slow readers"):
                    num_tokens, rounds = (200, 5) if quick else (400, 7)
                    slow.measure(report, process, num_tokens=num_tokens, rounds=rounds)
    if "overload" in options.only:
        with stage("overload"):
            loads = overload.QUICK_LOADS if quick else overload.LOADS
            levels = overload.measure(report, seconds=6 if quick else 30, loads=loads)
    if "crowd" in options.only:
        with stage("a thousand streams"):
            settle_s, seconds = (40, 15) if quick else (60, 120)
            curves = crowd.measure(report, settle_s=settle_s, seconds=seconds)
    if "throughput" in options.only:
        with stage("throughput"), tempfile.TemporaryDirectory() as scratch:
            # All arrive at once: of short answers their arrival is a good part.
            num_tokens, rounds = (48, 1) if quick else (96, options.rounds)
            folder = options.models or Path(scratch)
            for size in options.sizes:
                throughput.measure(report, folder, size, num_tokens=num_tokens, rounds=rounds)
    finish(report, options, lambda report, path: plot(levels, curves, path))


def plot(levels: list[overload.Level], curves: dict[str, crowd.Curve], path: Path) -> None:
    """Goodput over the load, and memory over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    loads = [level.load for level in levels]
    left.plot(loads, [level.goodput for level in levels], marker="o")
    left.set_xlabel("load, times what can be served")
    left.set_ylabel("good answers per second")
    left.set_ylim(bottom=0)
    for name, curve in curves.items():
        right.plot([at_s for at_s, _ in curve], [mib for _, mib in curve], label=name)
    right.set_xlabel("seconds under 1,000 streams")
    right.set_ylabel("MiB resident")
    right.set_ylim(bottom=0)
    if curves:
        right.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
