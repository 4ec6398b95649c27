"""Start: from the command `branchline serve` to the answer to a first request.

The embedded model, and with --model M one of Qwen2.5-0.5B's shape with random weights. The client
is up already and asks for one token as soon as the runtime listens; kernels are built before.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import branchline as bl

from .random_models import write_model
from .report import Report, arguments, finish, stage

GOALS_S = {"embedded": 2.0, "M": 4.0}
PATIENCE_S = 120.0


@bl.function
def one_token(s: bl.ProgramState) -> None:
    s += "Hello" + bl.gen("x", max_tokens=1)


def seconds_to_first_answer(model: str) -> tuple[float, float]:
    """Until the runtime listens, and until it has answered."""
    with tempfile.TemporaryDirectory() as folder:
        address_file = Path(folder) / "address"
        begin = time.perf_counter()
        command = [sys.executable, "-m", "branchline", "serve", "--model", model]
        command += ["--address-file", str(address_file)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not address_file.exists() or not address_file.read_text().strip():
                if server.poll() is not None or time.perf_counter() - begin > PATIENCE_S:
                    raise RuntimeError(f"branchline serve --model {model} did not start")
                time.sleep(0.002)
            listens = time.perf_counter() - begin
            backend = bl.RuntimeEndpoint(address_file.read_text().strip())
            one_token.run(backend=backend)["x"]
            answered = time.perf_counter() - begin
            backend.close()
            return listens, answered
        finally:
            server.terminate()
            server.wait()


def plot(report: Report, path: Path) -> None:
    """Bars: seconds to the first answer."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 2))
    bars = axes.barh([row.metric for row in report.rows], [row.value for row in report.rows])
    axes.bar_label(bars, fmt="%.2f s")
    axes.set_xlabel("seconds from the command")
    figure.savefig(path, bbox_inches="tight")


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--models", type=Path, help="folder that keeps model M between runs")
    parser.add_argument("--model", choices=("embedded", "M", "both"), default="both")
    options = parser.parse_args()
    report = Report("start")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("embedded", "M"):
            if options.model not in (name, "both"):
                continue
            model = name
            if name == "M":
                model = str(write_model("M", options.models or Path(folder)))
            with stage(f"starting {name}"):
                seconds_to_first_answer(model)  # files come into the page cache
                times = [seconds_to_first_answer(model) for _ in range(3 if options.quick else 7)]
            listens, answered = (statistics.median(column) for column in zip(*times, strict=True))
            report.add(
                f"first answer, {name}",
                answered,
                "s",
                goal=GOALS_S[name],
                detail=f"listens after {listens:.2f} s",
                at_most=True,
            )
    finish(report, options, plot)


if __name__ == "__main__":
    main()
