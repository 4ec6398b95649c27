"""Who may wait for the engine, and who is better told at once."""

from __future__ import annotations

import pytest

from branchline.runtime.errors import RequestError
from branchline.runtime.server.waiting import WaitingRoom


def busy_room(num_waiting: int = 100, gap_s: float = 0.5, num_finishes: int = 200) -> WaitingRoom:
    """A room in which so many wait, of whom one has left every `gap_s`."""
    room = WaitingRoom(1_000)
    room.enter(num_waiting)
    for number in range(num_finishes):
        room.note_finish(number * gap_s)
    return room


def test_whose_turn_comes_after_its_time_is_refused_at_once() -> None:
    room = busy_room()  # 100 sequences of half a second each
    with pytest.raises(RequestError) as caught:
        room.enter(1, within_s=30.0)
    assert caught.value.code == "overloaded"
    assert caught.value.retry_after_s == pytest.approx(20.0, rel=0.01)
    assert room.num_waiting == 100


def test_whose_turn_comes_in_time_is_let_in() -> None:
    room = busy_room()
    room.enter(1, within_s=60.0)
    assert room.num_waiting == 101


def test_nobody_is_refused_by_a_guess() -> None:
    room = busy_room(num_finishes=3)
    room.enter(1, within_s=0.001)
    assert room.num_waiting == 101


def test_pauses_between_clients_do_not_count_as_work() -> None:
    """A server that is asked every ten seconds is not slow."""
    room = WaitingRoom(1_000)
    for number in range(1_000):
        room.enter(1)
        room.leave(1)
        room.note_finish(number * 10.0)
    room.enter(100)
    room.enter(1, within_s=10.0)
    assert room.num_waiting == 101


def test_a_full_room_says_that_it_is_full_whatever_time_there_is() -> None:
    room = busy_room(num_waiting=1_000)
    with pytest.raises(RequestError, match="at most 1000 may"):
        room.enter(1, within_s=0.001)


def test_a_room_without_a_bound_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted."""
    monkeypatch.setattr(WaitingRoom, "refusal", lambda room, num_sequences=1: None)
    with pytest.raises(AssertionError):
        test_a_full_room_says_that_it_is_full_whatever_time_there_is()
