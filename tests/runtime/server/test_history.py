"""What the front process remembers of requests, on a clock that the test winds."""

from __future__ import annotations

from array import array

import pytest

from branchline.runtime.engine_protocol import Progress
from branchline.runtime.protocol import Generate, JsonSchema, Text
from branchline.runtime.server.history import History, Record


class Watch:
    now_s = 1000.0


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def history(watch: Watch) -> History:
    return History(lambda: watch.now_s)


def begin(history: History, client: bytes = b"c") -> Record:
    message = Generate(rid="r", prompt=[Text("x")], constraint=JsonSchema("{}"), namespace="n")
    record = history.begin(client, message, 1)
    history.submitted(record, [5], [1, 2, 3, 4])
    return record


def test_a_requests_life_is_written_down(history: History, watch: Watch) -> None:
    record = begin(history)
    watch.now_s += 2
    history.progressed(record, 0, Progress(5, [7], cached_tokens=3, queue_s=0.5))
    watch.now_s += 1
    history.progressed(record, 0, Progress(5, [8], finish="stop"))
    history.ended(record, "stop")
    assert (record.prompt_tokens, record.cached_tokens, record.generated_tokens) == (4, 3, 2)
    assert (record.queue_s, record.first_token_s, record.outcome) == (0.5, 2.0, "stop")
    assert (record.constraint, record.namespace) == ("JsonSchema", "n")
    assert array("i", record.tokens).tolist() == [1, 2, 3, 4]
    assert history.running() == []
    assert history.find(record.number) is record


def test_rates_count_what_happened_in_each_second(history: History, watch: Watch) -> None:
    record = begin(history)
    history.progressed(record, 0, Progress(5, [7], cached_tokens=3))
    watch.now_s += 2
    history.progressed(record, 0, Progress(5, [8, 9]))
    history.ended(record, "length")
    watch.now_s += 1
    rates = history.rates()
    assert rates.generated == [1, 0, 2]
    assert (rates.prompt, rates.cached) == ([4, 0, 0], [3, 0, 0])
    assert (rates.finished, rates.failed) == ([0, 0, 1], [0, 0, 0])
    assert (rates.ttft_p50, rates.gap_p95) == ([0.0, None, None], [None, None, 2.0])


def test_a_cancelled_request_is_no_failure(history: History, watch: Watch) -> None:
    history.ended(begin(history), "cancelled")
    history.ended(begin(history), "internal")
    watch.now_s += 1
    assert (history.rates().finished, history.rates().failed) == ([0], [1])


def test_only_the_first_word_on_an_end_counts(history: History) -> None:
    record = begin(history)
    history.ended(record, "stop")
    history.ended(record, "client_gone")
    assert (record.outcome, len(history.recent())) == ("stop", 1)


def test_the_newest_requests_are_kept_and_old_ones_forgotten(history: History) -> None:
    records = [begin(history) for _ in range(300)]
    for record in records:
        history.ended(record, "stop")
    kept = history.recent()
    assert kept[0] is records[-1]
    assert len(kept) < 300
    assert history.find(records[0].number) is None


def test_five_minutes_of_rates_are_kept(history: History, watch: Watch) -> None:
    for _ in range(400):
        history.ended(begin(history), "stop")
        watch.now_s += 1
    assert history.rates().finished == [1] * 300


def test_connections_have_small_numbers_as_long_as_they_last(history: History) -> None:
    assert [history.client_number(client) for client in (b"a", b"b", b"a")] == [1, 2, 1]
    history.client_gone(b"b")
    assert history.client_number(b"c") == 2
