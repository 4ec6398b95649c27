"""The front process collects garbage seldom, and needs to: what requests leave goes without."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from service_desk import Desk

from branchline.runtime.protocol import (
    Plan,
    PlanArgument,
    PlanDone,
    PlanGenerate,
    PlanInstance,
    PlanPart,
    RunPlan,
    SamplingParams,
    Text,
)
from branchline.runtime.server import garbage

NUM_INSTANCES = 96
NUM_CALLS = 4


@pytest.fixture
def seldom() -> Iterator[None]:
    thresholds = gc.get_threshold()
    garbage.begin()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def serve_a_batch(desk: Desk, number: int) -> None:
    """Each instance's calls go on from each other, as in the engine."""
    ask = [
        PlanPart(Text("about ")),
        PlanArgument(0),
        PlanGenerate(SamplingParams(max_new_tokens=4)),
    ]
    instances = [PlanInstance(f"{number}.{n}", [f"thing {n}"]) for n in range(NUM_INSTANCES)]
    desk.ask(RunPlan(Plan([ask * NUM_CALLS]), instances))
    sids = [submit.sid for submit in desk.submits()]
    for call in range(NUM_CALLS):
        said = [desk.say(sid, "good", end_token=True, cached_tokens=0) for sid in sids]
        answers = desk.step(*(replace(one, goes_on=call < NUM_CALLS - 1) for one in said))
    assert sum(isinstance(answer, PlanDone) for answer in answers) == NUM_INSTANCES
    desk.sent.clear()
    desk.commands.clear()


def test_a_batch_is_served_without_collections(desk: Desk, seldom: None) -> None:
    begun: list[str] = []
    desk.greet()
    serve_a_batch(desk, 0)

    def note(phase: str, info: dict[str, int]) -> None:
        begun.append(phase)

    gc.callbacks.append(note)
    try:
        serve_a_batch(desk, 1)
    finally:
        gc.callbacks.remove(note)
    assert len(begun) <= 2  # the beginning and the end of one


def test_requests_leave_nothing_for_a_collection(desk: Desk, seldom: None) -> None:
    desk.greet()
    serve_a_batch(desk, 0)
    gc.collect()
    gc.disable()
    try:
        serve_a_batch(desk, 1)
        assert gc.collect() < NUM_INSTANCES
    finally:
        gc.enable()
