"""What one turn of the front process tells its clients, on real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from branchline.runtime import protocol
from branchline.runtime.protocol import Chunk, Error, Pong, Several, front_frames
from branchline.runtime.server import clients
from branchline.runtime.server.clients import ClientSocket

HELLO = b"hello"


class Room:
    """A ClientSocket with two clients, "a" and "b", who have come in."""

    def __init__(self, folder: Path) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = ClientSocket(self._context)
        self.socket.router.bind(f"ipc://{folder}/s")
        self.dealers: dict[bytes, zmq.Socket[bytes]] = {}
        for name in (b"a", b"b"):
            dealer = self._context.socket(zmq.DEALER)
            dealer.setsockopt(zmq.IDENTITY, name)
            dealer.setsockopt(zmq.RCVTIMEO, 10_000)
            dealer.connect(f"ipc://{folder}/s")
            dealer.send(HELLO)
            self.dealers[name] = dealer
        arrived = [self.socket.router.recv_multipart()[0] for _ in self.dealers]
        assert sorted(arrived) == [b"a", b"b"]

    def close(self) -> None:
        self.socket.close(linger_ms=0)
        self._context.destroy(linger=0)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.close()


def chunk(number: int, text: str = "x") -> Chunk:
    return Chunk(rid="r", seq=number, index=0, text=text, token_ids=[number])


def test_what_a_turn_says_to_a_client_is_one_frame_in_order(room: Room) -> None:
    said = [chunk(0), chunk(1), Pong(seq=1, ready=True), Error("r", "internal", "no", None)]
    for message in said:
        room.socket.send(b"a", message)
    room.socket.send(b"b", chunk(7))
    assert room.socket.flush() == []
    assert front_frames.decode(room.dealers[b"a"].recv()) == Several(said)
    assert front_frames.decode(room.dealers[b"b"].recv()) == chunk(7)
    assert not room.dealers[b"a"].poll(0)


def test_nothing_leaves_before_the_turn_ends(room: Room) -> None:
    room.socket.send(b"a", chunk(0))
    assert not room.dealers[b"a"].poll(50)


def test_whoever_is_gone_is_named_and_the_others_are_told(room: Room) -> None:
    for client_id in (b"nobody", b"a"):
        room.socket.send(client_id, chunk(0))
        room.socket.send(client_id, chunk(1))
    assert room.socket.flush() == [b"nobody"]
    assert front_frames.decode(room.dealers[b"a"].recv()) == Several([chunk(0), chunk(1)])
    assert room.socket.flush() == []


def test_what_no_frame_holds_together_travels_apart(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = chunk(0), chunk(1, "y" * 2_000)
    monkeypatch.setattr(clients, "MAX_FRAME_BYTES", 1_000)
    assert len(protocol.encode(large)) > 1_000
    room.socket.send(b"a", small)
    room.socket.send(b"a", large)
    assert room.socket.flush() == []
    assert front_frames.decode(room.dealers[b"a"].recv()) == small
    answer = front_frames.decode(room.dealers[b"a"].recv())
    assert isinstance(answer, Error)
    assert (answer.rid, answer.code) == ("r", "invalid_request")
