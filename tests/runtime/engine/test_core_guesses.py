"""Guessed tokens in the engine core: the output is the one that comes without them, sooner."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from drafters import Oracle, Replay
from script_grammar import Script, ScriptCompiler, named
from test_core_random import Traffic
from world import Heard, World

from branchline.runtime.engine.turn import Turn
from branchline.runtime.protocol import LogprobParams
from branchline.runtime.scheduler.kv import KVLedger
from branchline.runtime.scheduler.sequence import Sequence

Wishes = list[dict[str, object]]


def run_all(wishes: Wishes, drafter: object = None, **settings: object) -> list[Heard]:
    """What comes of several sequences at once; without a drafter nothing is guessed."""
    settings = {"speculation": "off" if drafter is None else "always", **settings}
    script = Script([{(7 * place + k) % 60 + 1 for k in range(9)} for place in range(40)])
    world = World(drafter=drafter, compiler=ScriptCompiler({"it": script}), **settings)
    rng = random.Random(5)
    all_heard = [
        world.submit([rng.randint(1, 60) for _ in range(rng.randint(1, 9))], **wish)
        for wish in wishes
    ]
    world.run()
    world.assert_idle()
    return all_heard


def told(heard: Heard) -> tuple[object, ...]:
    return (heard.token_ids, heard.logprobs, heard.finish, heard.matched_stop)


def assert_same_with_guesses(wishes: Wishes, **settings: object) -> list[Heard]:
    plain = run_all(wishes, **settings)
    outputs = {heard.submit.sid: heard.token_ids for heard in plain}
    for error in (0.0, 0.3):
        guessed = run_all(wishes, Replay(outputs, error), **settings)
        assert [told(heard) for heard in guessed] == [told(heard) for heard in plain]
        assert sum(heard.drafts[1] for heard in guessed) > 0
    return plain


@pytest.mark.parametrize("seed", range(6))
def test_random_traffic_is_exact_with_guesses_of_which_a_third_is_wrong(seed: int) -> None:
    traffic = Traffic(seed, False, drafter=Oracle(0.35, seed), speculation="always")
    traffic.run(1_000)
    stats = traffic.world.core.stats()
    assert 100 < stats["accepted_tokens"] < stats["drafted_tokens"]
    traffic.world.assert_idle()


def test_right_guesses_save_steps() -> None:
    world = World(drafter=Oracle(0.0), speculation="always", draft_tokens=7)
    heard = world.submit([3, 1, 4], 80, ignore_eos=True)
    world.run()
    world.assert_right(heard)
    assert world.runner.num_calls <= 1 + 80 // 8 + 1
    assert heard.drafts == (heard.drafts[0], heard.drafts[0])


def test_wrong_guesses_cost_no_step() -> None:
    world = World(drafter=Oracle(1.0), speculation="always")
    heard = world.submit([3, 1, 4], 30, ignore_eos=True)
    world.run()
    world.assert_right(heard)
    assert world.runner.num_calls <= 30


def test_guesses_reach_into_no_token_beyond_the_budget() -> None:
    for budget in range(1, 12):
        world = World(12 + budget, drafter=Oracle(0.0), speculation="always", chunk_tokens=64)
        heard = world.submit([5] * 12, budget, ignore_eos=True)
        world.run()
        assert len(heard.token_ids) == budget
        world.assert_right(heard)


def test_seeded_sampling_with_penalties_gives_the_same_tokens() -> None:
    wishes: Wishes = [
        {
            "max_new_tokens": 40,
            "temperature": 0.3 + 0.2 * index,
            "seed": index,
            "top_p": 0.9,
            "repetition_penalty": 1.3,
            "frequency_penalty": 0.4,
            "ignore_eos": True,
        }
        for index in range(6)
    ]
    plain = assert_same_with_guesses(wishes)
    assert len({tuple(heard.token_ids) for heard in plain}) == 6


def test_log_probabilities_are_the_same() -> None:
    wishes: Wishes = [
        {"max_new_tokens": 30, "logprobs": LogprobParams(top=3)},
        {"max_new_tokens": 30, "logprobs": LogprobParams(prompt_start=0)},
        {"max_new_tokens": 30, "temperature": 0.8, "seed": 3, "logprobs": LogprobParams()},
    ]
    plain = assert_same_with_guesses(wishes)
    assert all(len(heard.logprobs) == len(heard.token_ids) for heard in plain)


def test_stop_strings_and_minimum_lengths_end_at_the_same_token() -> None:
    wishes: Wishes = [
        {"max_new_tokens": 60, "stop": [stop], "min_new_tokens": least, "ignore_eos": eos}
        for stop in ("ab", "ca", "ee")
        for least in (0, 12)
        for eos in (True, False)
    ]
    plain = assert_same_with_guesses(wishes)
    assert sum(heard.finish == "stop" for heard in plain) >= 6


def test_grammars_allow_the_same_tokens() -> None:
    wishes: Wishes = [
        {"max_new_tokens": 50, "constraint": named("it"), "temperature": temperature, "seed": 1}
        for temperature in (0.0, 0.5, 1.0)
    ]
    for heard in assert_same_with_guesses(wishes):
        assert (len(heard.token_ids), heard.finish) == (40, "stop")


def test_retraction_loses_no_token_and_repeats_none() -> None:
    wishes: Wishes = [{"max_new_tokens": 60, "ignore_eos": True} for _ in range(8)]
    assert_same_with_guesses(wishes, num_slots=120, chunk_tokens=32)


def test_a_sequence_dropped_among_guesses_leaves_nothing_behind() -> None:
    world = World(drafter=Oracle(0.2), speculation="always")
    kept = world.submit([1, 2, 3], 40, ignore_eos=True)
    dropped = world.submit([1, 2, 4], 40, ignore_eos=True)
    for _ in range(4):
        world.step()
    world.drop(dropped)
    world.run()
    world.assert_right(kept)
    world.assert_idle()


def test_where_guesses_never_come_true_few_are_made() -> None:
    world = World(drafter=Oracle(1.0), speculation="auto")
    world.core._speculator._cost.share = lambda num_tokens: 0.2
    heard = world.submit([1, 2, 3], 600, ignore_eos=True)
    world.run()
    world.assert_right(heard)
    assert heard.drafts[0] < 40


def test_where_guesses_come_true_they_are_made_all_the_way() -> None:
    world = World(drafter=Oracle(0.0), speculation="auto")
    world.core._speculator._cost.share = lambda num_tokens: 0.2
    heard = world.submit([1, 2, 3], 400, ignore_eos=True)
    world.run()
    world.assert_right(heard)
    assert heard.drafts[1] > 250


def test_a_drafter_that_fails_costs_its_own_sequence_only() -> None:
    class Broken(Oracle):
        def guess(self, seq: Sequence, most: int) -> list[int]:
            if seq.sid == 1 and seq.num_generated == 5:
                raise ZeroDivisionError("planted in guess")
            return super().guess(seq, most)

    world = World(drafter=Broken(0.0), speculation="always", draft_tokens=1)
    bad = world.submit([1, 2, 3], 40, ignore_eos=True)
    good = world.submit([4, 5, 6], 40, ignore_eos=True)
    world.run()
    assert bad.failed is not None
    assert bad.failed.code == "internal"
    world.assert_right(good)
    world.assert_idle()


def a_wrong_guess_counts_as_computed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Turn, "num_computed", property(lambda turn: turn.start + len(turn.staged)))


def a_wrong_guess_is_taken(patch: pytest.MonkeyPatch) -> None:
    add = Turn.add

    def gullible(turn: Turn, token_id: int, *rest: object) -> None:
        place = len(turn.token_ids)
        add(turn, turn.staged[place] if place < len(turn.staged) else token_id, *rest)

    patch.setattr(Turn, "add", gullible)


def the_rows_of_guesses_are_shifted_by_one(patch: pytest.MonkeyPatch) -> None:
    shifted = property(lambda turn: turn.row + max(len(turn.token_ids) - 1, 0))
    patch.setattr(Turn, "next_row", shifted)


def slots_of_wrong_guesses_are_freed_twice(patch: pytest.MonkeyPatch) -> None:
    def trim(self: KVLedger, seq: Sequence) -> None:
        self.allocator.free(seq.slots[seq.num_computed : seq.num_slots])

    patch.setattr(KVLedger, "trim", trim)


def slots_of_wrong_guesses_are_lost(patch: pytest.MonkeyPatch) -> None:
    def trim(self: KVLedger, seq: Sequence) -> None:
        seq.num_slots = seq.num_computed

    patch.setattr(KVLedger, "trim", trim)


def four_engines() -> None:
    for seed in range(4):
        Traffic(seed, False, drafter=Oracle(0.35, seed), speculation="always").run(500)


@pytest.mark.parametrize(
    "plant",
    [
        a_wrong_guess_counts_as_computed,
        a_wrong_guess_is_taken,
        the_rows_of_guesses_are_shifted_by_one,
        slots_of_wrong_guesses_are_freed_twice,
        slots_of_wrong_guesses_are_lost,
    ],
    ids=lambda plant: plant.__name__,
)
def test_a_planted_bug_is_noticed(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises((RuntimeError, AssertionError, ValueError, KeyError, IndexError)):
        four_engines()
