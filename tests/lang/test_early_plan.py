"""Plans that leave before their state is there: sent as soon as they can be foreseen, taken over
only where the state asks for the very same, and given up otherwise."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from scripted import Scripted
from scripted_plans import ScriptedPlans, seen
from test_plan_news import Telling

import branchline as bl
from branchline.lang.compiled import CompiledProgram
from branchline.lang.held import HeldExecutor


@bl.function
def chatting(s: bl.ProgramState, topic: str, ending: str = "?") -> None:
    s += bl.system("Be brief.") + bl.user("What of " + topic)
    with s.assistant():
        s += bl.gen("a", max_tokens=3) + " and " + bl.gen("b", max_tokens=3)
    s += ending + topic + bl.gen("c", max_tokens=2)


def foreseen(backend: ScriptedPlans) -> CompiledProgram:
    """A program that has run twice: its plan is known, and that it recurs."""
    compiled = chatting.compile()
    for topic in ("ships", "trees"):
        compiled.run(topic, backend=backend).sync()
    backend.plans.clear()
    return compiled


@pytest.fixture
def plans_when_built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many plans had been sent when each state was built."""
    counted: list[int] = []
    made = HeldExecutor.__init__

    def noting(self: HeldExecutor, backend: Any, *args: Any, **kwargs: Any) -> None:
        counted.append(len(backend.plans))
        made(self, backend, *args, **kwargs)

    monkeypatch.setattr(HeldExecutor, "__init__", noting)
    return counted


def test_a_plan_that_can_be_foreseen_leaves_before_its_state_is_built(
    plans_when_built: list[int],
) -> None:
    backend = ScriptedPlans()
    compiled = foreseen(backend)
    state = compiled.run("clouds", backend=backend)
    assert seen(state) == seen(chatting.run("clouds", backend=Scripted()))
    assert plans_when_built == [0, 1, 1]
    assert len(backend.plans) == 1


def test_an_event_loop_is_not_held_up_for_a_plan_to_leave(plans_when_built: list[int]) -> None:
    backend = ScriptedPlans()
    compiled = foreseen(backend)
    state = asyncio.run(compiled.arun("clouds", backend=backend))
    assert seen(state) == seen(chatting.run("clouds", backend=Scripted()))
    assert plans_when_built == [0, 1, 0]


@pytest.mark.parametrize("num_kept", range(4))
def test_what_is_told_before_the_end_comes_to_the_state(num_kept: int) -> None:
    backend = Telling(num_kept=num_kept)
    compiled = foreseen(backend)
    for arguments in (("clouds",), ("birds", "!"), ("stones",)):
        state = compiled.run(*arguments, backend=backend)
        assert seen(state) == seen(chatting.run(*arguments, backend=Scripted()))
    assert len(backend.plans) == 3


@pytest.mark.parametrize("argument", ["", bl.gen("topic", max_tokens=2), bl.user_begin()])
def test_an_argument_that_changes_the_plan_is_not_foreseen(argument: Any) -> None:
    backend = ScriptedPlans()
    compiled = foreseen(backend)

    def outcome(program: Any, backend: Any) -> Any:
        state = program.run(argument, backend=backend)
        return state.error().__class__, state.text() if state.error() is None else None

    assert outcome(compiled, backend) == outcome(chatting, Scripted())
    assert len(backend.plans) <= 1


def test_a_state_that_asks_for_something_else_is_sent_again_and_the_other_cancelled() -> None:
    backend = ScriptedPlans()
    compiled = foreseen(backend)
    backend.hold = lambda prompt: "wrong" in prompt
    assert compiled._texts is not None
    compiled._texts[:] = ["wrong" for _ in compiled._texts]
    state = compiled.run("clouds", backend=backend)
    assert seen(state) == seen(chatting.run("clouds", backend=Scripted()))
    assert len(backend.plans) == 2
    assert backend.ended.acquire(timeout=30)
    while not backend.cancelled:  # the others end well
        assert backend.ended.acquire(timeout=30)
    assert ["wrong" in prompt for prompt in backend.cancelled] == [True]


@pytest.mark.parametrize("lost", [bl.InvalidRequest("no plans"), bl.RuntimeUnavailable("gone")])
def test_an_early_plan_that_cannot_be_run_is_left_to_the_interpreter(
    lost: bl.GenerationError,
) -> None:
    backend = ScriptedPlans()
    compiled = foreseen(backend)
    backend.fail_plans = lost
    state = compiled.run("clouds", backend=backend)
    assert seen(state) == seen(chatting.run("clouds", backend=Scripted()))


def test_a_state_whose_time_is_over_ends_its_early_plan() -> None:
    backend = ScriptedPlans()
    compiled = foreseen(backend)
    backend.hold = lambda prompt: True
    state = compiled.run("clouds", backend=backend, timeout=0.2)
    assert isinstance(state.error(), bl.TimeoutExceeded)
    assert backend.ended.acquire(timeout=30)
    while not backend.cancelled:
        assert backend.ended.acquire(timeout=30)
    assert len(backend.cancelled) == 1
