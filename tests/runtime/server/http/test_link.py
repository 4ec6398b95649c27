"""Answers on their way from the service to those who read them: to a task, or past it through a
pipe."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

import pytest

from branchline.runtime.protocol import Chunk, Done, FrontMessage, Generate, Text, Usage
from branchline.runtime.server.http.link import Arrival, Call, Link


class Taker:
    """A pipe that notes what it takes."""

    def __init__(self, *, is_open: bool = True, fails: bool = False) -> None:
        self.is_open = is_open
        self.fails = fails
        self.taken: list[int] = []

    def push(self, pieces: list[Arrival]) -> bool:
        if self.fails:
            raise ArithmeticError("a defect")
        if self.is_open:
            self.taken += numbers(pieces)
        return self.is_open


def numbers(arrivals: Iterable[Arrival]) -> list[int]:
    return [message.seq for _, message in arrivals if isinstance(message, Chunk)]


class Conversation:
    """A link whose service is the test."""

    def __init__(self) -> None:
        self.link = Link(lambda message: None)

    def start(self) -> Call:
        return self.link.start([Generate(rid="-", prompt=[Text("hello")])])

    def say(self, call: Call, *seqs: int, end: bool = False) -> None:
        (rid,) = call._rids
        messages: list[FrontMessage] = [Chunk(rid, seq, 0, "x", [1]) for seq in seqs]
        if end:
            messages.append(Done(rid, [], Usage(1, len(seqs), 0)))
        self.link.deliver(messages)


async def woken(call: Call) -> bool:
    """Whether the task that reads the call has something to do."""
    await asyncio.sleep(0)
    return call._news.is_set()


def test_pieces_pass_by_the_task_and_the_end_does_not() -> None:
    async def scenario() -> None:
        talk, taker = Conversation(), Taker()
        call = talk.start()
        call.pipe = taker
        talk.say(call, 0, 1)
        talk.say(call, 2)
        assert not await woken(call)
        talk.say(call, 3, end=True)
        assert await woken(call)
        assert taker.taken == [0, 1, 2, 3]
        (end,) = await call.take()
        assert isinstance(end[1], Done)
        assert call.finished

    asyncio.run(scenario())


def test_a_closed_pipe_leaves_its_pieces_to_the_task() -> None:
    async def scenario() -> None:
        talk, taker = Conversation(), Taker(is_open=False)
        call = talk.start()
        call.pipe = taker
        talk.say(call, 0, 1)
        assert numbers(await call.take()) == [0, 1]
        assert taker.taken == []

    asyncio.run(scenario())


def test_a_pipe_passes_nothing_by_the_task_that_still_writes() -> None:
    async def scenario() -> None:
        talk, taker = Conversation(), Taker()
        call = talk.start()
        talk.say(call, 0)
        call.pipe = taker
        await call.take()
        talk.say(call, 1)
        assert call.has_news
        assert taker.taken == []

    asyncio.run(scenario())


def test_what_fails_in_a_pipe_ends_its_own_call_alone() -> None:
    async def scenario() -> None:
        talk, taker = Conversation(), Taker()
        broken, sound = talk.start(), talk.start()
        broken.pipe, sound.pipe = Taker(fails=True), taker
        (first,), (second,) = broken._rids, sound._rids
        talk.link.deliver([Chunk(first, 0, 0, "x", [1]), Chunk(second, 0, 0, "x", [1])])
        assert taker.taken == [0]
        with pytest.raises(ArithmeticError):
            await broken.take()

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(20))
def test_in_any_order_of_events_every_piece_comes_once_and_in_its_place(seed: int) -> None:
    """The pipe opens and closes, batches come before and while the task writes."""
    chance = random.Random(seed)

    async def scenario() -> None:
        talk, taker = Conversation(), Taker()
        call = talk.start()
        batches = iter([[number] for number in range(200)])

        def say_some() -> None:
            for _ in range(chance.randrange(3)):
                if (batch := next(batches, None)) is not None:
                    talk.say(call, *batch)
                    taker.is_open = chance.random() < 0.7

        async def read() -> None:
            while not call.finished:
                pieces = await call.take()
                say_some()  # while it writes
                taker.taken += numbers(pieces)
                if not call.has_news:
                    call.pipe = taker

        reader = asyncio.create_task(read())
        while call._num_unfinished:
            say_some()
            await asyncio.sleep(0)
            if (batch := next(batches, None)) is None:
                talk.say(call, end=True)
            else:
                talk.say(call, *batch)
        await reader
        assert taker.taken == list(range(200))

    asyncio.run(scenario())
