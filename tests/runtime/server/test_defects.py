"""R20, in the front process: whatever fails on the way of a request ends that request alone."""

from __future__ import annotations

import pytest
from service_desk import Desk, generate, only_done

from branchline.runtime.protocol import Error
from branchline.runtime.server.calls import Calls
from branchline.runtime.server.engine_link import EngineLink
from branchline.runtime.server.flights import Flights
from branchline.runtime.server.history import History
from branchline.runtime.server.requests import GenerateRequest
from branchline.runtime.server.waiting import WaitingRoom


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (GenerateRequest, "progress"),
        (GenerateRequest, "doubt"),
        (History, "progressed"),
        (WaitingRoom, "note_finish"),
        (Calls, "_hold"),
        (Flights, "keep"),
        (Flights, "forget"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_defect_in_one_request_ends_that_request_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    desk.ask(generate("a"))
    desk.ask(generate("b"))
    first, second = desk.submits()

    def broken(*args: object) -> None:
        raise ZeroDivisionError("planted")

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, broken)
        *_, last = desk.step(desk.say(first.sid, "x", finish="length"))
    assert isinstance(last, Error)
    assert (last.rid, last.code) == ("a", "internal")
    assert only_done(desk.step(desk.say(second.sid, "x", finish="length"))).rid == "b"


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Calls, "start"),
        (Flights, "check_open"),
        (Flights, "open"),
        (EngineLink, "send"),
        (WaitingRoom, "enter"),
        (History, "submitted"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_defect_in_taking_a_request_in_ends_that_request_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    desk.ask(generate("a"))
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, lambda *args, **options: 1 / 0)
        *_, last = desk.ask(generate("b"))
    assert isinstance(last, Error)
    assert (last.rid, last.code) == ("b", "internal")
    [first] = desk.submits()[:1]
    assert only_done(desk.step(desk.say(first.sid, "x", finish="length"))).rid == "a"
