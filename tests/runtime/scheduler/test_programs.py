"""How much of a program is still to come, said by the program or guessed from others."""

from __future__ import annotations

import copy
import random

import pytest

from branchline.runtime.scheduler.programs import ProgramTable


def run_one(table: ProgramTable, number: int, num_calls: int) -> None:
    table.hold(number)
    for _ in range(num_calls):
        table.call(number, None)
    table.let_go(number)


def test_what_a_program_says_itself_is_taken() -> None:
    table = ProgramTable()
    table.hold(1)
    assert table.call(1, 300).tokens == 300


def test_nothing_comes_after_a_call_that_belongs_to_no_program() -> None:
    assert ProgramTable().call(0, None) == (0, 0)


def test_tokens_that_are_to_come_are_so_many_calls_as_are_usual() -> None:
    table = ProgramTable()
    for _ in range(1_000):
        table.note_call(50)
    assert table.call(0, 180).calls == 4


def test_of_programs_without_a_precedent_nothing_is_known_to_differ() -> None:
    table = ProgramTable()
    assert table.calls_after(1) == pytest.approx(table.calls_after(30))


def after_all_counts(table: ProgramTable, num_calls: int) -> float:
    """`calls_after`, looking at every number of calls that is told apart."""
    table._most_calls = len(table._reached) - 1
    return table.calls_after(num_calls)


def test_more_calls_than_any_program_made_need_no_look() -> None:
    table = ProgramTable()
    rng = random.Random(1)
    for number in range(1, 100):
        run_one(table, number, rng.randint(1, 20))
        asked = rng.randint(1, 70)
        quick = table.calls_after(asked)
        assert quick == pytest.approx(after_all_counts(copy.deepcopy(table), asked), rel=1e-12)


def test_the_nearer_programs_usually_end_the_less_is_to_come() -> None:
    table = ProgramTable()
    rng = random.Random(1)
    for number in range(1, 400):
        run_one(table, number, rng.randint(3, 10))
    after = [table.calls_after(num_calls) for num_calls in range(1, 11)]
    assert after == sorted(after, reverse=True)
    assert after[0] == pytest.approx(5.5, abs=0.5)
    assert after[-1] < 0.5


def test_where_the_longest_go_on_longest_those_that_have_just_begun_have_least() -> None:
    table = ProgramTable()
    for number in range(1, 200):
        run_one(table, number, 40 if number % 10 == 0 else 1)
    assert table.calls_after(1) < table.calls_after(3)


def test_programs_that_still_run_are_not_taken_for_short_ones() -> None:
    """Of ten alike the short ones end first: that does not make the others short."""
    table = ProgramTable()
    for number in range(1, 11):
        table.hold(number)
    for number in range(1, 11):
        for _ in range(3 if number <= 2 else 6):
            table.call(number, None)
    table.let_go(1)
    table.let_go(2)
    assert table.calls_after(1) > 5


def test_a_program_is_over_with_the_last_of_its_sessions() -> None:
    table = ProgramTable()
    table.hold(1)
    table.hold(1)
    table.let_go(1)
    assert len(table) == 1
    table.let_go(1)
    assert len(table) == 0


def test_calls_of_plans_teach_nothing_about_others() -> None:
    table = ProgramTable()
    before = table.calls_after(1)
    table.hold(1)
    table.call(1, 100)
    table.let_go(1)
    assert table.calls_after(1) == before


def test_one_that_outlives_a_thousand_others_does_not_upset_the_guess() -> None:
    table = ProgramTable()
    table.hold(1)
    for _ in range(5):
        table.call(1, None)
    for number in range(2, 2_000):
        run_one(table, number, 1)
    table.let_go(1)
    assert all(table.calls_after(num_calls) >= 0 for num_calls in range(1, 80))
