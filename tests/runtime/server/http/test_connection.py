"""Connections that send a head slowly or never, with the deadline made short."""

from __future__ import annotations

import socket

import pytest
from played_front import Asker, PlayedFront

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def impatient(own_front: PlayedFront, monkeypatch: pytest.MonkeyPatch) -> Asker:
    """A server that waits half a second for a head."""
    monkeypatch.setattr("branchline.runtime.server.http.connection.HEAD_S", 0.5)
    return Asker(own_front.listen())


def connect(asker: Asker) -> socket.socket:
    return socket.create_connection(asker.address, timeout=4)


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
