"""The picture of what cpu.py measured."""

from __future__ import annotations

from pathlib import Path

from .report import Report


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
    axes.set_xlabel("times the best of the other engines")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
