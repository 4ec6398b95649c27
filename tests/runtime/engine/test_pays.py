"""Whether steps run ahead is decided by what they take, at next to no cost."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from branchline.runtime.engine.pays import Pays


def total(
    pays: Pays, seconds: Callable[[bool], float], steps: int, num_seqs: int = 8
) -> tuple[float, int]:
    """What so many steps take, each decided by `pays`; and how many ran ahead."""
    now = ahead = 0.0
    for _ in range(steps):
        runs_ahead = pays.runs_ahead(num_seqs, now)
        now += seconds(runs_ahead)
        ahead += runs_ahead
    return now, int(ahead)


@pytest.mark.parametrize("cost", [0.8, 0.97, 1.0, 1.05, 1.2])
def test_it_is_never_two_percent_slower_than_the_better_way(cost: float) -> None:
    took, _ = total(Pays(), lambda ahead: cost if ahead else 1.0, 3_000)
    assert took <= 1.02 * 3_000 * min(cost, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_steps_that_now_and_then_take_long_do_not_mislead_it(seed: int) -> None:
    rng = random.Random(seed)

    def seconds(ahead: bool) -> float:
        return (
            (0.85 if ahead else 1.0) * rng.uniform(0.95, 1.05) * (20 if rng.random() < 0.1 else 1)
        )

    _, ahead = total(Pays(), seconds, 5_000)
    assert ahead > 4_000


def test_it_notices_that_the_machine_has_become_another() -> None:
    pays = Pays()
    _, before = total(pays, lambda ahead: 0.9 if ahead else 1.0, 2_000)
    took, _ = total(pays, lambda ahead: 1.2 if ahead else 1.0, 20_000)
    assert before > 1_800
    assert took < 1.04 * 20_000


def test_batches_of_other_sizes_are_decided_for_themselves() -> None:
    pays = Pays()
    _, small = total(pays, lambda ahead: 1.3 if ahead else 1.0, 2_000, num_seqs=1)
    _, large = total(pays, lambda ahead: 0.9 if ahead else 1.0, 2_000, num_seqs=32)
    assert small < 200
    assert large > 1_800


@pytest.mark.parametrize(("length", "runs_ahead"), [(4, False), (100, True)])
def test_steps_for_nobody_behind_those_that_stop_are_counted(length: int, runs_ahead: bool) -> None:
    pays, now, ahead = Pays(), 0.0, 0
    for place in range(4_000):
        if place % length == 0:
            pays.note_loss()
        chosen = pays.runs_ahead(1, now)
        now += 0.9 if chosen else 1.0
        ahead += chosen
    assert (ahead > 2_000) == runs_ahead


def test_what_comes_between_two_steps_is_not_counted_as_theirs() -> None:
    pays, now, ahead = Pays(), 0.0, 0
    for place in range(2_000):
        if place % 3 == 0:
            pays.interrupt()  # a long prompt
            now += 50.0
        runs_ahead = pays.runs_ahead(4, now)
        now += 0.9 if runs_ahead else 1.0
        ahead += runs_ahead
    assert ahead > 1_700
