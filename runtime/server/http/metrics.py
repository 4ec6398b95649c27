"""What Prometheus is told: times as HTTP's clients see them, and the runtime's own counters. Filled
by answer.py and app.py, read at /metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric

from ...protocol import Done
from ..history import Record
from .link import Arrival

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_MAX_NAMESPACES: Final = 256
_SECONDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0),
)


class Metrics:
    """One registry for each server, so that two in one process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "branchline_http_requests",
            "HTTP requests by route and status.",
            ["route", "status"],
            registry=self._registry,
        )
        self.clients_lost = Counter(
            "branchline_http_clients_lost",
            "HTTP clients that left before their answer was complete.",
            registry=self._registry,
        )
        self.prompt_tokens = Counter(
            "branchline_prompt_tokens",
            "Prompt tokens of finished HTTP requests.",
            registry=self._registry,
        )
        self.cached_tokens = Counter(
            "branchline_cached_prompt_tokens",
            "Those of them that came from the radix cache.",
            registry=self._registry,
        )
        self.completion_tokens = Counter(
            "branchline_completion_tokens",
            "Generated tokens of finished HTTP requests.",
            registry=self._registry,
        )
        self.ttft = self._histogram("time_to_first_token", "From request to first piece (streams).")
        self.inter_token = _Gaps()
        self._registry.register(self.inter_token)
        self._ended = Counter(
            "branchline_requests",
            "Requests that ended, of all clients, over ZeroMQ and HTTP.",
            ["kind", "outcome", "namespace"],
            registry=self._registry,
        )
        self._tokens = Counter(
            "branchline_request_tokens",
            "Tokens of those requests: of prompts, of them from the cache, and generated.",
            ["kind", "namespace"],
            registry=self._registry,
        )
        self._queue = self._histogram("queue_time", "From the engine to the first step.")
        self._first_token = self._histogram(
            "first_token", "From request to first token, of all clients."
        )
        self._namespaces: set[str] = set()
        self.e2e = self._histogram("request_duration", "From request to the end of its answer.")

    def observe_done(self, dones: Iterable[Done], seconds: float) -> None:
        """Calls that were answered whole."""
        for done in dones:
            self._count(done)
        self.e2e.observe(seconds)

    def observe_request(self, record: Record) -> None:
        """A request of any client, over ZeroMQ or HTTP, has ended. Called on the front's thread;
        counters can bear that."""
        namespace = record.namespace
        if namespace not in self._namespaces:
            # Clients over ZeroMQ name theirs freely.
            if len(self._namespaces) >= _MAX_NAMESPACES:
                namespace = "(others)"
            else:
                self._namespaces.add(namespace)
        self._ended.labels(record.kind, record.outcome or "", namespace).inc()
        self._tokens.labels("prompt", namespace).inc(record.prompt_tokens)
        self._tokens.labels("cached", namespace).inc(record.cached_tokens or 0)
        self._tokens.labels("generated", namespace).inc(record.generated_tokens)
        if record.queue_s is not None:
            self._queue.observe(record.queue_s)
        if record.first_token_s is not None:
            self._first_token.observe(record.first_token_s)

    def observe_stream(self, arrivals: Iterable[Arrival]) -> None:
        """Messages of a stream."""
        for _, message in arrivals:
            if isinstance(message, Done):
                self._count(message)

    def render(self, stats: dict[str, float]) -> bytes:
        """Everything in Prometheus' text format; `stats` are the runtime's."""
        registry = CollectorRegistry()
        registry.register(_Stats(stats))
        return generate_latest(self._registry) + generate_latest(registry)

    def _count(self, done: Done) -> None:
        self.prompt_tokens.inc(done.usage.prompt_tokens)
        self.cached_tokens.inc(done.usage.cached_tokens)
        self.completion_tokens.inc(done.usage.completion_tokens)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(
            f"branchline_{name}_seconds", text, buckets=_SECONDS, registry=self._registry
        )


class _Gaps:
    """A histogram of what comes with every token, for HTTP's thread alone: Prometheus' own has a
    lock for each of its numbers."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_SECONDS) + 1)
        self._sum_s = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(_SECONDS, seconds)] += 1
        self._sum_s += seconds

    def collect(self) -> Iterator[Metric]:
        bounds = [*map(str, _SECONDS), "+Inf"]
        yield HistogramMetricFamily(
            "branchline_inter_token_latency_seconds",
            "Between pieces of a stream.",
            buckets=list(zip(bounds, accumulate(self._counts), strict=True)),
            sum_value=self._sum_s,
        )


class _Stats:
    """The runtime's flat counters and gauges as they are at the moment."""

    def __init__(self, stats: dict[str, float]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        for name, value in sorted(self._stats.items()):
            yield GaugeMetricFamily(f"branchline_runtime_{name}", f"Runtime: {name}.", value=value)
