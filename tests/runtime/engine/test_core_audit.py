"""In production wrong bookkeeping is repaired: it costs those with a part in it, not the engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from test_core_planted_bugs import BUGS, a_slot_is_handed_out_twice
from world import Heard, World

from branchline.runtime.memory.allocator import SlotAllocator
from branchline.runtime.radix_cache.check import InvariantError
from branchline.runtime.scheduler.scheduler import Scheduler

PROMPTS = [[10 + i, 5, 9, 2, 7, 7, 1] for i in range(6)]


def running_world(**config: object) -> tuple[World, list[Heard]]:
    world = World(strict=False, **config)
    all_heard = [world.submit(prompt, 30, ignore_eos=True) for prompt in PROMPTS]
    for _ in range(3):
        world.step()
    return world, all_heard


def let_time_pass(world: World) -> None:
    now = world.core.cache.clock()
    world.core.cache.clock = lambda: now + 1_000


def finish(world: World, all_heard: list[Heard]) -> list[Heard]:
    """Run to the end; those that failed. All others must be exact, and nothing may be lost."""
    while world.core.has_work:
        world.step(check=False)
    failed = [heard for heard in all_heard if heard.failed is not None]
    for heard in all_heard:
        if heard.failed is None:
            world.assert_right(heard)
    world.assert_idle()
    return failed


def test_a_lost_slot_is_found_at_idle_and_given_back() -> None:
    world, all_heard = running_world()
    world.core.allocator.allocate(7)
    let_time_pass(world)
    assert finish(world, all_heard) == []
    stats = world.core.stats()
    assert (stats["violations"], stats["regained_slots"]) == (1, 7)


def test_two_sequences_that_got_one_slot_fail_and_the_others_are_exact() -> None:
    world, all_heard = running_world()
    first, second = world.core.scheduler.running[:2]
    first.slots[first.num_slots - 1] = second.slots[second.num_slots - 1]
    let_time_pass(world)
    failed = finish(world, all_heard)
    assert {heard.submit.sid for heard in failed} == {first.sid, second.sid}
    assert all(heard.failed and heard.failed.code == "internal" for heard in failed)


def test_a_defect_met_within_a_step_is_repaired_and_nobody_else_notices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, all_heard = running_world()
    settle = Scheduler.settle
    broken = iter([True])

    def raises_once(self: Scheduler, chunk: object) -> None:
        settle(self, chunk)  # type: ignore[arg-type]
        if next(broken, False):
            raise KeyError("planted")

    monkeypatch.setattr(Scheduler, "settle", raises_once)
    assert finish(world, all_heard) == []
    assert world.core.stats()["violations"] == 1


def test_a_step_that_always_fails_ends_its_sequences_and_the_engine_takes_new_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, all_heard = running_world()
    with monkeypatch.context() as patch:
        patch.setattr(Scheduler, "schedule", lambda self: 1 / 0)
        assert len(finish(world, all_heard)) == len(PROMPTS)
    later = world.submit(PROMPTS[0], 8)
    assert finish(world, [later]) == []


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__)
def test_no_planted_bug_ends_the_engine(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        plant(patch)
        world = World(120, strict=False, max_running=8, chunk_tokens=16)
        sids = [
            world.submit([1 + i % 5, 7, 9, *range(1, 10 + i)], 20).submit.sid for i in range(30)
        ]
        for _ in range(2_000):
            if not world.core.has_work:
                break
            world.core.step()
        for sid in sids:
            world.core.drop(sid)
    let_time_pass(world)
    world.core.step()
    world.core.check()


def test_strict_engines_raise_instead() -> None:
    world = World()
    world.core.allocator.allocate(1)
    with pytest.raises(InvariantError):
        world.core.check()


def test_a_double_free_is_a_violation_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    world, all_heard = running_world()
    a_slot_is_handed_out_twice(monkeypatch)
    world.submit([3] * 9, 5)
    for _ in range(3):
        world.step(check=False)
    monkeypatch.undo()
    let_time_pass(world)
    for heard in all_heard:
        world.core.drop(heard.submit.sid)
    while world.core.has_work:
        world.core.step()
    let_time_pass(world)
    world.core.step()
    world.core.check()
    free: np.ndarray = world.core.allocator.free_slots()
    assert isinstance(world.core.allocator, SlotAllocator)
    assert len(set(free.tolist())) == len(free)
