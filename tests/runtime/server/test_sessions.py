"""Sessions: prompts held as tokens, so that calls send only what is new."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
from hypothesis import given, settings
from service_desk import Desk, only_done, only_error

from branchline.runtime.engine_protocol import Failed, StepEvents, Submit
from branchline.runtime.protocol import (
    Generate,
    Part,
    Release,
    SamplingParams,
    Score,
    Scores,
    Text,
    TokenLogprob,
    Tokens,
)
from branchline.runtime.server.flight import Limits
from branchline.runtime.tokenizer import Tokenizer

numbers = itertools.count()


def call(desk: Desk, *new: str, base=None, keep_as=None, says="", client_id=b"c", **fields):
    """Run a call of a session to its end; the tokens that the engine got for it."""
    prompt = [Text(text) for text in new]
    assert (
        desk.ask(
            Generate(f"r{next(numbers)}", prompt, base=base, keep_as=keep_as, **fields), client_id
        )
        == []
    )
    submit = desk.submits()[-1]
    only_done(desk.step(desk.say(submit.sid, says, end_token=True)))
    return submit.input_ids


def test_a_call_goes_on_from_the_tokens_of_the_one_before(desk: Desk) -> None:
    spell = desk.tokenizer.encode_text
    call(desk, "hello ", keep_as=1, says="wor")
    ids = call(desk, "ld", base=1)
    # The generated "wor" stays the tokens it was, whatever "world" alone would be.
    assert ids == spell("hello ") + spell("wor") + spell("ld")
    assert ids != spell("hello world")


def test_text_is_spelled_as_one_though_it_came_in_two_calls(desk: Desk) -> None:
    call(desk, "hello wor", keep_as=1)
    assert call(desk, "ld", base=1) == desk.tokenizer.encode_text("hello world")


def test_an_output_that_is_not_kept_leaves_the_prompt(desk: Desk) -> None:
    spell = desk.tokenizer.encode_text
    call(desk, "hello", keep_as=1, says=" the island", keep_output=False)
    assert call(desk, " world", base=1) == spell("hello world")


def test_a_session_does_not_change_when_calls_go_on_from_it(desk: Desk) -> None:
    spell = desk.tokenizer.encode_text
    call(desk, "hello", keep_as=1, says=" the")
    call(desk, " left", base=1, keep_as=2, says=" good")
    call(desk, " right", base=1, keep_as=3, says=" green")
    start = spell("hello") + spell(" the")
    assert call(desk, base=2) == start + spell(" left") + spell(" good")
    assert call(desk, base=3) == start + spell(" right") + spell(" green")


def test_choices_are_scored_behind_what_a_session_holds(desk: Desk) -> None:
    spell = desk.tokenizer.encode_text
    call(desk, "hello", keep_as=1, says=" the")
    desk.ask(Score("r", [Text(" good")], [" island"], base=1, keep_as=2))
    submit = desk.submits()[-1]
    prompt = spell("hello") + spell(" the") + spell(" good")
    assert submit.input_ids == prompt + spell(" island")
    scored = [TokenLogprob(-1.0, token_id) for token_id in spell(" island")]
    news = desk.say(submit.sid, "", finish="length")
    news = type(news)(sid=news.sid, token_ids=[], finish="length", prompt_logprobs=scored)
    [scores] = desk.step(news)
    assert isinstance(scores, Scores)
    # The choices are not the session's: it goes on with what the client adds.
    assert call(desk, " world", base=2) == spell("hello") + spell(" the") + spell(" good world")


def test_a_session_that_nobody_holds_is_lost(desk: Desk) -> None:
    error = only_error(desk.ask(Generate("r", [], base=7)))
    assert (error.code, error.pointer) == ("session_lost", "/base")
    assert desk.submits() == []


def test_a_released_session_is_gone(desk: Desk) -> None:
    call(desk, "hello", keep_as=1)
    assert desk.ask(Release([1, 99])) == []
    assert only_error(desk.ask(Generate("r", [], base=1))).code == "session_lost"


def test_a_call_that_fails_leaves_no_session(desk: Desk) -> None:
    desk.ask(Generate("r", [Text("hello")], keep_as=1))
    failure = Failed(desk.submits()[-1].sid, "internal", "broken")
    desk.service.on_engine_event(StepEvents(failed=[failure]))
    assert only_error(desk.ask(Generate("r2", [], base=1))).code == "session_lost"


def test_clients_do_not_see_each_others_sessions(desk: Desk) -> None:
    call(desk, "hello", keep_as=1)
    desk.greet(b"d")
    assert only_error(desk.ask(Generate("r", [], base=1), b"d")).code == "session_lost"


def test_sessions_go_with_their_client(desk: Desk) -> None:
    call(desk, "hello", keep_as=1)
    assert desk.service.stats()["front_sessions"] == 1
    desk.service.on_client_gone(b"c")
    assert desk.service.stats()["front_sessions"] == 0
    assert desk.service.stats()["front_session_tokens"] == 0


def test_use_renews_a_lease_and_time_without_use_ends_it(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, limits=Limits(session_ttl_s=60, client_silence_s=1e9))
    desk.greet()
    call(desk, "hello", keep_as=1)
    call(desk, "hello", keep_as=2)
    desk.tick(40)
    call(desk, base=1)
    desk.tick(40)
    call(desk, base=1)
    assert only_error(desk.ask(Generate("r", [], base=2))).code == "session_lost"


def test_the_sessions_not_used_for_longest_make_room(tokenizer: Tokenizer) -> None:
    num_tokens = len(tokenizer.encode_text("hello")) + len(tokenizer.encode_text(" the"))
    desk = Desk(tokenizer, limits=Limits(session_tokens=2 * num_tokens))
    desk.greet()
    call(desk, "hello", keep_as=1, says=" the")
    call(desk, "hello", keep_as=2, says=" the")
    call(desk, base=1)
    call(desk, "hello", keep_as=3, says=" the")
    assert desk.service.stats()["front_session_tokens"] == 2 * num_tokens
    call(desk, base=1)
    call(desk, base=3)
    assert only_error(desk.ask(Generate("r", [], base=2))).code == "session_lost"


pieces = st.text(alphabet="helo wrd the", max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(pieces, st.booleans(), pieces), min_size=1, max_size=6))
def test_a_session_gives_the_engine_what_the_whole_prompt_would(tokenizer, calls) -> None:
    """Each call adds text and gets an output that it keeps or not; the same calls without
    sessions, with everything sent every time, reach the engine with the same tokens."""
    desk = Desk(tokenizer, context=4096)
    desk.greet()
    whole: list[Part] = [Text("the ")]
    base, new = None, whole.copy()
    for number, (text, keeps, says) in enumerate(calls, start=1):
        whole.append(Text(text))
        new.append(Text(text))
        one_token = SamplingParams(max_new_tokens=64)
        desk.ask(
            Generate(f"s{number}", new, one_token, base=base, keep_as=number, keep_output=keeps)
        )
        with_session: Submit = desk.submits()[-1]
        done = only_done(desk.step(desk.say(with_session.sid, says, end_token=True)))
        desk.ask(Generate(f"w{number}", whole, one_token))
        assert desk.submits()[-1].input_ids == with_session.input_ids
        only_done(desk.step(desk.say(desk.submits()[-1].sid, says, end_token=True)))
        base, new = number, []
        if keeps and done.outputs[0].token_ids:
            whole.append(Tokens(done.outputs[0].token_ids))
