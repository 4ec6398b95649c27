"""Connections that send a head slowly or never, with the deadline made short; and how the pieces of
a stream travel."""

from __future__ import annotations

import re
import socket

import pytest
from played_front import Asker, PlayedFront

from branchline.runtime.server.http.connection import BoundedConnection

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def impatient(own_front: PlayedFront, monkeypatch: pytest.MonkeyPatch) -> Asker:
    """A server that waits a second for a head."""
    monkeypatch.setattr("branchline.runtime.server.http.connection.HEAD_S", 1.0)
    return Asker(own_front.listen())


def connect(asker: Asker) -> socket.socket:
    return socket.create_connection(asker.address, timeout=60)


def test_a_connection_that_says_nothing_is_closed(impatient: Asker) -> None:
    with connect(impatient) as connection:
        assert connection.recv(1) == b""


def test_a_head_that_does_not_end_is_given_up(impatient: Asker) -> None:
    with connect(impatient) as connection:
        connection.sendall(HEAD)
        assert connection.recv(1) == b""


def test_a_second_head_has_a_deadline_too(impatient: Asker) -> None:
    with connect(impatient) as connection:
        connection.sendall(HEAD + b"\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65_536)
        connection.sendall(HEAD)
        assert connection.recv(1) == b""


def test_a_head_without_a_deadline_would_be_seen(
    own_front: PlayedFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: nobody watches, so that the client waits in vain, here until it gives up itself."""
    monkeypatch.setattr(BoundedConnection, "_watch_head", lambda connection: None)
    monkeypatch.setattr("branchline.runtime.server.http.connection.HEAD_S", 0.01)
    asker = Asker(own_front.listen())
    with connect(asker) as connection:
        connection.settimeout(1.0)
        connection.sendall(HEAD)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_client_that_never_ends_its_refused_body_is_cut_off(
    own_front: PlayedFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("branchline.runtime.server.http.connection.LINGER_S", 0.5)
    head = "POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    with connect(Asker(own_front.listen())) as connection:
        connection.sendall(head.encode())
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 415 ")
        with pytest.raises(ConnectionError):  # noqa: PT012
            while True:
                connection.sendall(b"x")


def test_a_request_under_way_has_no_such_deadline(own_front: PlayedFront, impatient: Asker) -> None:
    own_front.allow(0)
    with impatient.send("/v1/completions", {"prompt": "hello"}) as connection:
        own_front.wait_until(lambda: len(own_front.submits) == 1)
        with connect(impatient) as silent:
            assert silent.recv(1) == b""
        own_front.allow(None)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


def told(answer: bytes) -> tuple[bytes, ...]:
    """Head and body, without what differs from one answer to the next."""
    changing = rb'"cmpl-[0-9a-f]+"|"created":[0-9]+|date: [^\r]+'
    return tuple(re.sub(changing, b"*", part) for part in read_chunks(answer))


def streamed(asker: Asker, version: str = "1.1") -> bytes:
    """A stream as it came over the connection."""
    body = b'{"prompt": "hello", "stream": true}'
    with connect(asker) as connection:
        connection.sendall(
            f"POST /v1/completions HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    return answer


def read_chunks(answer: bytes) -> tuple[bytes, bytes]:
    """Head and body of an answer in chunks; how many pieces share a chunk is a matter of time."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body += rest[:length]
        assert rest[length : length + 2] == b"\r\n"
        rest = rest[length + 2 :]
        if length == 0:
            assert rest == b""
            return head, body


def test_pieces_on_the_short_way_are_framed_as_on_the_long_one(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    write_piece = BoundedConnection.write_piece

    def noted(connection: BoundedConnection, piece: bytes) -> None:
        written.append(piece)
        write_piece(connection, piece)

    monkeypatch.setattr(BoundedConnection, "write_piece", noted)
    short = streamed(asker)
    assert written
    monkeypatch.setattr(BoundedConnection, "takes_pieces", False)
    assert told(short) == told(streamed(asker))
    assert short.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_a_client_that_knows_no_chunks_gets_none(asker: Asker) -> None:
    _, _, body = streamed(asker, version="1.0").partition(b"\r\n\r\n")
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")


def test_a_second_stream_on_a_connection_is_whole(asker: Asker) -> None:
    with asker.send("/v1/completions", {"prompt": "hello", "stream": True}) as connection:
        request = b'{"prompt": "hello", "stream": true}'
        head = (
            "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
            f"\r\nContent-Length: {len(request)}\r\n\r\n"
        )
        for _ in range(2):
            answer = b""
            while not answer.endswith(b"0\r\n\r\n"):
                answer += connection.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert answer.count(b"[DONE]") == 1
            connection.sendall(head.encode() + request)
