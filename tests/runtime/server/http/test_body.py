"""Bodies within bounds: size, type, JSON."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest
from played_front import Asker, PlayedFront

from branchline.runtime.server.http.body import MAX_BODY_BYTES
from branchline.runtime.server.http.connection import LINGER_BYTES

PATH = "/v1/completions"
SCHEMA = (
    b'{"prompt": "a", "response_format": {"type": "json_schema", "json_schema": {"schema": %s}}}'
)


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_anything_but_json_is_refused(asker: Asker, media_type: str) -> None:
    answer = asker.ask("POST", PATH, raw=b"{}", headers={"Content-Type": media_type})
    assert answer.status == 415


def test_a_charset_does_no_harm(asker: Asker) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert asker.ask("POST", PATH, {"prompt": "a"}, headers=headers).status == 200


def test_compressed_bodies_are_refused(asker: Asker) -> None:
    answer = asker.ask("POST", PATH, {"prompt": "a"}, headers={"Content-Encoding": "gzip"})
    assert answer.status == 415


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"NaN",
        b'{"prompt": NaN}',
        b'{"prompt": "\xff"}',
        b'{"prompt": "\\ud800"}',
        b'{"prompt": 1e999}',
        b'{"prompt": ' + b"9" * 100_000 + b"}",
        b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"metadata": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b', "prompt": "a"}',
        SCHEMA % (b"[" * 100_000 + b"]" * 100_000),
        SCHEMA % b'"\xff"',
    ],
)
def test_a_body_that_is_no_request_is_refused(front: PlayedFront, asker: Asker, raw: bytes) -> None:
    answer = asker.ask("POST", PATH, raw=raw)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert front.submits == []


def test_a_large_body_is_refused_before_it_is_sent(asker: Asker) -> None:
    connection = http.client.HTTPConnection(*asker.address, timeout=60)
    connection.putrequest("POST", PATH)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(MAX_BODY_BYTES + 1))
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, response.getheader("connection")) == (413, "close")
    connection.close()


def test_a_body_of_unknown_length_is_cut_off_while_it_arrives(asker: Asker) -> None:
    num_sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal num_sent
        while True:
            num_sent += 65_536
            yield b"x" * 65_536

    connection = http.client.HTTPConnection(*asker.address, timeout=60)
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    with pytest.raises(OSError, match=r"."):
        connection.request("POST", PATH, endless(), headers, encode_chunked=True)
    # What lies in the sockets' buffers was sent, too.
    assert num_sent < MAX_BODY_BYTES + LINGER_BYTES + 16 * 1024 * 1024
    connection.close()


def test_a_client_that_sends_its_large_body_first_still_reads_why_it_was_refused(
    asker: Asker,
) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(asker.address, timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: {LINGER_BYTES}\r\n\r\n".encode())
        # The answer is there, and the server is done with this connection.
        assert connection.recv(1, socket.MSG_PEEK) == b"H"
        connection.sendall(b"x" * LINGER_BYTES)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_four_megabytes_is_read(asker: Asker) -> None:
    padding = "x" * (MAX_BODY_BYTES - 200)
    body = json.dumps({"prompt": "a", "user": padding}).encode()
    assert asker.ask("POST", PATH, raw=body).status == 200
