"""What is told of requests: lines, spans and numbers, and never a word of their text."""

from __future__ import annotations

import json

import pytest
from service_desk import Desk, generate

from branchline.runtime.engine_protocol import Progress
from branchline.runtime.server.history import History, Record
from branchline.runtime.server.journal import Journal
from branchline.runtime.server.report import Log
from branchline.runtime.server.tracing import Spans, TracingError, spans_of_environment

SECRET = "hunter2 is the password"


def ended(outcome: str = "stop") -> Record:
    """A request with a secret prompt that has ended."""
    now_s = 100.0
    records: list[Record] = []
    history = History(lambda: now_s, records.append)
    record = history.begin(b"c", generate(prompt=SECRET), 1)
    history.submitted(record, [1], [5, 6, 7])
    now_s = 100.5
    history.progressed(record, 0, Progress(1, [9], cached_tokens=2, queue_s=0.25))
    now_s = 101.0
    history.ended(record, outcome)
    assert records == [record]
    return record


def test_a_line_is_json_with_numbers_and_without_text(capsys: pytest.CaptureFixture[str]) -> None:
    Journal(model="tiny", log=Log(as_json=True), spans=None).request_ended(ended())
    line = capsys.readouterr().err
    fields = json.loads(line)
    assert fields["event"] == "request"
    assert (fields["prompt_tokens"], fields["cached_tokens"], fields["generated_tokens"]) == (
        3,
        2,
        1,
    )
    assert (fields["queue_s"], fields["first_token_s"], fields["seconds"]) == (0.25, 0.5, 1.0)
    assert "hunter2" not in line


def test_a_line_of_words_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    Journal(model="tiny", log=Log(), spans=None).request_ended(ended("timeout"))
    line = capsys.readouterr().err
    assert line.startswith("branchline: request number=1 kind=generate ")
    assert " outcome=timeout " in line
    assert "hunter2" not in line


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("hostile", ["a\nbranchline: all is well", "\x1b[2J", "\r\0", "\u2028"])
def test_nothing_in_a_log_starts_a_line_or_commands_a_terminal(
    capsys: pytest.CaptureFixture[str], hostile: str, as_json: bool
) -> None:
    """S18."""
    log = Log(as_json=as_json)
    log.notice(hostile)
    log.event("request", namespace=hostile)
    lines = capsys.readouterr().err
    assert lines.count("\n") == 2
    assert all(char.isprintable() for char in lines.replace("\n", ""))


def test_a_request_is_a_span_with_the_conventions_names() -> None:
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    simple = pytest.importorskip("opentelemetry.sdk.trace.export")
    memory = export.InMemorySpanExporter()
    provider = trace.TracerProvider()
    provider.add_span_processor(simple.SimpleSpanProcessor(memory))
    spans = Spans(provider.get_tracer("test"), provider)
    journal = Journal(model="tiny", log=None, spans=spans)
    journal.request_ended(ended())
    journal.request_ended(ended("timeout"))
    good, bad = memory.get_finished_spans()
    assert good.name == "generate tiny"
    assert good.attributes["gen_ai.usage.input_tokens"] == 3
    assert good.attributes["gen_ai.usage.output_tokens"] == 1
    assert good.end_time - good.start_time == pytest.approx(1e9, rel=1e-3)
    assert [event.name for event in good.events] == ["first_token"]
    assert (good.status.is_ok, bad.status.is_ok) == (True, False)
    assert "hunter2" not in good.to_json() + bad.to_json()


def test_spans_are_asked_for_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_TRACES_EXPORTER", raising=False)
    assert spans_of_environment() is None
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
    with pytest.raises(TracingError, match="carrier-pigeon"):
        spans_of_environment()


def test_every_request_is_told_once_however_it_ends(desk: Desk) -> None:
    told: list[Record] = []
    desk.service._history._on_end = told.append
    desk.ask(generate("a"))
    desk.ask(generate("b", timeout_s=1.0))
    desk.ask(generate("c"))
    first = desk.submits()[0]
    desk.step(desk.say(first.sid, "x", finish="length"))
    desk.tick(2.0)
    desk.service.on_client_gone(b"c")
    assert [record.outcome for record in told] == ["length", "timeout", "client_gone"]
