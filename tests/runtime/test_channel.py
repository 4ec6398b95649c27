"""Frames between two processes: each arrives whole and in turn, nobody blocks, and an end that is
gone is told."""

from __future__ import annotations

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.runtime.channel import Channel
from branchline.runtime.protocol import FrameError

MOST = 1 << 22


@pytest.fixture
def ends() -> tuple[Channel, Channel]:
    one, other = socket.socketpair()
    return Channel(one, MOST), Channel(other, MOST)


def all_of(channel: Channel, sender: Channel | None = None) -> list[bytes]:
    """What comes until nothing does."""
    frames: list[bytes] = []
    while sender is not None and sender.has_unsent:
        sender.flush()
        frames += channel.receive() or []
    while (some := channel.receive()) is not None:
        frames += some
    return frames


@given(sizes=st.lists(st.sampled_from([0, 1, 4, 300, 65_530, 65_536, 70_000, 1 << 21]), max_size=8))
def test_frames_of_any_size_arrive_whole_and_in_turn(sizes: list[int]) -> None:
    one, other = (Channel(end, MOST) for end in socket.socketpair())
    sent = [bytes([number]) * size for number, size in enumerate(sizes)]
    for frame in sent:
        assert one.send(frame)
    assert all_of(other, one) == sent
    one.close()
    other.close()


def test_a_frame_that_comes_in_pieces_is_handed_on_when_it_is_whole() -> None:
    raw, end = socket.socketpair()
    channel = Channel(end, MOST)
    for piece in (b"\x03", b"\0\0", b"\0a", b"b"):
        raw.send(piece)
        assert channel.receive() == []
    raw.send(b"c\x00\x00\x00\x00\x01\x00\x00\x00x\x09")
    assert channel.receive() == [b"abc", b"", b"x"]


def test_sending_does_not_wait_for_somebody_who_does_not_read(
    ends: tuple[Channel, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = ends
    frame = bytes(1 << 20)
    assert all(one.send(frame) for _ in range(20))
    assert one.has_unsent
    monkeypatch.setattr("branchline.runtime.channel._MOST_UNSENT_BYTES", 1 << 20)
    assert not one.send(frame)
    assert all_of(other, one) == [frame] * 21
    assert not one.has_unsent


def test_waiting_sends_what_waits(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    frame = bytes(1 << 21)
    one.send(frame)
    assert one.has_unsent

    def answer() -> None:
        frames: list[bytes] = []
        while not frames:
            other.wait()
            frames += other.receive() or []
        other.send(b"had it")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    assert one.wait(60_000)
    assert one.receive() == [b"had it"]
    assert not one.wait(1)
    thread.join(60)


def test_an_end_that_is_gone_is_told_behind_what_it_said(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    one.send(b"the last")
    one.close()
    assert other.wait(60_000)
    assert all_of(other) == [b"the last"]
    assert other.is_closed
    assert other.wait(60_000)
    assert other.receive() is None
    assert other.send(b"to nobody")


def test_what_is_sent_to_nobody_is_lost(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    assert one.send(bytes(1 << 21))
    other.close()
    one.flush()
    assert one.is_closed
    assert not one.has_unsent


def test_a_frame_that_is_too_long_is_refused_before_it_has_come() -> None:
    raw, end = socket.socketpair()
    channel = Channel(end, 100)
    raw.send(b"\x65\0\0\0")
    with pytest.raises(FrameError, match="101 bytes"):
        channel.receive()
