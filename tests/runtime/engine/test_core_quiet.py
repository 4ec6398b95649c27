"""Sequences that nobody reads along with: their news wait for further ones."""

from __future__ import annotations

import pytest
from world import Heard, World

from branchline.runtime.engine import reporting
from branchline.runtime.engine_protocol import NextCall, Progress
from branchline.runtime.protocol import LogprobParams, SamplingParams

PROMPT = [5, 6, 7, 8]


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(reporting, "monotonic", clock)
    return clock


def steps(world: World, clock: Clock, seconds: float) -> list[Progress]:
    """Run to the end, with so much time between two steps; the news."""
    news: list[Progress] = []
    while world.core.has_work:
        news += world.step().progress
        clock.now_s += seconds
    return news


def quiet(world: World, max_new_tokens: int, **wishes: object) -> Heard:
    return world.submit(PROMPT, max_new_tokens, quiet=True, ignore_eos=True, **wishes)


def test_a_quick_call_is_told_of_once(clock: Clock) -> None:
    world = World()
    heard = quiet(world, 8)
    assert [len(news.token_ids) for news in steps(world, clock, 0.001)] == [8]
    world.assert_right(heard)


def test_a_slow_call_is_told_of_now_and_then(clock: Clock) -> None:
    world = World()
    heard = quiet(world, 8)
    assert [len(news.token_ids) for news in steps(world, clock, 0.02)] == [2, 3, 3]
    world.assert_right(heard)


def test_news_tell_for_how_long_they_were_held(clock: Clock) -> None:
    world = World()
    quiet(world, 5)
    first, last = steps(world, clock, 0.004)
    assert first.held_s == pytest.approx(0.012)
    assert last.held_s == 0.0


def test_what_is_told_once_comes_with_the_first_news_of_the_next_call(clock: Clock) -> None:
    world = World()
    params = SamplingParams(max_new_tokens=3, temperature=0.0, ignore_eos=True)
    first = quiet(world, 3, then=[NextCall([1, 2], params)])
    assert len(steps(world, clock, 0.001)) == 2
    assert first.heir is not None
    assert first.heir.cached_tokens == len(PROMPT) + 2
    world.assert_right(first.heir)


def test_log_probabilities_wait_with_their_tokens(clock: Clock) -> None:
    world = World()
    heard = quiet(world, 6, logprobs=LogprobParams())
    steps(world, clock, 0.001)
    assert [entry.token_id for entry in heard.logprobs] == heard.token_ids


def test_who_reads_along_is_told_of_every_step(clock: Clock) -> None:
    world = World()
    world.submit(PROMPT, 4, ignore_eos=True)
    assert [len(news.token_ids) for news in steps(world, clock, 0.001)] == [1, 1, 1, 1]


def calls(count: int) -> list[NextCall]:
    params = SamplingParams(max_new_tokens=3, temperature=0.0, ignore_eos=True)
    return [NextCall([number], params) for number in range(1, count + 1)]


def test_calls_that_go_on_quickly_are_told_of_with_the_last_but_one(clock: Clock) -> None:
    world = World()
    first = quiet(world, 3, then=calls(2))
    told = []
    while world.core.has_work:
        told.append(len(world.step().progress))
        clock.now_s += 0.001
    assert [number for number in told if number] == [2, 1]
    while first is not None:
        world.assert_right(first)
        first = first.heir


def test_a_call_that_goes_on_says_how_long_its_news_have_waited(clock: Clock) -> None:
    world = World()
    quiet(world, 3, then=calls(2))
    news = steps(world, clock, 0.004)
    # Its first token for two steps at its end, which has waited for three when the second call
    # ends: behind that comes the last.
    assert [one.goes_on for one in news] == [True, True, False]
    assert news[0].held_s == pytest.approx(0.008 + 0.012)


def test_a_call_that_goes_on_is_told_of_with_whatever_else_is_told(clock: Clock) -> None:
    world = World()
    quiet(world, 3, then=calls(2))
    [seq] = world.core.sequences
    outbox = reporting.Outbox()
    outbox.add(seq, Progress(seq.sid, [7], finish="length", goes_on=True))
    assert outbox.take(at_once=False) == []
    assert [news.token_ids for news in outbox.take(at_once=True)] == [[7]]
    assert outbox.take(at_once=True) == []


@pytest.mark.parametrize("private", [True, False])
def test_before_a_program_s_last_call_all_is_told(clock: Clock, private: bool) -> None:
    """Or it would be left to do behind its end."""
    world = World()
    quiet(world, 3, then=calls(1), private=private)
    [seq] = world.core.sequences
    outbox = reporting.Outbox()
    outbox.add(seq, Progress(seq.sid, [7], finish="length", goes_on=True))
    assert [news.token_ids for news in outbox.take(at_once=False)] == [[7]]


@pytest.mark.parametrize(("private", "patience_s"), [(True, 0.2), (False, 0.03)])
def test_who_waits_for_a_call_decides_how_long_its_end_may_wait(
    clock: Clock, private: bool, patience_s: float
) -> None:
    world = World()
    quiet(world, 3, then=calls(2), private=private)
    [seq] = world.core.sequences
    outbox = reporting.Outbox()
    outbox.add(seq, Progress(seq.sid, [7], finish="length", goes_on=True))
    clock.now_s += patience_s - 0.001
    assert outbox.take(at_once=False) == []
    clock.now_s += 0.001
    assert [news.token_ids for news in outbox.take(at_once=False)] == [[7]]
