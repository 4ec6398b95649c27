"""Plans at the service: instances run call after call, and nothing of them is left behind."""

from __future__ import annotations

import pytest
from service_desk import END, Desk, only_error

from branchline.runtime.engine_protocol import Progress
from branchline.runtime.protocol import (
    Cancel,
    Done,
    FrontMessage,
    Plan,
    PlanArgument,
    PlanDone,
    PlanFork,
    PlanGenerate,
    PlanInstance,
    PlanJoin,
    PlanOp,
    PlanPart,
    PlanSelect,
    RunPlan,
    SamplingParams,
    Scores,
    Text,
    TokenLogprob,
)
from branchline.runtime.server.flight import Limits
from branchline.runtime.tokenizer import Tokenizer


def text(value: str) -> PlanPart:
    return PlanPart(Text(value))


def gen(max_new_tokens: int = 8) -> PlanGenerate:
    return PlanGenerate(SamplingParams(max_new_tokens=max_new_tokens))


def run(*branches: list[PlanOp], texts: list[list[str]] | None = None) -> RunPlan:
    instances = [PlanInstance(f"i{n}", given) for n, given in enumerate(texts or [[]])]
    return RunPlan(Plan(list(branches)), instances)


def only_plan(messages: list[FrontMessage]) -> PlanDone:
    [message] = messages
    assert isinstance(message, PlanDone)
    return message


def texts_of(done: PlanDone, branch: int = 0) -> list[str]:
    return [call.reply.outputs[0].text for call in done.branches[branch] if _is_done(call.reply)]


def _is_done(reply: object) -> bool:
    return isinstance(reply, Done)


def prompt(desk: Desk, number: int = -1) -> str:
    return desk.tokenizer.decode(desk.submits()[number].input_ids)


def answer(desk: Desk, said: str, number: int = -1) -> list[FrontMessage]:
    sid = desk.submits()[number].sid
    return desk.step(desk.say(sid, said, end_token=True, cached_tokens=0))


def test_the_second_call_goes_on_with_the_firsts_tokens_without_asking(desk: Desk) -> None:
    assert desk.ask(run([text("hello"), gen(), text(" the"), gen()])) == []
    first = desk.submits()[0].input_ids
    assert answer(desk, " world") == []
    said = desk.tokenizer.encode_text(" world")
    assert desk.submits()[1].input_ids[: len(first) + len(said)] == first + said
    done = only_plan(answer(desk, " end"))
    assert texts_of(done) == [" world", " end"]


def test_each_instance_has_its_own_texts_and_answer(desk: Desk) -> None:
    message = run([text("hello "), PlanArgument(0), gen()], texts=[["one"], ["two"]])
    desk.ask(message)
    assert [prompt(desk, 0), prompt(desk, 1)] == ["hello one", "hello two"]
    assert only_plan(answer(desk, "b", 1)).rid == "i1"
    assert only_plan(answer(desk, "a", 0)).rid == "i0"


def test_branches_start_once_their_shared_prompt_is_computed(desk: Desk) -> None:
    desk.ask(
        run(
            [text("hello"), PlanFork([1, 2]), PlanJoin([1, 2], append=True), gen()],
            [text(" one"), gen()],
            [text(" two"), gen()],
        )
    )
    [trunk] = desk.submits()
    assert trunk.sampling.max_new_tokens == 0
    desk.step(Progress(trunk.sid, [], finish="length", cached_tokens=0))
    assert [prompt(desk, 1), prompt(desk, 2)] == ["hello one", "hello two"]
    answer(desk, " b", 2)
    assert len(desk.submits()) == 3
    answer(desk, " a", 1)
    assert prompt(desk) == "hello one a two b"


def test_a_selection_goes_on_with_the_likeliest_choice(desk: Desk) -> None:
    desk.ask(run([text("hello"), PlanSelect(["one", "two"], "token_length_normalized"), gen()]))
    first, second = desk.submits()

    def scored(sid: int, ids: list[int], logprob: float) -> Progress:
        entries = [TokenLogprob(logprob, token_id) for token_id in ids]
        return Progress(sid, [], finish="length", cached_tokens=0, prompt_logprobs=entries)

    desk.step(scored(first.sid, [5], -3.0), scored(second.sid, [6], -1.0))
    assert prompt(desk) == "hellotwo"
    done = only_plan(answer(desk, "x"))
    assert isinstance(done.branches[0][0].reply, Scores)


def test_cancelling_an_instance_frees_its_sequences_and_no_others(desk: Desk) -> None:
    desk.ask(run([PlanArgument(0), gen()], texts=[["one"], ["two"]]))
    sids = [submit.sid for submit in desk.submits()]
    assert only_error(desk.ask(Cancel("i0"))).code == "cancelled"
    assert desk.dropped() == sids[:1]
    assert only_plan(answer(desk, "b", 1)).rid == "i1"


def test_a_client_that_leaves_frees_all_of_its_instances(desk: Desk) -> None:
    desk.ask(run([PlanArgument(0), gen()], texts=[["one"], ["two"]]))
    desk.service.on_client_gone(b"c")
    assert desk.dropped() == [submit.sid for submit in desk.submits()]
    assert desk.service.num_in_flight == 0


def test_a_call_that_fails_ends_its_branch_and_tells_what_came_before(desk: Desk) -> None:
    desk.ask(run([text("hello"), gen(), text("x" * 400), gen()]))
    done = only_plan(answer(desk, " world"))
    good, bad = done.branches[0]
    assert isinstance(good.reply, Done)
    assert getattr(bad.reply, "code", None) == "context_length"


def test_a_branch_that_fails_a_join_ends_the_instance_and_the_other_branches(desk: Desk) -> None:
    desk.ask(
        run(
            [PlanFork([1, 2]), PlanJoin([1, 2], append=True), gen()],
            [text("one"), gen(), gen()],
            [text("two"), gen(), text("x" * 400), gen()],
        )
    )
    other, _ = desk.submits()
    done = only_plan(answer(desk, " b", 1))
    assert [len(calls) for calls in done.branches] == [0, 0, 2]
    assert desk.dropped() == [other.sid]
    assert desk.service.num_in_flight == 0


def test_a_lost_engine_ends_thousands_of_instances(desk: Desk) -> None:
    desk.ask(run([PlanArgument(0), gen(), gen()], texts=[["one"]] * 2000))
    before = len(desk.sent)
    desk.service.on_engine_lost("it died")
    assert len(desk.sent) - before == 2000
    assert desk.service.num_in_flight == 0


def test_instances_wait_for_room_instead_of_being_refused(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, Limits(max_waiting_sequences=2))
    desk.greet()
    desk.ask(run([PlanArgument(0), gen()], texts=[["one"], ["two"], ["hello"]]))
    assert len(desk.submits()) == 2
    answer(desk, "a", 0)
    assert prompt(desk) == "hello"


@pytest.mark.parametrize(
    "branches",
    [
        [[text("a")], [text("b")]],
        [[PlanFork([1, 1])], [text("b")]],
        [[PlanFork([0])]],
        [[PlanJoin([1])], [text("b")]],
        [[text("a"), PlanGenerate(SamplingParams(), reasoning="nobody's")]],
    ],
    ids=["never started", "started twice", "starts itself", "joined, not started", "thinking"],
)
def test_an_unsound_plan_is_refused_for_every_instance(
    desk: Desk, branches: list[list[PlanOp]]
) -> None:
    answers = desk.ask(run(*branches, texts=[[], []]))
    assert [getattr(message, "code", None) for message in answers] == ["invalid_request"] * 2


def test_an_instance_with_too_few_texts_is_refused_alone(desk: Desk) -> None:
    answers = desk.ask(run([PlanArgument(1), gen()], texts=[["one"], ["one", "two"]]))
    assert only_error(answers).rid == "i0"
    assert len(desk.submits()) == 1


def test_a_drained_runtime_finishes_its_plans(desk: Desk) -> None:
    desk.ask(run([text("hello"), gen(), gen()]))
    desk.service.drain()
    assert answer(desk, " one") == []
    assert texts_of(only_plan(answer(desk, " two"))) == [" one", " two"]


def test_the_end_token_is_not_part_of_the_next_prompt(desk: Desk) -> None:
    desk.ask(run([text("hello"), gen(), text("!"), gen()]))
    answer(desk, " world")
    assert END not in desk.submits()[1].input_ids
