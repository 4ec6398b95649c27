"""What is told of every request that ended: a line of the log, a span, and HTTP's metrics. Used
by front.py.

Numbers, names and outcomes only: nothing here has seen a prompt or an answer, nor a client's key.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .history import Record
from .report import Log
from .tracing import Spans

Sink = Callable[[Record], None]


class Journal:
    """Hands each record to those who want it."""

    def __init__(self, *, model: str, log: Log | None, spans: Spans | None) -> None:
        self._model = model
        self._log = log
        self._spans = spans
        self.sinks: list[Sink] = []

    def request_ended(self, record: Record) -> None:
        """Called by the service once per request."""
        if self._log is not None:
            self._log.event("request", **facts(record))
        if self._spans is not None:
            self._spans.request(self._model, record, time.time())
        for sink in self.sinks:
            sink(record)


def facts(record: Record) -> dict[str, str | int | float | None]:
    """What may be known of a request outside the runtime."""
    ended_s = record.ended_s if record.ended_s is not None else record.arrived_s
    return {
        "number": record.number,
        "kind": record.kind,
        "namespace": record.namespace,
        "constraint": record.constraint,
        "sequences": record.num_sequences,
        "outcome": record.outcome,
        "prompt_tokens": record.prompt_tokens,
        "cached_tokens": record.cached_tokens,
        "generated_tokens": record.generated_tokens,
        "queue_s": _rounded(record.queue_s),
        "first_token_s": _rounded(record.first_token_s),
        "seconds": _rounded(ended_s - record.arrived_s),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
