"""Pins at the service: the engine is told the tokens, and the client a number."""

from __future__ import annotations

from service_desk import Desk, only_error

from branchline.runtime.engine_protocol import EnginePin, EnginePinned, EngineUnpin
from branchline.runtime.protocol import Pin, Pinned, Text, Tokens, Unpin


def asked(desk: Desk) -> list[EnginePin]:
    return [command for command in desk.commands if isinstance(command, EnginePin)]


def pin(desk: Desk, answer: EnginePinned | None = None, rid: str = "p") -> list[object]:
    desk.ask(Pin(rid, [Text("hello world")], 30.0, "team"))
    for work in desk.offloaded:
        work()
    desk.offloaded.clear()
    number = asked(desk)[-1].seq
    before = len(desk.sent)
    desk.service.on_engine_event(answer or EnginePinned(number, 77, 2))
    return [message for _, message in desk.sent[before:]]


def test_the_engine_is_told_which_tokens_to_pin(desk: Desk) -> None:
    assert pin(desk) == [Pinned("p", 77, 2)]
    [command] = asked(desk)
    assert command.input_ids == desk.tokenizer.encode_text("hello world")
    assert (command.ttl_s, command.namespace) == (30.0, "team")


def test_the_client_hears_when_pins_hold_too_much_already(desk: Desk) -> None:
    desk.ask(Pin("q", [Text("a")], 1.0))
    desk.offloaded.pop()()
    number = asked(desk)[-1].seq
    before = len(desk.sent)
    desk.service.on_engine_event(EnginePinned(number, 0, 0, "too much is pinned"))
    error = only_error([message for _, message in desk.sent[before:]])
    assert (error.code, error.message) == ("overloaded", "too much is pinned")


def test_a_pin_that_is_asked_for_again_is_the_same_pin(desk: Desk) -> None:
    pin(desk)
    assert desk.ask(Pin("p", [Text("hello world")], 30.0, "team")) == [Pinned("p", 77, 2)]
    assert len(asked(desk)) == 1


def test_a_pin_is_ended_by_its_number(desk: Desk) -> None:
    assert desk.ask(Unpin(77)) == []
    assert EngineUnpin(77) in desk.commands


def test_tokens_that_do_not_exist_are_refused(desk: Desk) -> None:
    error = only_error(desk.ask(Pin("p", [Tokens([10**6])], 1.0)))
    assert (error.code, error.pointer) == ("invalid_request", "/prompt/0/ids")
