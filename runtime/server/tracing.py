"""OpenTelemetry spans, one per request, where its package is installed and an exporter is named in
the environment. Used by journal.py.

    pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http
    OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 branchline serve

Attributes have the names of the GenAI conventions
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/) where these have one.
"""

from __future__ import annotations

import os
from typing import Any, Final

from .history import Record

_VARIABLE: Final = "OTEL_TRACES_EXPORTER"
_GOOD: Final = ("stop", "length")


class TracingError(Exception):
    """Spans were asked for and cannot be had; the message is for the user."""


class Spans:
    """Writes spans to a tracer of `opentelemetry.trace`."""

    def __init__(self, tracer: Any, provider: Any = None) -> None:
        self._tracer = tracer
        self._provider = provider

    def request(self, model: str, record: Record, now_s: float) -> None:
        """The span of a request that has just ended; `now_s` is wall-clock time."""
        from opentelemetry.trace import SpanKind, Status, StatusCode

        ended_s = record.ended_s if record.ended_s is not None else record.arrived_s
        start_s = now_s - (ended_s - record.arrived_s)
        attributes: dict[str, str | int | float] = {
            "gen_ai.operation.name": record.kind,
            "gen_ai.system": "branchline",
            "gen_ai.request.model": model,
            "gen_ai.usage.input_tokens": record.prompt_tokens,
            "gen_ai.usage.output_tokens": record.generated_tokens,
            "branchline.cached_tokens": record.cached_tokens or 0,
            "branchline.sequences": record.num_sequences,
            "branchline.namespace": record.namespace,
            "branchline.outcome": record.outcome or "",
        }
        if record.queue_s is not None:
            attributes["branchline.queue_s"] = record.queue_s
        span = self._tracer.start_span(
            f"{record.kind} {model}",
            kind=SpanKind.SERVER,
            start_time=_ns(start_s),
            attributes=attributes,
        )
        if record.first_token_s is not None:
            span.add_event("first_token", timestamp=_ns(start_s + record.first_token_s))
        if record.outcome not in _GOOD:
            span.set_status(Status(StatusCode.ERROR, record.outcome))
        span.end(end_time=_ns(now_s))

    def close(self) -> None:
        """Send what has not left yet."""
        if self._provider is not None:
            self._provider.shutdown()


def spans_of_environment() -> Spans | None:
    """Spans as the environment asks for them; None where it does not. Raises TracingError."""
    exporter = os.environ.get(_VARIABLE, "none")
    if exporter in ("", "none"):
        return None
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

        if exporter == "console":
            sender: Any = ConsoleSpanExporter()
        elif exporter == "otlp":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            sender = OTLPSpanExporter()
        else:
            raise TracingError(f"{_VARIABLE} is {exporter!r}; known here: otlp, console, none")
    except ImportError as error:
        raise TracingError(
            f"{_VARIABLE} is {exporter!r}, but {error.name} is not installed: pip install "
            f"opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": "branchline"}))
    provider.add_span_processor(BatchSpanProcessor(sender))
    return Spans(provider.get_tracer("branchline"), provider)


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
