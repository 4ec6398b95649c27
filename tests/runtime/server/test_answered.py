"""Answers are kept within bounds."""

from __future__ import annotations

from branchline.runtime.protocol import Done, Error, Output, Usage
from branchline.runtime.server.answered import Answered


def done(rid: str, num_chars: int = 1) -> Done:
    return Done(rid, [Output("x" * num_chars, [1], "stop")], Usage(1, 1, 0))


def test_the_oldest_answer_goes_first() -> None:
    answered = Answered(max_answers=2)
    for rid in "abc":
        answered.keep(b"c", rid, b"d", done(rid))
    assert [answered.find(b"c", rid) is not None for rid in "abc"] == [False, True, True]


def test_bytes_are_bounded_whatever_comes() -> None:
    answered = Answered(max_bytes=10_000)
    for number in range(1_000):
        answered.keep(b"c", str(number), b"d", done(str(number), number * 7 % 3_000))
        assert answered.num_bytes <= 10_000
    assert len(answered) > 1


def test_an_answer_that_is_larger_than_all_room_is_not_kept() -> None:
    answered = Answered(max_bytes=100)
    answered.keep(b"c", "r", b"d", done("r", 1_000))
    assert (len(answered), answered.num_bytes) == (0, 0)


def test_a_passing_refusal_is_not_an_answer() -> None:
    answered = Answered()
    answered.keep(b"c", "r", b"d", Error("r", "overloaded", "full", retry_after_s=1.0))
    assert answered.find(b"c", "r") is None


def test_a_client_that_is_gone_leaves_nothing() -> None:
    answered = Answered()
    answered.keep(b"c", "r", b"d", done("r"))
    answered.keep(b"other", "r", b"d", done("r"))
    answered.forget_client(b"c")
    assert answered.find(b"c", "r") is None
    assert answered.find(b"other", "r") is not None
