"""What the clients of bench.serving make of the bytes that came back."""

from __future__ import annotations

import pytest

from bench.serving.clients import Heard, quantile

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text: str) -> bytes:
    return b'data: {"choices": [{"text": "%b"}]}\n\n' % text.encode()


def heard(*pieces: bytes) -> Heard:
    return Heard(10.0, [(11.0 + number, piece) for number, piece in enumerate(pieces)], 20.0)


def test_a_stream_is_read_however_its_bytes_were_cut() -> None:
    body = chunk(event("a")) + chunk(event("b") + event("c")) + chunk(b"data: [DONE]\n\n")
    whole = HEAD + body + b"0\r\n\r\n"
    for cut in range(1, len(whole)):
        stream = heard(whole[:cut], whole[cut:])
        assert stream.text() == "abc"
    stream = heard(whole)
    assert (stream.status, stream.whole) == (200, True)


def test_a_stream_that_was_cut_off_is_not_whole() -> None:
    assert not heard(HEAD + chunk(event("a"))).whole


def test_an_error_after_the_first_piece_is_not_whole() -> None:
    assert not heard(HEAD + chunk(event("a")), chunk(b"event: error\ndata: {}\n\n")).whole


@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_has_its_status(status: int) -> None:
    refused = heard(b"HTTP/1.1 %d Busy\r\ncontent-length: 0\r\n\r\n" % status)
    assert (refused.status, refused.whole) == (status, False)


def test_nothing_at_all_has_no_status() -> None:
    assert (heard().status, heard().whole, heard().gaps_s()) == (0, False, [])


def test_times_are_counted_from_when_a_request_was_due() -> None:
    stream = heard(HEAD, b"x", b"y")
    assert (stream.first_s, stream.total_s, stream.gaps_s()) == (1.0, 10.0, [1.0, 1.0])


def test_quantiles_are_values_that_were_measured() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([1.0] * 99 + [9.0], 0.99) == 9.0
    assert quantile([], 0.99) == 0.0
