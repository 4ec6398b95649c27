"""The histogram that is fed with every token, beside the library's own."""

from __future__ import annotations

import random

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from branchline.runtime.server.http.metrics import _SECONDS, Metrics


def test_gaps_are_told_as_prometheus_own_histogram_tells_them() -> None:
    metrics, registry = Metrics(), CollectorRegistry()
    name = "branchline_inter_token_latency_seconds"
    own = Histogram(name, "Between pieces of a stream.", buckets=_SECONDS, registry=registry)
    chance = random.Random(3)
    for seconds in [*_SECONDS, 0.0, 500.0, *(chance.expovariate(20) for _ in range(500))]:
        metrics.inter_token.observe(seconds)
        own.observe(seconds)

    def lines(text: bytes) -> list[str]:
        shown = [line for line in text.decode().splitlines() if line.startswith(name)]
        return [line for line in shown if "_created" not in line]

    assert lines(metrics.render({})) == lines(generate_latest(registry))
