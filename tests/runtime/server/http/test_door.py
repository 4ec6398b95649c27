"""Requests that the runtime cannot take in at the moment: refused from their bytes alone, with the
answer that the long way through h11, the gate and the service gives."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest
from played_front import CLIENT, Asker, PlayedFront

from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Generate, Text
from branchline.runtime.server.flight import Limits
from branchline.runtime.server.http.app import build_router
from branchline.runtime.server.http.door import CALLS, MAX_UNREAD_BYTES, Door
from branchline.runtime.server.http.link import Link
from branchline.runtime.server.http.metrics import Metrics
from branchline.runtime.tokenizer import Tokenizer

BODY = b'{"prompt": "hello"}'


@pytest.fixture
def full(tokenizer: Tokenizer) -> Iterator[PlayedFront]:
    """A front whose waiting room is full."""
    front = PlayedFront(tokenizer, limits=Limits(max_waiting_sequences=2))
    front.allow(0)
    front.do(lambda: front.service._calls.waiting.enter(2))
    yield front
    front.close()


@pytest.fixture
def door(full: PlayedFront) -> Door:
    """A door of that front that nobody else uses."""
    door = Door(Metrics())
    door.entrance = full.service.entrance
    return door


def request(
    path: str = "/v1/completions", body: bytes = BODY, *fields: str, length: int | None = None
) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *fields]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def connect(front: PlayedFront) -> socket.socket:
    assert front.server is not None
    return socket.create_connection(Asker(front.server).address, timeout=60)


def read_answer(connection: socket.socket) -> bytes:
    """One answer whose length is said."""
    answer = b""
    while (end := answer.find(b"\r\n\r\n")) < 0:
        piece = connection.recv(65_536)
        assert piece, "the connection ended before its answer"
        answer += piece
    found = re.search(rb"content-length: (\d+)", answer)
    assert found is not None
    while len(answer) < end + 4 + int(found[1]):
        answer += connection.recv(65_536)
    return answer


def told(answer: bytes) -> tuple[bytes, set[bytes], bytes]:
    """Status line, header fields in no order and body of an answer, without the time."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    return first, {field for field in fields if not field.startswith(b"date: ")}, body


def test_every_call_of_the_engine_is_a_route_that_takes_a_body() -> None:
    router = build_router(Link(lambda message: None), Metrics())
    posts = {path for route in router.routes if "POST" in route.methods for path in [route.path]}
    assert posts >= CALLS


@pytest.mark.parametrize("path", sorted(CALLS))
def test_the_short_way_says_what_the_long_way_says(
    full: PlayedFront, door: Door, path: str
) -> None:
    full.listen()
    short, long = request(path), request(path, BODY, "Connection: keep-alive, other")
    assert door.answer(short, []) is not None
    assert door.answer(long, []) is None
    with connect(full) as connection:
        connection.sendall(short)
        by_short = read_answer(connection)
        connection.sendall(long)
        by_long = read_answer(connection)
    assert told(by_short) == told(by_long)
    assert by_short.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"\r\nretry-after: " in by_short


def test_the_service_gives_the_same_reason(full: PlayedFront) -> None:
    refusal = full.service.entrance.refusal()
    assert refusal is not None
    with pytest.raises(RequestError) as caught:
        full.service._calls.waiting.enter(1)
    assert (caught.value.code, caught.value.message) == (refusal.code, refusal.message)


def test_while_there_is_room_nothing_is_refused(full: PlayedFront, door: Door) -> None:
    full.do(lambda: full.service._calls.waiting.leave(1))
    assert door.answer(request(), []) is None


@pytest.mark.parametrize(
    ("befall", "message"),
    [
        (lambda service: service.drain(), b"the runtime is shutting down"),
        (lambda service: service.on_engine_lost("it died"), b"the engine is starting again"),
    ],
    ids=["draining", "engine lost"],
)
def test_a_runtime_that_takes_nothing_says_why(
    full: PlayedFront, door: Door, befall: object, message: bytes
) -> None:
    full.do(lambda: befall(full.service))
    refusal = door.answer(request(), [])
    assert refusal is not None
    assert refusal.answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert message in refusal.answer


LONG_WAYS = {
    "head in pieces": request()[:40],
    "another method": request().replace(b"POST", b"GET"),
    "another route": request("/v1/tokenize"),
    "a query": request("/v1/completions?x=1"),
    "an escape": request("/v1/completion%73"),
    "an absolute target": request("http://localhost/v1/completions"),
    "HTTP/1.0": request().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "no length": request().replace(b"Content-Length", b"X-Length"),
    "two lengths": request("/v1/completions", BODY, f"Content-Length: {len(BODY)}"),
    "a length and chunks": request("/v1/completions", BODY, "Transfer-Encoding: chunked"),
    "a length with a sign": request().replace(b"Content-Length: ", b"Content-Length: +"),
    "a long body": request(length=MAX_UNREAD_BYTES + 1),
    "a second request behind it": request() + request(),
    "closing with a body to come": request("/v1/completions", b"", "Connection: close", length=9),
    "it waits for 100": request("/v1/completions", BODY, "Expect: 100-continue"),
    "an upgrade": request("/v1/completions", BODY, "Upgrade: h2c"),
    "a folded field": request("/v1/completions", BODY, "X-A: 1\r\n X-B: 2"),
    "a space before the colon": request("/v1/completions", BODY, "X-A : 1"),
    "a bare line feed": request("/v1/completions", BODY, "X-A: 1\nX-B: 2"),
    "a bare carriage return": request("/v1/completions", BODY, "X-A: 1\rX-B: 2"),
    "a zero byte": request("/v1/completions", BODY, "X-A: \0"),
    "a field without a name": request("/v1/completions", BODY, ": 1"),
}


@pytest.mark.parametrize("odd", LONG_WAYS)
def test_what_is_not_plain_goes_the_long_way(door: Door, odd: str) -> None:
    assert door.answer(LONG_WAYS[odd], []) is None


def test_a_short_body_may_come_after_its_refusal_and_the_connection_goes_on(
    full: PlayedFront,
) -> None:
    full.listen()
    with connect(full) as connection:
        for _ in range(2):
            connection.sendall(request()[: -len(BODY)])
            assert read_answer(connection).startswith(b"HTTP/1.1 429 ")
            connection.sendall(BODY[:5])
            connection.sendall(BODY[5:])
        full.do(lambda: full.service._calls.waiting.leave(2))
        full.allow(None)
        connection.sendall(request())
        assert read_answer(connection).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_asks_for_the_end_of_the_connection_gets_it(full: PlayedFront) -> None:
    full.listen()
    with connect(full) as connection:
        connection.sendall(request("/v1/completions", BODY, "Connection: close"))
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nConnection: close\r\n" in answer


def test_a_long_body_is_not_read(full: PlayedFront) -> None:
    full.listen()
    with connect(full) as connection:
        connection.sendall(request(length=MAX_UNREAD_BYTES + 1))
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()


def test_who_has_no_key_hears_of_that_and_not_of_the_crowd(full: PlayedFront) -> None:
    full.listen("secret-of-one")
    answers = []
    for key in ("wrong-one", "secret-of-one"):
        with connect(full) as connection:
            connection.sendall(request("/v1/completions", BODY, f"Authorization: Bearer {key}"))
            answers.append(read_answer(connection)[:13])
    assert answers == [b"HTTP/1.1 401 ", b"HTTP/1.1 429 "]


def test_refusals_are_counted_wherever_they_are_made(full: PlayedFront) -> None:
    asker = Asker(full.listen())
    full.do(lambda: full.service.on_message(CLIENT, Generate(rid="a", prompt=[Text("hello")])))
    with connect(full) as connection:
        connection.sendall(request())
        read_answer(connection)
    text = asker.get("/metrics").body.decode()
    for line in (
        'branchline_http_requests_total{route="/v1/completions",status="429"} 1.0',
        "branchline_runtime_front_requests_overloaded 2.0",
        "branchline_runtime_front_requests_failed 2.0",
    ):
        assert line in text
