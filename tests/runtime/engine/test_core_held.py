"""A mask that takes long is found over several steps, and the other sequences get their token in
each of them. Work is counted, not timed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from script_grammar import Script, ScriptCompiler, ScriptMatcher, named
from world import World

from branchline.runtime.constrained.allowance import Allowance
from branchline.runtime.constrained.base import Matcher
from branchline.runtime.engine.holding import STEP_ALLOWANCE

PROMPT = [5, 9, 2, 7]
PIECE = 1_000


@dataclass
class Wide(Script):
    """Each mask takes `work` places, in pieces of a thousand."""

    work: int = 0
    matchers: list[WideMatcher] = field(default_factory=list)

    def matcher(self) -> Matcher:
        self.matchers.append(WideMatcher(self))
        return self.matchers[-1]


class WideMatcher(ScriptMatcher):
    def __init__(self, script: Wide) -> None:
        super().__init__(script)
        self.left = dict.fromkeys(range(len(script.allowed)), script.work)
        self.num_asked = 0

    def try_mask(self, row: np.ndarray, remaining: int | None, allowance: Allowance) -> bool:
        self.num_asked += 1
        while self.left[self.place] > 0:
            if allowance.is_spent:
                return False
            self.left[self.place] -= PIECE
            allowance.spend(PIECE)
        return super().try_mask(row, remaining, allowance)


def world_of(**scripts: Script) -> World:
    return World(compiler=ScriptCompiler(scripts))


def tokens_per_step(world: World, heard: object, steps: int) -> list[int]:
    counts = []
    for _ in range(steps):
        before = len(heard.token_ids)
        world.step()
        counts.append(len(heard.token_ids) - before)
    return counts


def test_others_get_a_token_in_every_step_while_a_mask_is_found() -> None:
    wide = Wide([{11}, {12}, {13}], work=10 * STEP_ALLOWANCE)
    world = world_of(it=wide)
    free = world.submit([*PROMPT, 1], 60, ignore_eos=True)
    world.step()
    held = world.submit(PROMPT, 9, constraint=named("it"))
    while not wide.matchers:
        world.step()
    assert tokens_per_step(world, free, 25) == [1] * 25
    assert world.core.stats()["unfinished_masks"] >= 18
    world.run()
    assert held.token_ids == [11, 12, 13]
    world.assert_right(free)
    world.assert_idle()


def test_no_step_works_more_than_its_allowance_and_a_piece() -> None:
    wide = {f"w{n}": Wide([{11}, {12}], work=3 * STEP_ALLOWANCE + 500 * n) for n in range(6)}
    world = world_of(**wide)
    for name in wide:
        world.submit([*PROMPT, len(name)], 9, constraint=named(name))
    world.submit(PROMPT, 40, ignore_eos=True)
    world.run()
    assert STEP_ALLOWANCE <= world.core.stats()["most_mask_work"] <= STEP_ALLOWANCE + PIECE


def test_a_sequence_alone_waits_for_nothing() -> None:
    wide = Wide([{11}, {12}], work=10 * STEP_ALLOWANCE)
    world = world_of(it=wide)
    heard = world.submit(PROMPT, 9, constraint=named("it"))
    world.run()
    assert heard.token_ids == [11, 12]
    assert world.core.stats()["unfinished_masks"] == 0


def test_a_held_sequence_samples_from_the_logits_that_it_had() -> None:
    everything = set(range(2, 61))
    outputs = []
    for work in (0, 3 * STEP_ALLOWANCE):
        world = world_of(it=Wide([everything] * 8, work=work))
        world.submit([*PROMPT, 1], 60, ignore_eos=True)
        heard = world.submit(PROMPT, 8, constraint=named("it"), temperature=1.0, seed=3)
        world.run()
        outputs.append(heard.token_ids)
    assert outputs[0] == outputs[1]


def test_a_mask_behind_forced_tokens_is_found_later_too() -> None:
    forced = [{20 + n} for n in range(6)]
    wide = Wide([{11, 12}, *forced, {13, 14}, {15}], jumps=True, work=2 * STEP_ALLOWANCE)
    world = world_of(it=wide)
    free = world.submit([*PROMPT, 1], 60, ignore_eos=True)
    heard = world.submit(PROMPT, 20, constraint=named("it"))
    world.run()
    assert heard.token_ids[1:7] == [20, 21, 22, 23, 24, 25]
    assert (len(heard.token_ids), heard.finish) == (9, "stop")
    world.assert_right(free)
    world.assert_idle()


def test_a_held_sequence_can_be_dropped() -> None:
    world = world_of(it=Wide([{11}, {12}], work=100 * STEP_ALLOWANCE))
    free = world.submit([*PROMPT, 1], 30, ignore_eos=True)
    held = world.submit(PROMPT, 9, constraint=named("it"))
    while not world.core.stats()["unfinished_masks"]:
        world.step()
    world.drop(held)
    world.run()
    world.assert_right(free)
    world.assert_idle()


def test_a_held_sequence_that_is_retracted_begins_again() -> None:
    script = [{10 + n % 50} for n in range(90)]
    scripts = {f"w{n}": Wide(script, work=STEP_ALLOWANCE) for n in range(4)}
    world = World(120, compiler=ScriptCompiler(scripts), max_running=4)
    all_heard = [world.submit([n, 5, 6], 100, constraint=named(f"w{n}")) for n in range(4)]
    world.run()
    assert world.core.stats()["retractions"] > 0
    assert world.core.stats()["unfinished_masks"] > 0
    for heard in all_heard:
        assert heard.token_ids == [10 + n % 50 for n in range(90)]


@pytest.mark.parametrize("breaks", [("fill_mask", 1), ("accept", 1)])
def test_a_held_sequence_that_fails_fails_alone(breaks: tuple[str, int]) -> None:
    world = world_of(it=Wide([{11}, {12}, {13}], breaks, work=2 * STEP_ALLOWANCE))
    free = world.submit([*PROMPT, 1], 30, ignore_eos=True)
    bad = world.submit(PROMPT, 9, constraint=named("it"))
    world.run()
    assert bad.failed is not None
    world.assert_right(free)
    world.assert_idle()
