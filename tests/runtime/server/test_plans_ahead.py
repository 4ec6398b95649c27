"""Plans whose calls the engine goes on with: what it is told ahead, and what comes of it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from service_desk import Desk, generate, only_error

from branchline.runtime.engine_protocol import Progress
from branchline.runtime.protocol import (
    Cancel,
    Done,
    FrontMessage,
    JsonSchema,
    LogprobParams,
    Plan,
    PlanArgument,
    PlanDone,
    PlanFork,
    PlanGenerate,
    PlanInstance,
    PlanJoin,
    PlanNews,
    PlanOp,
    PlanOutput,
    PlanPart,
    PlanSelect,
    RunPlan,
    SamplingParams,
    Text,
)
from branchline.runtime.server.flight import Limits
from branchline.runtime.tokenizer import Tokenizer


def text(value: str) -> PlanPart:
    return PlanPart(Text(value))


def gen(max_new_tokens: int = 8, **sampling: object) -> PlanGenerate:
    return PlanGenerate(SamplingParams(max_new_tokens=max_new_tokens, **sampling))


def run(*branches: list[PlanOp], texts: list[str] | None = None) -> RunPlan:
    return RunPlan(Plan(list(branches)), [PlanInstance("i", texts or [])])


def said(desk: Desk, words: str, *, goes_on: bool, number: int = -1) -> Progress:
    """The engine's news that the last submitted sequence has said something and ended."""
    news = desk.say(desk.submits()[number].sid, words, end_token=True, cached_tokens=0)
    return replace(news, goes_on=goes_on)


def words_ahead(desk: Desk) -> list[str]:
    """What stands before each call that the last submitted one is followed by."""
    return [desk.tokenizer.decode(call.input_ids) for call in desk.submits()[-1].then]


def outputs(messages: list[FrontMessage]) -> list[str]:
    [done] = messages
    assert isinstance(done, PlanDone)
    replies = [call.reply for call in done.branches[0]]
    return [reply.outputs[0].text for reply in replies if isinstance(reply, Done)]


def test_calls_with_text_between_them_are_told_ahead(desk: Desk) -> None:
    desk.ask(
        run(
            [text("hello"), gen(), text(" the"), PlanArgument(0), gen(5), text("."), gen()],
            texts=[" island"],
        )
    )
    assert words_ahead(desk) == [" the island", "."]
    assert [call.sampling.max_new_tokens for call in desk.submits()[-1].then] == [5, 8]


@pytest.mark.parametrize(
    "op",
    [
        PlanOutput(0, 0),
        PlanSelect(["one", "two"], "token_length_normalized"),
        PlanFork([1]),
        PlanPart(Text("x" * 9_000)),
        PlanGenerate(SamplingParams(n=2)),
        PlanGenerate(SamplingParams(token_healing=True)),
        PlanGenerate(SamplingParams(), logprobs=LogprobParams(prompt_start=0)),
        PlanGenerate(SamplingParams(), JsonSchema("{}", on_unsupported="validate")),
    ],
    ids=["text to come", "select", "fork", "long", "several", "healing", "prompt", "judged"],
)
def test_nothing_is_told_ahead_of_what_needs_something_else_first(desk: Desk, op: PlanOp) -> None:
    others = [[gen()]] if isinstance(op, PlanFork) else []
    desk.ask(run([text("hello"), gen(), text("a"), gen(), text("b"), op, gen()], *others))
    assert words_ahead(desk) == ["a"]


@pytest.mark.parametrize(
    "op",
    [
        PlanGenerate(SamplingParams(), keep=False),
        PlanGenerate(SamplingParams(), JsonSchema("{}", on_unsupported="validate")),
        PlanGenerate(SamplingParams(n=2)),
        PlanGenerate(SamplingParams(), reasoning="qwen3"),
    ],
    ids=["thrown away", "judged", "several", "thinking"],
)
def test_nothing_is_told_ahead_where_the_output_is_not_what_is_generated(
    desk: Desk, op: PlanGenerate
) -> None:
    desk.ask(run([text("hello"), op, text("a"), gen()]))
    assert words_ahead(desk) == []


def test_news_of_several_calls_may_come_together(desk: Desk) -> None:
    desk.ask(run([text("hello"), gen(), text("a"), gen()]))
    messages = desk.step(said(desk, " world", goes_on=True), said(desk, " the", goes_on=False))
    assert outputs(messages) == [" world", " the"]


def test_an_earlier_output_is_told_ahead_once_it_is_known(desk: Desk) -> None:
    desk.ask(
        run([text("hello"), gen(), text("a"), PlanOutput(0, 0), gen(), PlanOutput(0, 0), gen()])
    )
    desk.step(said(desk, " world", goes_on=False))
    assert words_ahead(desk) == [" world"]


def test_what_branches_share_is_computed_behind_the_last_call(desk: Desk) -> None:
    desk.ask(
        run(
            [text("hello"), gen(), text(" the"), PlanFork([1, 2]), PlanJoin([1, 2])],
            [text(" one"), gen()],
            [text(" two"), gen()],
        )
    )
    assert words_ahead(desk) == [" the"]
    sid = desk.submits()[0].sid
    desk.step(said(desk, " world", goes_on=True))
    assert len(desk.submits()) == 1
    desk.step(Progress(sid, [], finish="length", cached_tokens=0))
    assert [desk.tokenizer.decode(submit.input_ids) for submit in desk.submits()[1:]] == [
        "hello world the one",
        "hello world the two",
    ]


def test_a_call_that_the_engine_goes_on_with_is_not_submitted(desk: Desk) -> None:
    desk.ask(run([text("hello"), gen(), text(" the"), gen()]))
    assert desk.step(said(desk, " world", goes_on=True)) == []
    assert len(desk.submits()) == 1
    assert outputs(desk.step(said(desk, " end", goes_on=False))) == [" world", " end"]
    assert desk.dropped() == []


def test_the_engine_goes_on_with_the_prompt_that_would_have_been_submitted(desk: Desk) -> None:
    desk.ask(run([text("hello"), gen(), text(" the island"), gen()]))
    first = desk.submits()[0]
    desk.step(said(desk, " world", goes_on=False))
    gone_on = [*first.input_ids, *desk.tokenizer.encode_text(" world"), *first.then[0].input_ids]
    assert desk.submits()[1].input_ids == gone_on


def test_calls_that_the_engine_did_not_go_on_with_are_told_ahead_again(desk: Desk) -> None:
    desk.ask(run([text("hello"), gen(), text("a"), gen(), text("b"), gen()]))
    desk.step(said(desk, " world", goes_on=False))
    assert words_ahead(desk) == ["b"]


def test_a_call_in_the_middle_is_told_with_its_own_prompt(desk: Desk) -> None:
    desk.ask(run([text("hello"), gen(), text(" the"), gen()]))
    desk.step(said(desk, " world", goes_on=True))
    [done] = desk.step(said(desk, " end", goes_on=False))
    assert isinstance(done, PlanDone)
    second = done.branches[0][1].reply
    assert isinstance(second, Done)
    assert second.usage.prompt_tokens == len(desk.tokenizer.encode_text("hello")) + len(
        desk.tokenizer.encode_text(" world")
    ) + len(desk.tokenizer.encode_text(" the"))


def test_cancelling_an_instance_drops_the_sequence_that_has_gone_on(desk: Desk) -> None:
    desk.ask(run([text("hello"), gen(), text(" the"), gen()]))
    desk.step(said(desk, " world", goes_on=True))
    assert only_error(desk.ask(Cancel("i"))).code == "cancelled"
    assert desk.dropped() == [desk.submits()[0].sid]


def test_a_cancelled_sequence_that_went_on_meanwhile_is_not_listened_to(desk: Desk) -> None:
    desk.ask(run([text("hello"), gen(), text(" the"), gen()]))
    desk.ask(Cancel("i"))
    assert desk.step(said(desk, " world", goes_on=True)) == []
    assert desk.dropped() == [desk.submits()[0].sid]
    assert desk.service.num_in_flight == 0


@pytest.mark.parametrize("seconds", [5.0, 12.0])
def test_each_call_that_is_gone_on_with_has_a_time_of_its_own(desk: Desk, seconds: float) -> None:
    sampling = SamplingParams(max_new_tokens=8)
    first, second = (PlanGenerate(sampling, timeout_s=limit_s) for limit_s in (6.0, 10.0))
    desk.ask(run([text("hello"), first, text(" the"), second]))
    desk.tick(4.0)
    desk.step(said(desk, " world", goes_on=True))
    over = desk.tick(seconds)
    if seconds < 10.0:
        assert outputs(desk.step(said(desk, " end", goes_on=False))) == [" world", " end"]
    else:
        [done] = over
        assert isinstance(done, PlanDone)
        assert only_error([done.branches[0][-1].reply]).code == "timeout"
        assert desk.dropped() == [desk.submits()[0].sid]


def test_a_sequence_that_went_on_with_a_call_that_is_refused_is_dropped(desk: Desk) -> None:
    long = SamplingParams(max_new_tokens=100, min_new_tokens=100)
    desk.ask(run([text("hello"), gen(), text(" the"), PlanGenerate(long)]))
    [done] = desk.step(said(desk, " world", goes_on=True))
    assert isinstance(done, PlanDone)
    assert getattr(done.branches[0][1].reply, "code", None) == "context_length"
    assert desk.dropped() == [desk.submits()[0].sid]


def test_a_call_that_is_gone_on_with_has_its_own_time(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, Limits(client_silence_s=1e9))
    desk.greet()
    desk.ask(run([text("hello"), gen(), text(" the"), PlanGenerate(SamplingParams(), timeout_s=5)]))
    desk.tick(100.0)
    desk.step(said(desk, " world", goes_on=True))
    [done] = desk.tick(6.0)
    assert isinstance(done, PlanDone)
    assert getattr(done.branches[0][1].reply, "code", None) == "timeout"
    assert desk.dropped() == [desk.submits()[0].sid]


def test_a_full_waiting_room_does_not_stop_what_runs(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, Limits(max_waiting_sequences=1))
    desk.greet()
    desk.ask(run([text("hello"), gen(), text(" the"), gen()]))
    desk.step(Progress(desk.submits()[0].sid, [5], cached_tokens=0))
    desk.ask(replace(run([text("one"), gen()]), instances=[PlanInstance("other")]))
    desk.step(said(desk, " world", goes_on=True, number=0))
    assert outputs(desk.step(said(desk, " end", goes_on=False, number=0)))[1:] == [" end"]


def test_calls_that_another_branch_or_a_clock_waits_for_are_told_of_sooner(desk: Desk) -> None:
    hurried = PlanGenerate(SamplingParams(), timeout_s=5.0)
    trunk = [PlanFork([1, 2]), PlanJoin([1, 2], append=False)]
    writer: list[PlanOp] = [text("a"), gen(), text("b"), gen(), text("c"), hurried, gen()]
    desk.ask(run(trunk, writer, [text("z"), PlanOutput(1, 1), gen()]))
    [first] = desk.submits()
    assert [first.private, *(call.private for call in first.then)] == [True, False, False, True]


def test_a_call_by_itself_is_told_of_soon(desk: Desk) -> None:
    desk.ask(generate("r", "hello"))
    assert not desk.submits()[-1].private


@pytest.mark.parametrize(
    "ops",
    [
        [PlanArgument(0), gen(3), text(" the"), gen(3), text("."), gen(2)],
        [text("hello"), gen(3), PlanArgument(0), gen(3), text(" the"), gen(3), text("."), gen(2)],
        [PlanArgument(0), gen(3), text(" the"), PlanOutput(0, 0), gen(3), text("."), gen(2)],
    ],
    ids=["at the beginning", "in between", "an output"],
)
def test_an_instance_is_told_ahead_of_what_it_is_alone(desk: Desk, ops: list[PlanOp]) -> None:
    """What was found out for one instance of a plan is not taken for another where it differs."""
    for number, word in enumerate(["hello", " island", "hello", " world"]):
        alone = Desk(desk.tokenizer)
        alone.greet()
        beside: list[list[str]] = []
        for place in desk, alone:
            place.ask(RunPlan(Plan([ops]), [PlanInstance(f"i{number}", [word])]))
            for _ in range(sum(isinstance(op, PlanGenerate) for op in ops)):
                beside.append(words_ahead(place))
                place.step(said(place, word, goes_on=False))
        half = len(beside) // 2
        assert beside[:half] == beside[half:]
        assert any(beside)


@pytest.fixture
def wide_desk(tokenizer: Tokenizer) -> Desk:
    """One with room for programs of many calls."""
    desk = Desk(tokenizer, context=512)
    desk.greet()
    return desk


def told_calls(messages: list[FrontMessage]) -> list[tuple[str, int]]:
    """What kind of news came, and of how many calls of the first branch."""
    return [
        (type(message).__name__, len(calls))
        for message in messages
        if isinstance(message, PlanNews | PlanDone)
        for calls in [message.calls if isinstance(message, PlanNews) else message.branches[0]]
    ]


def many(num_calls: int) -> list[PlanOp]:
    return [op for _ in range(num_calls) for op in (text("hello"), gen(2))]


def test_who_waits_for_a_program_hears_of_its_calls_while_the_last_one_runs(
    wide_desk: Desk,
) -> None:
    desk, asked = wide_desk, run(many(9))
    desk.ask(asked)
    heard: list[list[tuple[str, int]]] = []
    for number in range(9):
        # The engine goes on by itself with all but one of them.
        messages = desk.step(said(desk, " world", goes_on=number not in (3, 8)))
        heard.append(told_calls(messages))
    assert heard == [*[[]] * 7, [("PlanNews", 8)], [("PlanDone", 1)]]
    # One that asks again hears all at once.
    whole = desk.ask(asked)
    assert told_calls(whole) == [("PlanDone", 9)]
    assert outputs(whole) == [" world"] * 9


@pytest.mark.parametrize(
    "asked",
    [
        run(many(7)),
        RunPlan(Plan([many(9)]), [PlanInstance("i"), PlanInstance("j")]),
        run([*many(8), PlanFork([1]), PlanJoin([1])], many(1)),
    ],
    ids=["few calls", "a batch", "branches"],
)
def test_others_hear_of_their_calls_at_the_end(wide_desk: Desk, asked: RunPlan) -> None:
    desk = wide_desk
    desk.ask(asked)
    messages: list[FrontMessage] = []
    while submits := desk.submits():
        desk.commands.clear()
        for submit in submits:
            messages += desk.step(desk.say(submit.sid, " world", end_token=True, cached_tokens=0))
    assert {type(message) for message in messages} == {PlanDone}
