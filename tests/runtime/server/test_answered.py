"""Answers are kept within bounds."""

from __future__ import annotations

import tracemalloc

from branchline.runtime.protocol import (
    Done,
    Error,
    FrontMessage,
    Output,
    PlanCall,
    PlanDone,
    Usage,
    encode,
    front_messages,
)
from branchline.runtime.server.answered import Answered


def done(rid: str, num_chars: int = 1) -> Done:
    return Done(rid, [Output("x" * num_chars, [1], "stop")], Usage(1, 1, 0))


def decoded(message: FrontMessage) -> FrontMessage:
    """An object of its own, as a service makes one for each request."""
    return front_messages.decode(encode(message))


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


def test_answers_take_no_more_memory_than_is_counted() -> None:
    """As objects they would take almost five times as much, uncounted."""
    reply = Done("i.0.1", [Output("hello", list(range(1_000, 1_040)), "length")], Usage(100, 40, 0))
    calls = [[PlanCall(reply, 0.1, 0.2)] for _ in range(4)]
    answers = [PlanDone(str(number), calls) for number in range(500)]
    answered = Answered()
    tracemalloc.start()
    try:
        for answer in answers:
            answered.keep(b"c", answer.rid, b"d", decoded(answer))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Beside each answer stand its key and its place.
    assert used < answered.num_bytes + 500 * 1_000


def test_an_answer_that_was_kept_is_the_one_that_was_given() -> None:
    answered = Answered()
    answered.keep(b"c", "r", b"d", done("r", 5))
    found = answered.find(b"c", "r")
    assert found is not None
    assert (found.digest, found.message) == (b"d", done("r", 5))
