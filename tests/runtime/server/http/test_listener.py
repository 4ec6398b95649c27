"""A crowd of connections takes no more files than it may (R15)."""

from __future__ import annotations

import errno
import resource
import socket

import pytest
from played_front import Asker, PlayedFront

from branchline.runtime.server import descriptors
from branchline.runtime.server.http.listener import BoundedListener
from branchline.runtime.tokenizer import Tokenizer


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=60)


def test_a_full_listener_says_so_until_somebody_leaves() -> None:
    listener = BoundedListener(socket.create_server(("127.0.0.1", 0)), most=2)
    address = listener.getsockname()
    clients = [connect(address) for _ in range(3)]
    taken = [listener.accept()[0] for _ in range(2)]
    with pytest.raises(OSError, match="Too many open files") as caught:
        listener.accept()
    assert caught.value.errno == errno.EMFILE
    # asyncio may ask again at once, and must not be told twice.
    with pytest.raises(BlockingIOError):
        listener.accept()
    taken.pop().close()
    taken.append(listener.accept()[0])
    for one in (*clients, *taken, listener):
        one.close()


def test_after_a_crowd_that_was_larger_than_the_room_others_are_served(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("branchline.runtime.server.http.server._MAX_CONNECTIONS", 4)
    monkeypatch.setattr("branchline.runtime.server.http.server._TOLD", 4)
    front = PlayedFront(tokenizer)
    asker = Asker(front.listen())
    assert asker.get("/health").status == 200
    crowd = [connect(asker.address) for _ in range(40)]
    for one in crowd:
        one.close()
    # Until those who waited are taken and let go, there may be a 503.
    assert any(asker.get("/health").status == 200 for _ in range(100))
    front.close()


def test_the_spare_files_are_not_http_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def limits(_: int) -> tuple[int, int]:
        return (1_024, 4_096)

    monkeypatch.setattr(resource, "getrlimit", limits)
    assert descriptors.connections_within(2_304) == 768
    assert descriptors.connections_within(100) == 100


def test_as_many_files_are_allowed_as_the_system_grants(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 4_096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: told.append(limits))
    descriptors.raise_file_limit()
    assert told == [(4_096, 4_096)]
