"""When a sequence is over: ids, strings that span tokens, limits, and who wins."""

from __future__ import annotations

import random

import pytest

from branchline.runtime.protocol import SamplingParams
from branchline.runtime.scheduler.stop import Finish, StopChecker

WORDS = [b"", b"a", b"b", b"ab", b"ba", b"abc", b" the", b"th", b"e ", "é".encode()[:1]]
WORDS += ["é".encode()[1:], "né".encode(), b"\n\n", b"\n"]
EOS = 0


def checker(max_new_tokens: int = 100, **params: object) -> StopChecker:
    return StopChecker(
        SamplingParams(max_new_tokens=max_new_tokens, **params),
        max_new_tokens,
        (EOS,),
        WORDS,
        {"<end>": EOS},
    )


def spell(*words: bytes) -> list[int]:
    return [WORDS.index(word) for word in words]


def run(stop: StopChecker, ids: list[int]) -> tuple[int, Finish | None]:
    """After how many tokens it was over, and why."""
    for count, token_id in enumerate(ids, start=1):
        if (finish := stop.push(token_id)) is not None:
            return count, finish
    return len(ids), None


def test_the_end_token_ends() -> None:
    assert run(checker(), [1, EOS, 1]) == (2, Finish("stop", EOS))


def test_the_end_token_can_be_ignored() -> None:
    assert run(checker(3, ignore_eos=True), [1, EOS, 1]) == (3, Finish("length"))


def test_a_stop_token_ends_even_when_end_tokens_are_ignored() -> None:
    assert run(checker(stop_token_ids=[2], ignore_eos=True), [1, EOS, 2]) == (3, Finish("stop", 2))


@pytest.mark.parametrize(
    "words",
    [
        (b"abc",),
        (b"ab", b"abc"),
        (b"a", b"abc"),
        (b"ba", b"b", b"abc"),
    ],
    ids=["one token", "after another", "after a near miss", "after an overlap"],
)
def test_a_stop_string_inside_one_token(words: tuple[bytes, ...]) -> None:
    ids = spell(*words)
    assert run(checker(stop=["bc"]), [*ids, 1]) == (len(ids), Finish("stop", "bc"))


def test_a_stop_string_that_spans_tokens_and_begins_inside_of_one() -> None:
    assert run(checker(stop=["cab\n"]), spell(b"abc", b"ab", b"\n\n", b"a")) == (
        3,
        Finish("stop", "cab\n"),
    )


def test_a_stop_string_of_characters_that_tokens_split() -> None:
    assert run(checker(stop=["é"]), [*spell(b"a"), 9, 10, 1]) == (3, Finish("stop", "é"))


def test_half_a_character_is_no_match() -> None:
    assert run(checker(stop=["é"]), [9, 9, 1]) == (3, None)


def test_of_two_that_a_token_completes_the_one_that_begins_first_counts() -> None:
    assert run(checker(stop=["c", "abc"]), spell(b"abc")) == (1, Finish("stop", "abc"))


def test_a_stop_string_that_is_a_control_tokens_text_watches_for_the_token() -> None:
    stop = checker(stop=["<end>"], ignore_eos=True)
    assert run(stop, [1, EOS]) == (2, Finish("stop", "<end>"))
    assert EOS in stop.stop_ids


def test_nothing_ends_below_the_minimum() -> None:
    ids = [EOS, *spell(b"ab"), 2, EOS]
    stop = checker(stop=["ab"], stop_token_ids=[2], min_new_tokens=4)
    assert run(stop, ids) == (4, Finish("stop", EOS))


def test_a_stop_string_that_passed_below_the_minimum_does_not_count_later() -> None:
    stop = checker(stop=["ab"], min_new_tokens=2)
    assert run(stop, spell(b"ab", b"a", b"a")) == (3, None)


def test_a_stop_string_may_begin_below_the_minimum() -> None:
    stop = checker(stop=["ab"], min_new_tokens=2)
    assert run(stop, spell(b"a", b"b")) == (2, Finish("stop", "ab"))


def test_a_stop_at_the_last_token_of_the_budget_is_a_stop() -> None:
    assert run(checker(2), [1, EOS]) == (2, Finish("stop", EOS))


def test_tokens_beyond_the_table_have_no_text() -> None:
    assert run(checker(stop=["ab"]), [1, 99, 2]) == (3, Finish("stop", "ab"))


@pytest.mark.parametrize("seed", range(20))
def test_random_tokens_and_stops_agree_with_a_search_of_the_whole_text(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(100):
        stops = ["".join(rng.choices("abc ", k=rng.randint(1, 5))) for _ in range(3)]
        ids = rng.choices(range(1, 9), k=40)
        count, finish = run(checker(stop=stops), ids)
        ends = [
            n
            for n in range(1, len(ids) + 1)
            if any(stop.encode() in b"".join(WORDS[i] for i in ids[:n]) for stop in stops)
        ]
        assert (count, finish is not None) == ((ends[0], True) if ends else (40, False))
        if finish is not None:
            text = b"".join(WORDS[i] for i in ids[:count]).decode()
            first = min(text.find(stop) for stop in stops if stop in text)
            assert text.startswith(str(finish.matched_stop), first)


def test_a_stop_pattern_that_spans_tokens() -> None:
    ids = spell(b"abc", b"a", b"ba", b"b", b"a")
    assert run(checker(stop_regex=["a{2,}b|cab"]), ids) == (3, Finish("stop", "a{2,}b|cab"))


def test_a_stop_pattern_sees_characters_that_tokens_split() -> None:
    assert run(checker(stop_regex=["[é]"]), [*spell(b"a"), 9, 10, 1]) == (3, Finish("stop", "[é]"))


def test_a_stop_pattern_below_the_least_number_of_tokens_is_let_pass() -> None:
    ids = spell(b"b", b"a", b"a", b"b", b"a")
    assert run(checker(stop_regex=["b"], min_new_tokens=3), ids) == (4, Finish("stop", "b"))


def test_of_several_stop_patterns_the_one_that_ends_first_counts() -> None:
    assert run(checker(stop_regex=["c", "b"]), spell(b"abc")) == (1, Finish("stop", "b"))


def test_a_stop_string_counts_before_a_pattern_in_the_same_token() -> None:
    assert run(checker(stop_regex=["a"], stop=["c"]), spell(b"abc")) == (1, Finish("stop", "c"))
