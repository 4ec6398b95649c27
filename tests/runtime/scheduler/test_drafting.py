"""What is guessed from the text before, and how far guessing goes."""

from __future__ import annotations

import random

import numpy as np
import pytest

from branchline.runtime.scheduler.drafting import Pace, StepCost, look_up


def guess(text: str, most: int) -> str:
    """Characters for tokens."""
    found = look_up(np.array([ord(char) for char in text], np.int32), most)
    return "".join(map(chr, found))


def test_what_followed_the_same_tokens_last_is_guessed() -> None:
    assert guess("the cat sat; the cat", 4) == " sat"
    assert guess("a red cat, a fat cat, a re", 5) == "d cat"


def test_a_longer_common_end_counts_more_than_a_later_one() -> None:
    assert guess("xxabc1 ... ybc2 ... xxabc", 1) == "1"


def test_of_equally_long_ones_the_last_is_taken() -> None:
    assert guess("ab1 ab2 ab", 1) == "2"


def test_one_common_token_is_too_little() -> None:
    assert guess("a1b2c3a", 3) == ""


def test_text_that_repeats_itself_goes_on_repeating() -> None:
    assert guess("xyzxyz", 7) == "xyzxyzx"


def test_short_texts_and_no_room_give_nothing() -> None:
    assert [guess(text, 5) for text in ("", "a", "aa")] == ["", "", ""]
    assert guess("abab", 0) == ""


def naive(ids: list[int], most: int) -> list[int]:
    for length in range(8, 1, -1):
        for start in range(len(ids) - length - 1, -1, -1):
            if len(ids) > length and ids[start : start + length] == ids[-length:]:
                out = list(ids)
                for place in range(most):
                    out.append(out[start + length + place])
                return out[len(ids) :]
    return []


def test_look_up_agrees_with_a_naive_search() -> None:
    rng = random.Random(1)
    for _ in range(500):
        ids = [rng.randint(0, 3) for _ in range(rng.randint(0, 40))]
        assert look_up(np.array(ids, np.int32), 6) == naive(ids, 6), ids


def test_bytes_across_two_tokens_are_no_match() -> None:
    across = [0x0001_0000] * 50  # among its bytes are those of [1, 1], two further on
    assert look_up(np.array([*across, 1, 1], np.int32), 3) == []
    assert look_up(np.array([1, 1, 7, *across[:9], 1, 1], np.int32), 2) == [7, across[0]]
    # Nobody may hold a step up by them: the search ends sooner than it finds anything.
    assert look_up(np.array([1, 1, 7, *(200 * across), 1, 1], np.int32), 2) == []


def run(pace: Pace, rate: float, steps: int, cost: float) -> list[int]:
    """Lengths that are guessed while each guess comes true with a chance of `rate`."""
    rng = random.Random(2)
    lengths = []
    for _ in range(steps):
        length = pace.length(8, cost)
        right = next((n for n in range(length) if rng.random() >= rate), length)
        if length:
            pace.learn(length, right)
        lengths.append(length)
    return lengths


def test_guesses_that_come_true_get_longer() -> None:
    lengths = run(Pace(), 0.97, 200, 0.3)
    assert np.mean(lengths[100:]) > 5


def test_guesses_that_never_come_true_get_rare() -> None:
    lengths = run(Pace(), 0.0, 1_000, 0.3)
    assert sum(lengths[100:]) < 12


def test_a_text_that_begins_to_repeat_is_noticed_in_the_end() -> None:
    pace = Pace()
    run(pace, 0.0, 300, 0.3)
    assert np.mean(run(pace, 1.0, 1_500, 0.3)[-100:]) > 5


def test_no_guess_is_longer_than_pays() -> None:
    # At half of them right and a cost of a fifth, the third comes true too seldom.
    assert Pace(rate=0.5).length(8, 0.2) == 2
    assert Pace(rate=0.5).length(8, 0.05) == 4


@pytest.mark.parametrize(("empty_s", "token_s"), [(0.010, 0.001), (0.002, 0.002)])
def test_the_cost_of_a_token_is_read_off_the_steps(empty_s: float, token_s: float) -> None:
    rng = random.Random(3)
    cost = StepCost()
    for _ in range(400):
        num_tokens = rng.randint(1, 9)
        cost.note(num_tokens, empty_s + token_s * num_tokens)
    expected = token_s * 4 / (empty_s + token_s * 4)
    assert cost.share(4) == pytest.approx(expected, rel=0.05)


def test_on_a_busy_machine_tokens_are_hardly_ever_taken_for_much_cheaper_than_they_are() -> None:
    empty_s, token_s = 0.010, 0.001
    right = token_s * 8 / (empty_s + token_s * 8)
    num_too_cheap = 0
    for seed in range(100):
        rng = random.Random(seed)
        cost = StepCost()
        for _ in range(200):
            num_tokens = rng.choice([8, 8, 8, 16, 24, 40, 72])
            seconds = (empty_s + token_s * num_tokens) * rng.lognormvariate(0, 1.0)
            cost.note(num_tokens, seconds)
        num_too_cheap += cost.share(8) < 0.6 * right
    assert num_too_cheap <= 5


def test_without_experience_of_other_lengths_the_cost_is_assumed() -> None:
    cost = StepCost()
    for _ in range(50):
        cost.note(1, 0.01)
    assert cost.share(1) == pytest.approx(1 / 17)
