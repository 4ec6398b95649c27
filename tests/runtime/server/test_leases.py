"""Whose tokens the engine is asked to keep: those of sessions and plans, as long as they last."""

from __future__ import annotations

from service_desk import Desk

from branchline.runtime.engine_protocol import EngineRelease, Failed, Progress, StepEvents
from branchline.runtime.protocol import (
    CacheMiss,
    Cancel,
    Done,
    Generate,
    Plan,
    PlanFork,
    PlanGenerate,
    PlanInstance,
    PlanJoin,
    PlanPart,
    Release,
    RunPlan,
    SamplingParams,
    Text,
)


def released(desk: Desk) -> list[int]:
    return [
        session
        for command in desk.commands
        if isinstance(command, EngineRelease)
        for session in command.sessions
    ]


def call(desk: Desk, rid: str, **fields: object) -> int:
    """Run a call to its end; the engine's session that it belonged to."""
    desk.ask(Generate(rid, [Text("hello")], **fields))
    submit = desk.submits()[-1]
    desk.step(desk.say(submit.sid, " world", end_token=True))
    return submit.session


def test_a_call_that_nobody_goes_on_from_belongs_to_no_session(desk: Desk) -> None:
    assert call(desk, "a") == 0


def test_what_a_state_holds_is_kept_until_the_state_lets_it_go(desk: Desk) -> None:
    first = call(desk, "a", keep_as=1)
    second = call(desk, "b", base=1, keep_as=2)
    assert 0 != first != second != 0
    assert released(desk) == []
    desk.ask(Release([1]))
    assert released(desk) == [first]
    desk.ask(Release([2]))
    assert released(desk) == [first, second]


def test_of_several_outputs_the_first_is_kept(desk: Desk) -> None:
    desk.ask(Generate("a", [Text("hi")], SamplingParams(n=3), keep_as=1))
    assert [bool(submit.session) for submit in desk.submits()] == [True, False, False]


def test_leases_end_with_their_client(desk: Desk) -> None:
    kept = call(desk, "a", keep_as=1)
    desk.ask(Generate("b", [Text("still running")], keep_as=2))
    desk.service.on_client_gone(b"c")
    assert set(released(desk)) == {kept, desk.submits()[-1].session}


def test_leases_end_when_the_session_was_not_used_for_long(desk: Desk) -> None:
    kept = call(desk, "a", keep_as=1)
    for _ in range(100):  # the client is there, and does nothing
        desk.tick(7.0)
        call(desk, "ping")
    assert released(desk) == [kept]


def test_a_call_that_fails_or_is_cancelled_keeps_nothing(desk: Desk) -> None:
    desk.ask(Generate("a", [Text("x")], keep_as=1))
    failing = desk.submits()[-1]
    desk.service.on_engine_event(StepEvents(failed=[Failed(failing.sid, "internal", "broken")]))
    desk.ask(Generate("b", [Text("x")], keep_as=1))
    cancelled = desk.submits()[-1]
    desk.ask(Cancel("b"))
    assert released(desk) == [failing.session, cancelled.session]


def test_each_branch_of_a_plan_is_kept_until_the_plan_ends(desk: Desk) -> None:
    ask = PlanGenerate(SamplingParams(max_new_tokens=8))
    branches = [
        [PlanPart(Text("hello")), ask, PlanFork([1, 2]), PlanJoin([1, 2]), ask],
        [PlanPart(Text(" left")), ask, ask],
        [PlanPart(Text(" right")), ask],
    ]
    desk.ask(RunPlan(Plan(branches), [PlanInstance("p")]))
    answered: set[int] = set()
    leases: list[int] = []
    while len(answered) < len(desk.submits()):
        assert released(desk) == []
        submit = next(each for each in desk.submits() if each.sid not in answered)
        answered.add(submit.sid)
        leases.append(submit.session)
        if submit.sampling.max_new_tokens:
            desk.step(desk.say(submit.sid, " so", end_token=True))
        else:
            desk.step(Progress(submit.sid, [], finish="length"))
    assert len(set(leases)) == 3
    assert 0 not in leases
    assert sorted(released(desk)) == sorted(set(leases))


def test_calls_that_go_on_from_each_other_are_one_program(desk: Desk) -> None:
    call(desk, "alone")
    call(desk, "a", keep_as=1)
    call(desk, "b", base=1, keep_as=2)
    call(desk, "fork", base=1, keep_as=3)
    call(desk, "last", base=2)
    call(desk, "other", keep_as=4)
    alone, first, *others, other = [submit.program for submit in desk.submits()]
    assert alone == 0
    assert others == [first] * 3
    assert other not in (0, first)


def test_the_calls_of_a_plan_are_one_program_and_say_what_may_follow(desk: Desk) -> None:
    ask = PlanGenerate(SamplingParams(max_new_tokens=8))
    branches = [
        [PlanPart(Text("hello")), ask, PlanFork([1, 2]), PlanJoin([1, 2]), ask],
        [PlanPart(Text(" left")), ask, ask],
        [PlanPart(Text(" right")), ask],
    ]
    desk.ask(RunPlan(Plan(branches), [PlanInstance("p")]))
    told: list[int | None] = []
    for submit in (desk.submits()[number] for number in range(5)):
        told.append(submit.tokens_after)
        desk.step(desk.say(submit.sid, " so", end_token=True))
    assert told == [32, 16, 16, 8, 0]
    assert len({submit.program for submit in desk.submits()} - {0}) == 1


def test_an_answer_says_why_its_prompt_was_not_cached(desk: Desk) -> None:
    desk.ask(Generate("a", [Text("hello good island")]))
    submit = desk.submits()[-1]
    miss = CacheMiss(1, submit.input_ids[1], "evicted", 2.5, [7])
    said = desk.say(submit.sid, " world", end_token=True, cached_tokens=1)
    [done] = desk.step(
        Progress(said.sid, said.token_ids, None, "stop", cached_tokens=1, cache_miss=miss)
    )
    assert isinstance(done, Done)
    told = done.usage.cache_miss
    assert told is not None
    assert (told.position, told.reason, told.evicted_ago_s) == (1, "evicted", 2.5)
    assert told.text == desk.tokenizer.decode([submit.input_ids[1]])
