"""Batches that go to the runtime as plans: the same results as interpreted, each body run once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from scripted import Scripted, default_reply
from scripted_plans import WORDS, ScriptedPlans, seen

import branchline as bl
from branchline.lang.chat_template import ChatTemplate
from branchline.lang.choices import ChoicesDecision, ChoicesSamplingMethod
from branchline.lang.errors import InvalidRequest


@pytest.fixture
def planner() -> ScriptedPlans:
    return ScriptedPlans()


def straight(s: bl.ProgramState, word: str) -> None:
    s += bl.system("Be brief.")
    s += bl.user("About " + word)
    s += bl.assistant(bl.gen("a", max_tokens=5) + "-" + bl.gen("b"))
    with s.var_scope("scope"):
        s += bl.user("Choose") + bl.assistant(bl.select("c", choices=["yes", "no"]) + "!")


def forked(s: bl.ProgramState, word: str) -> None:
    s += "Think about " + word
    branches = s.fork(2)
    branches += lambda number: f" {number}:" + bl.gen("thought", max_tokens=4)
    branches.join()
    s += " so " + bl.gen("end")


def appended(s: bl.ProgramState, word: str) -> None:
    s += word
    s += bl.gen("start", max_tokens=2)
    outer = s.fork(2)
    for branch in outer:
        inner = branch.fork(3)
        inner += bl.gen("deep", max_tokens=3)
        inner.join("concate_and_append")
        branch += bl.gen("x", max_tokens=3)
    outer.join()
    s += bl.gen("end")


def copied(s: bl.ProgramState, word: str) -> None:
    s += word
    with s.copy() as other:
        other += bl.gen("aside") + bl.gen("more")
    s += bl.gen("a") + bl.gen("b", n=2)


def counted(s: bl.ProgramState, word: str) -> None:
    s += word
    s += bl.gen("a", return_logprob=True, top_logprobs_num=2, return_text_in_logprobs=True)
    s += bl.gen("next", max_tokens=0, return_logprob=True)
    s += bl.gen("b", stop="x")


def returning(s: bl.ProgramState, word: str) -> str:
    s += word + bl.gen("a") + bl.gen("b")
    text = str(s["a"])
    s += " again " + bl.gen("c")
    return text + str(s["c"])


def chosen(s: bl.ProgramState, word: str) -> None:
    s += word + bl.gen("a")
    if word == "two":
        s += " twice " + bl.gen("b")
    s += bl.gen("end")


PROGRAMS = [straight, forked, appended, copied, counted, returning, chosen]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_compiled_batch_reads_like_an_interpreted_one(
    program: Callable[..., Any], planner: ScriptedPlans, model: Scripted
) -> None:
    function = bl.function(program)
    compiled = function.run_batch(WORDS, backend=planner)
    interpreted = function.run_batch(WORDS, backend=model)
    assert [seen(state) for state in compiled] == [seen(state) for state in interpreted]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_every_program_of_these_tests_goes_as_a_plan(
    program: Callable[..., Any], planner: ScriptedPlans
) -> None:
    bl.function(program).run_batch(WORDS, backend=planner)
    assert sum(len(texts) for _, texts in planner.plans) == len(WORDS)


def test_each_body_runs_once(planner: ScriptedPlans) -> None:
    ran: list[str] = []

    @bl.function
    def program(s: bl.ProgramState, word: str) -> str:
        ran.append(word)
        s += word + bl.gen("a") + bl.gen("b")
        return str(s["b"])

    program.run_batch(WORDS, backend=planner)
    assert sorted(ran) == ["one", "three", "two"]


def test_text_that_all_instances_share_goes_once(planner: ScriptedPlans) -> None:
    bl.function(straight).run_batch(WORDS[:1] * 3, backend=planner)
    assert all(texts == [[]] * len(texts) for _, texts in planner.plans)


def test_a_state_goes_on_after_its_plan(planner: ScriptedPlans) -> None:
    [state] = bl.function(straight).run_batch(WORDS[:1], backend=planner)
    before = state.text()
    state += bl.user("More?")
    state += bl.assistant(bl.gen("more"))
    assert state["more"] == default_reply(planner.calls[-1].text)
    assert planner.calls[-1].text.startswith(before)


def test_a_call_that_fails_fails_its_state_alone(planner: ScriptedPlans) -> None:
    planner.fail = lambda prompt: InvalidRequest("no") if prompt.startswith("two") else None
    states = bl.function(chosen).run_batch(WORDS, backend=planner)
    assert [type(state.error()) for state in states] == [type(None), InvalidRequest, type(None)]
    with pytest.raises(InvalidRequest, match="variable 'a'"):
        states[1]["a"]


def test_what_came_before_a_failed_call_stays_readable(planner: ScriptedPlans) -> None:
    planner.fail = lambda prompt: InvalidRequest("no") if "-" in prompt else None
    [state] = bl.function(straight).run_batch(WORDS[:1], backend=planner)
    assert isinstance(state.error(), InvalidRequest)
    assert len(state["a"]) == 5


def test_a_failed_branch_fails_its_state_at_the_join(planner: ScriptedPlans) -> None:
    planner.fail = lambda prompt: InvalidRequest("no") if prompt.endswith(" 1:") else None
    [state] = bl.function(forked).run_batch(WORDS[:1], backend=planner)
    assert isinstance(state.error(), InvalidRequest)
    with pytest.raises(InvalidRequest):
        state["end"]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_join_in_a_plan_does_not_wait_for_others_to_tell_of_a_branch_that_failed(
    planner: ScriptedPlans, compiled: bool
) -> None:
    planner.fail = lambda prompt: InvalidRequest("no") if prompt.endswith(" 1:") else None
    planner.hold = lambda prompt: prompt.endswith(" 0:")
    program: bl.Function[Any] = bl.function(forked)
    [state] = (program.compile() if compiled else program).run_batch(WORDS[:1], backend=planner)
    assert isinstance(state.error(), InvalidRequest)


def test_a_plan_that_the_backend_refuses_is_interpreted(planner: ScriptedPlans) -> None:
    planner.fail_plans = InvalidRequest("too large")
    states = bl.function(straight).run_batch(WORDS, backend=planner)
    assert [state.error() for state in states] == [None] * 3


def test_a_plan_lost_with_its_runtime_is_replayed_call_by_call(planner: ScriptedPlans) -> None:
    planner.fail_plans = bl.RuntimeUnavailable("it died")
    states = bl.function(straight).run_batch(WORDS, backend=planner)
    assert [state.error() for state in states] == [None] * 3


def test_without_retries_a_lost_plan_fails_its_states(planner: ScriptedPlans) -> None:
    planner.fail_plans = bl.RuntimeUnavailable("it died")
    states = bl.function(straight).run_batch(WORDS, backend=planner, retry=bl.Retry.off())
    assert [type(state.error()) for state in states] == [bl.RuntimeUnavailable] * 3


HALF = "caf\udce9"


@pytest.mark.parametrize(
    "call",
    [
        bl.select("x", ["yes", HALF]),
        bl.gen("x", stop=HALF),
        bl.gen("x", regex=HALF),
        bl.gen("x", json_schema={"enum": [HALF]}),
    ],
)
def test_what_does_not_fit_the_wire_is_interpreted_and_holds_up_no_other(
    planner: ScriptedPlans, model: Scripted, call: Any
) -> None:
    @bl.function
    def program(s: bl.ProgramState, call: Any) -> None:
        s += "A" + bl.gen("a") + call

    calls = [[bl.gen("x")], [call], [bl.gen("x")]]
    states = program.run_batch(calls, backend=planner)
    expected = program.run_batch(calls, backend=model)
    assert [state.text() for state in states] == [state.text() for state in expected]
    assert sum(len(texts) for _, texts in planner.plans) == 2
    compiled = program.bind(call=call).compile().run(backend=planner)
    assert compiled.text() == expected[1].text()


def test_a_template_that_raises_fails_each_instance(planner: ScriptedPlans) -> None:
    class Short(ChatTemplate):
        def get_prefix_and_suffix(self, role: str, messages: Any) -> tuple[str, str]:
            return {"user": ("U", "\n")}[role]

    planner.chat_template = Short("short", None, {"user": ("U", "\n")})
    program = bl.function(straight).bind(word="one")
    states = [*program.run_batch([{}, {}], backend=planner), program.compile().run(backend=planner)]
    for state in states:
        with pytest.raises(bl.GenerationError, match=r"KeyError: .system.+RoleBegin"):
            state.sync()


def test_forks_nested_too_deep_for_a_plan_are_interpreted(planner: ScriptedPlans) -> None:
    @bl.function
    def deep(s: bl.ProgramState, depth: int) -> None:
        s += "A"
        groups = [s.fork(1)]
        for _ in range(depth):
            groups.append(groups[-1][0].fork(1))
        groups[-1] += bl.gen("x") + bl.gen("y")
        for group in reversed(groups):
            group.join()

    program = deep.bind(depth=2 * sys.getrecursionlimit() // 5)
    states = [*program.run_batch([{}, {}], backend=planner), program.compile().run(backend=planner)]
    assert [state.error() for state in states] == [None] * 3
    assert planner.plans == []


def test_an_instance_that_cannot_be_handed_in_fails(
    planner: ScriptedPlans, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("branchline.lang.plan_runner.lower", interrupted)
    with pytest.raises(bl.BatchError, match="KeyboardInterrupt"):
        bl.function(straight).run_batch(WORDS[:1], backend=planner)


class First(ChoicesSamplingMethod):
    """Always the first."""

    def __call__(self, *, choices: Any, **scores: Any) -> ChoicesDecision:
        return ChoicesDecision(choices[0])


def thinking(prompt: str) -> str:
    return "<think>hm " + prompt[-2:] + "</think>" + default_reply(prompt)[:3]


def test_thinking_is_left_out_of_what_a_plan_goes_on_with(
    planner: ScriptedPlans, model: Scripted
) -> None:
    planner.reply = model.reply = thinking

    @bl.function
    def program(s: bl.ProgramState, word: str) -> None:
        s += word + bl.separate_reasoning(bl.gen("a") + " then " + bl.gen("b"), "qwen3")
        branches = s.fork(2)
        branches += bl.separate_reasoning(bl.gen("c"), "qwen3") + "."
        branches.join("concate_and_append")
        s += " so " + s["a"]

    compiled = program.run_batch(WORDS, backend=planner)
    interpreted = program.run_batch(WORDS, backend=model)
    assert [seen(state) for state in compiled] == [seen(state) for state in interpreted]
    assert "hm" not in compiled[0].text()
    assert compiled[0]["a_reasoning_content"] == "hm ne"
    assert len(planner.plans) > 0


def test_an_output_without_its_thinking_can_be_copied_and_the_thinking_is_left_to_the_client(
    planner: ScriptedPlans, model: Scripted
) -> None:
    planner.reply = model.reply = thinking

    @bl.function
    def copies(s: bl.ProgramState, name: str) -> None:
        s += "x" + bl.separate_reasoning(bl.gen("a"), "qwen3") + bl.gen("b")
        s += "; " + s[name] + bl.gen("end")

    for name in ("a", "a_reasoning_content"):
        program = copies.bind(name=name)
        state = program.compile().run(backend=planner)
        assert seen(state) == seen(program.run(backend=model))
    assert len(planner.plans) == 1


def test_a_rule_of_the_users_is_interpreted(planner: ScriptedPlans) -> None:
    @bl.function
    def program(s: bl.ProgramState, word: str) -> None:
        s += word + bl.gen("a") + bl.select("c", choices=["x", "y"], choices_method=First())

    states = program.run_batch(WORDS, backend=planner)
    assert planner.plans == []
    assert [state["c"] for state in states] == ["x"] * 3


def test_a_batch_can_be_asked_not_to_compile(planner: ScriptedPlans) -> None:
    bl.function(straight).run_batch(WORDS, backend=planner, compiled=False)
    assert planner.plans == []


def test_appending_to_a_joined_branch_does_not_change_the_join(
    planner: ScriptedPlans, model: Scripted
) -> None:
    @bl.function
    def program(s: bl.ProgramState, word: str) -> None:
        branches = s.fork(2)
        branches += word + bl.gen("x")
        branches.join("concate_and_append")
        branches += " later"
        s += bl.gen("end")

    [compiled] = program.run_batch(WORDS[:1], backend=planner)
    [interpreted] = program.run_batch(WORDS[:1], backend=model)
    assert compiled.text() == interpreted.text()


def test_cancelling_ends_the_plans_calls(planner: ScriptedPlans) -> None:
    planner.hold = lambda prompt: True
    states = bl.function(chosen).run_batch(
        WORDS[:1], backend=planner, timeout=0.2, generator_style=True
    )
    [state] = list(states)
    assert isinstance(state.error(), bl.TimeoutExceeded)
    assert planner.ended.acquire(timeout=30)
    assert len(planner.cancelled) == 1


def test_a_plan_that_ends_early_names_the_first_call_that_is_missing(
    planner: ScriptedPlans,
) -> None:
    planner.hold = lambda prompt: True
    [state] = bl.function(straight).run_batch(WORDS[:1], backend=planner, timeout=0.2)
    error = state.error()
    assert isinstance(error, bl.TimeoutExceeded)
    first, *_ = state.stream_executor.cells
    assert (error.program, error.variable) == ("straight", first)
    assert error.source is not None
