"""What the service holds of requests that have ended: counted by its objects, not by bytes."""

from __future__ import annotations

import gc
from collections import Counter

import pytest
from msgspec.structs import replace
from service_desk import Desk, generate

from branchline.runtime.protocol import (
    Plan,
    PlanArgument,
    PlanFork,
    PlanGenerate,
    PlanInstance,
    PlanJoin,
    PlanOp,
    Release,
    RunPlan,
    SamplingParams,
)

GEN = PlanGenerate(SamplingParams(max_new_tokens=8))
PLANS: dict[str, list[list[PlanOp]]] = {
    "one after the other": [[PlanArgument(0), GEN, GEN]],
    "branches": [[PlanArgument(0), PlanFork([1, 2]), PlanJoin([1, 2]), GEN], [GEN], [GEN]],
}
# Where a request lives while it runs. What is remembered of ended ones (answers, the history, the
# deadlines) is bounded elsewhere.
ROOMS = (
    "branchline.runtime.plans.",
    "branchline.runtime.protocol",
    "branchline.runtime.server.calls",
    "branchline.runtime.server.programs",
    "branchline.runtime.server.requests",
    "branchline.runtime.server.scoring",
    "branchline.runtime.server.sessions",
)


def living() -> Counter[str]:
    gc.collect()
    # Clients of tests before this one may release, just now, what is collected of theirs.
    kinds = (type(thing) for thing in gc.get_objects() if not isinstance(thing, Release))
    return Counter(kind.__name__ for kind in kinds if str(kind.__module__).startswith(ROOMS))


def serve(desk: Desk) -> None:
    """Play the engine until nothing waits for it; forget what was said."""
    while submits := desk.submits():
        desk.commands.clear()
        for submit in submits:
            told = desk.say(submit.sid, " world", end_token=True, cached_tokens=0)
            desk.step(told)
    desk.sent.clear()
    desk.commands.clear()


@pytest.mark.parametrize("name", PLANS)
def test_ended_instances_of_plans_leave_no_objects(desk: Desk, name: str) -> None:
    plan = Plan(PLANS[name])

    def run(number: int) -> None:
        desk.ask(RunPlan(plan, [PlanInstance(f"i{number}", [f"hello {number}"])]))
        serve(desk)

    run(0)  # the last plan stays
    before = living()
    for number in range(1, 21):
        run(number)
    assert desk.service.num_in_flight == 0
    assert not living() - before


def test_a_session_that_is_released_leaves_no_objects(desk: Desk) -> None:
    before = living()
    for number in range(20):
        desk.ask(replace(generate(f"r{number}", f"hello {number}"), keep_as=number + 1))
        serve(desk)
    assert living() - before == Counter({"HeldPrompt": 20, "_Session": 20})
    desk.ask(Release(list(range(1, 21))))
    desk.commands.clear()
    assert not living() - before
