"""Answers leave before what they leave to do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from service_desk import Desk, generate, only_done

from branchline.runtime.engine_protocol import EngineRelease, Progress
from branchline.runtime.protocol import (
    Plan,
    PlanDone,
    PlanGenerate,
    PlanInstance,
    PlanPart,
    RunPlan,
    SamplingParams,
    Text,
)
from branchline.runtime.tokenizer import Tokenizer

Works = list[Callable[[], None]]


@pytest.fixture
def works() -> Works:
    return []


@pytest.fixture
def desk(tokenizer: Tokenizer, works: Works) -> Desk:
    desk = Desk(tokenizer, afterwards=works.append)
    desk.greet()
    return desk


def ended(desk: Desk) -> Progress:
    return desk.say(desk.submits()[-1].sid, " world", end_token=True, cached_tokens=0)


def run_all(works: Works) -> None:
    while works:
        works.pop(0)()


def test_an_answer_is_kept_when_it_has_left(desk: Desk, works: Works) -> None:
    desk.ask(generate("a"))
    first = only_done(desk.step(ended(desk)))
    assert desk.service.num_in_flight == 1
    run_all(works)
    assert desk.service.num_in_flight == 0
    assert only_done(desk.ask(generate("a"))) == first  # asked again, and not run again
    assert len(desk.submits()) == 1


def test_a_program_is_freed_in_the_engine_when_its_answer_has_left(
    desk: Desk, works: Works
) -> None:
    ops = [PlanPart(Text("hello")), PlanGenerate(SamplingParams())]
    desk.ask(RunPlan(Plan([ops]), [PlanInstance("p", [])]))
    [done] = desk.step(ended(desk))
    assert isinstance(done, PlanDone)
    assert not any(isinstance(command, EngineRelease) for command in desk.commands)
    run_all(works)
    assert isinstance(desk.commands[-1], EngineRelease)
    assert desk.service.num_in_flight == 0


def test_who_has_the_answer_is_told_no_error(desk: Desk, works: Works) -> None:
    desk.ask(generate("a", timeout_s=1.0))
    only_done(desk.step(ended(desk)))
    assert desk.tick(2.0) == []
    run_all(works)
    desk.service.on_client_gone(b"c")
    assert desk.dropped() == []


def test_an_answer_of_who_has_left_is_not_kept(desk: Desk, works: Works) -> None:
    desk.ask(generate("a"))
    desk.step(ended(desk))
    desk.service.on_client_gone(b"c")
    run_all(works)
    desk.greet()
    desk.ask(generate("a"))
    assert len(desk.submits()) == 2


def test_a_defect_in_what_is_left_to_do_ends_nothing_else(
    desk: Desk, works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no")

    desk.ask(generate("a"))
    desk.step(ended(desk))
    monkeypatch.setattr(desk.service._flights, "keep", broken)
    run_all(works)
    monkeypatch.undo()
    desk.ask(generate("b"))
    only_done(desk.step(ended(desk)))
