"""Calls that come before the call that they go on from has ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from service_desk import Desk, only_done, only_error

from branchline.runtime.engine_protocol import EngineRelease, Failed, Follow, Progress, StepEvents
from branchline.runtime.protocol import (
    Cancel,
    Done,
    Generate,
    JsonSchema,
    LogprobParams,
    Release,
    SamplingParams,
    Score,
    Text,
    Tokens,
)
from branchline.runtime.server.flight import Limits
from branchline.runtime.tokenizer import Tokenizer


def call(rid: str, text: str, **fields: object) -> Generate:
    return Generate(rid, [Text(text)], **{"sampling": SamplingParams(), **fields})


def said(desk: Desk, words: str, *, goes_on: bool = False) -> Progress:
    """The engine's news that the last submitted sequence has said something and ended."""
    news = desk.say(desk.submits()[-1].sid, words, end_token=True, cached_tokens=0)
    return replace(news, goes_on=goes_on)


def follows(desk: Desk) -> Iterator[tuple[int, str]]:
    """What the engine was told to go on with: of which sequence, behind which text."""
    for command in desk.commands:
        if isinstance(command, Follow):
            for one in command.calls:
                yield command.sid, desk.tokenizer.decode(one.input_ids)


def test_a_call_waits_for_the_one_that_it_goes_on_from(desk: Desk) -> None:
    desk.ask(call("a", "hello", keep_as=1))
    assert desk.ask(call("b", " the island", base=1)) == []
    assert len(desk.submits()) == 1
    only_done(desk.step(said(desk, " world")))
    spell = desk.tokenizer.encode_text
    [_, second] = desk.submits()
    assert second.input_ids == spell("hello") + spell(" world") + spell(" the island")


def test_the_engine_is_told_of_it_while_the_first_one_runs(desk: Desk) -> None:
    desk.ask(call("a", "hello", keep_as=1))
    desk.ask(call("b", " the", base=1, keep_as=2))
    desk.ask(call("c", " island", base=2))
    sid = desk.submits()[0].sid
    assert list(follows(desk)) == [(sid, " the"), (sid, " island")]


def test_what_a_client_says_at_once_the_engine_is_told_at_once(desk: Desk) -> None:
    calls = [call("a", "hello", keep_as=1)]
    calls += [call(f"b{n}", " the", base=n, keep_as=n + 1) for n in range(1, 4)]
    desk.service.on_messages(b"c", calls)
    assert len(desk.submits()) == 1
    [told] = [command for command in desk.commands if isinstance(command, Follow)]
    assert (told.sid, len(told.calls)) == (desk.submits()[0].sid, 3)


def test_who_cannot_be_told_of_is_submitted_when_its_turn_comes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no")

    desk.ask(call("a", "hello", keep_as=1))
    monkeypatch.setattr("branchline.runtime.server.following.next_call", broken)
    desk.ask(call("b", " the", base=1))
    assert list(follows(desk)) == []
    only_done(desk.step(said(desk, " world")))
    assert len(desk.submits()) == 2


def test_what_the_engine_went_on_with_is_not_submitted_again(desk: Desk) -> None:
    desk.ask(call("a", "hello", keep_as=1))
    desk.ask(call("b", " the", base=1, keep_as=2))
    first = only_done(desk.step(said(desk, " world", goes_on=True)))
    second = only_done(desk.step(said(desk, " island")))
    assert [(done.rid, done.outputs[0].text) for done in (first, second)] == [
        ("a", " world"),
        ("b", " island"),
    ]
    assert len(desk.submits()) == 1
    assert second.usage.prompt_tokens == 3


def test_news_of_both_may_come_together(desk: Desk) -> None:
    desk.ask(call("a", "hello", keep_as=1))
    desk.ask(call("b", " the", base=1))
    messages = desk.step(said(desk, " world", goes_on=True), said(desk, " island"))
    assert [message.outputs[0].text for message in messages] == [" world", " island"]


def test_what_it_did_not_go_on_with_is_told_again(desk: Desk) -> None:
    desk.ask(call("a", "hello", keep_as=1))
    desk.ask(call("b", " the", base=1, keep_as=2))
    desk.ask(call("c", " island", base=2))
    desk.step(said(desk, " world"))
    [_, second] = desk.submits()
    assert [desk.tokenizer.decode(then.input_ids) for then in second.then] == [" island"]


def test_one_that_comes_while_the_prompt_is_tokenized_goes_along(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, context=40_000)
    desk.greet()
    desk.ask(call("a", "hello" * 8_000, keep_as=1))
    desk.ask(call("b", " the", base=1))
    for work in desk.offloaded:
        work()
    [first] = desk.submits()
    assert [desk.tokenizer.decode(then.input_ids) for then in first.then] == [" the"]


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": True},
        {"namespace": "other"},
        {"sampling": SamplingParams(n=2)},
        {"sampling": SamplingParams(token_healing=True)},
        {"logprobs": LogprobParams(prompt_start=0)},
        {"constraint": JsonSchema("{}", on_unsupported="validate")},
    ],
    ids=["streamed", "elsewhere", "several", "healed", "prompt", "judged"],
)
def test_the_engine_is_told_of_plain_calls_only(desk: Desk, fields: dict[str, object]) -> None:
    desk.ask(call("a", "hello", keep_as=1))
    desk.ask(call("b", " the", base=1, **fields))
    assert list(follows(desk)) == []
    desk.step(said(desk, " world"))
    assert len(desk.submits()) > 1


def test_scores_wait_as_well(desk: Desk) -> None:
    desk.ask(call("a", "hello", keep_as=1))
    desk.ask(Score("b", [Text(" the")], ["one", "two"], base=1))
    desk.step(said(desk, " world"))
    assert len(desk.submits()) == 3


def test_of_two_that_go_on_from_one_both_are_made(desk: Desk) -> None:
    desk.ask(call("a", "hello", keep_as=1))
    desk.ask(call("b", " the", base=1))
    desk.ask(call("c", " island", base=1))
    desk.step(said(desk, " world", goes_on=True))
    assert len(desk.submits()) == 2
    only_done(desk.step(said(desk, "!")))


def test_calls_behind_one_that_fails_are_told_so(desk: Desk) -> None:
    desk.ask(call("a", "hello", keep_as=1))
    desk.ask(call("b", " the", base=1, keep_as=2))
    desk.ask(call("c", " island", base=2))
    failed = Failed(desk.submits()[0].sid, "internal", "broken")
    desk.sent.clear()
    desk.service.on_engine_event(StepEvents(failed=[failed]))
    codes = {message.rid: message.code for _, message in desk.sent}
    assert codes == {"a": "internal", "b": "session_lost", "c": "session_lost"}
    assert desk.service.num_in_flight == 0


def test_one_that_does_not_fit_behind_the_first_is_refused_in_its_turn(desk: Desk) -> None:
    desk.ask(call("a", "hello", keep_as=1))
    desk.ask(Generate("b", [Tokens([5] * 63)], base=1, keep_as=2))
    desk.ask(call("c", " island", base=2))
    _, *refused = desk.step(said(desk, " world"))
    assert {message.rid: message.code for message in refused} == {
        "b": "context_length",
        "c": "session_lost",
    }
    assert desk.service.num_in_flight == 0


def test_one_that_finds_no_room_in_its_turn_is_told_so(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, Limits(max_waiting_sequences=2))
    desk.greet()
    desk.ask(call("a", "hello", keep_as=1))
    news = desk.say(desk.submits()[-1].sid, " wor", cached_tokens=0)
    desk.step(news)
    desk.ask(call("b", " the", base=1))
    last = desk.say(desk.submits()[-1].sid, "ld", end_token=True)
    for rid in ("x", "y"):
        desk.ask(call(rid, "other"))
    _, refused = desk.step(last)
    assert refused.code == "overloaded"
    assert desk.service.num_in_flight == 2


def test_a_waiting_call_is_cancelled_with_those_behind_it(desk: Desk) -> None:
    desk.ask(call("a", "hello", keep_as=1))
    desk.ask(call("b", " the", base=1, keep_as=2))
    desk.ask(call("c", " island", base=2))
    codes = {message.rid: message.code for message in desk.ask(Cancel("b"))}
    assert codes == {"b": "cancelled", "c": "session_lost"}
    only_done(desk.step(said(desk, " world")))
    assert len(desk.submits()) == 1


def test_thousands_in_a_row_are_given_up_together(desk: Desk) -> None:
    desk.ask(call("0", "hello", keep_as=1))
    for number in range(1, 2_000):
        desk.ask(call(f"{number}", " the", base=number, keep_as=number + 1))
    assert len(desk.ask(Cancel("0"))) == 2_000
    assert desk.service.num_in_flight == 0


def test_a_cancelled_call_that_the_engine_went_on_with_is_dropped(desk: Desk) -> None:
    desk.ask(call("a", "hello", keep_as=1))
    desk.ask(call("b", " the", base=1))
    desk.ask(Cancel("b"))
    only_done(desk.step(said(desk, " world", goes_on=True)))
    assert desk.dropped() == [desk.submits()[0].sid]


def test_a_client_that_leaves_leaves_nothing(desk: Desk) -> None:
    desk.ask(call("a", "hello", keep_as=1))
    desk.ask(call("b", " the", base=1, keep_as=2))
    desk.service.on_client_gone(b"c")
    assert desk.service.num_in_flight == 0
    assert desk.dropped() == [desk.submits()[0].sid]


def test_the_time_of_a_call_runs_from_its_turn_on(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, Limits(request_timeout_s=5.0))
    desk.greet()
    desk.ask(call("a", "hello", keep_as=1))
    desk.ask(call("b", " the", base=1))
    desk.tick(4.0)
    only_done(desk.step(said(desk, " world", goes_on=True)))
    assert desk.tick(4.0) == []
    assert only_error(desk.tick(2.0)).code == "timeout"


def test_no_more_wait_than_may(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, Limits(max_waiting_sequences=1))
    desk.greet()
    desk.ask(call("a", "hello", keep_as=1))
    desk.ask(call("b", " the", base=1, keep_as=2))
    assert only_error(desk.ask(call("c", " island", base=2))).code == "session_lost"


def test_a_session_and_one_that_went_on_from_it_end_together_in_the_engine(desk: Desk) -> None:
    desk.ask(call("a", "hello", keep_as=1))
    desk.ask(call("b", " the", base=1, keep_as=2))
    desk.step(said(desk, " world", goes_on=True))
    desk.step(said(desk, " island"))
    desk.ask(Release([1]))
    assert not any(isinstance(command, EngineRelease) for command in desk.commands)
    desk.ask(Release([2]))
    assert EngineRelease([desk.submits()[0].session]) in desk.commands


def test_a_call_sent_again_while_it_waits_is_made_once(desk: Desk) -> None:
    desk.ask(call("a", "hello", keep_as=1))
    for _ in range(2):
        assert desk.ask(call("b", " the", base=1)) == []
    [done] = desk.step(said(desk, " world"))
    assert isinstance(done, Done)
    assert len(desk.submits()) == 2
