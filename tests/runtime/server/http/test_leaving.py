"""Clients that leave: what they asked for stops."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import pytest
from played_front import Asker, PlayedFront

from branchline.runtime.engine_protocol import Submit
from branchline.runtime.protocol import Cancel, Chunk, ClientMessage, Done, Generate, Text, Usage
from branchline.runtime.server.http.answer import EventStream
from branchline.runtime.server.http.link import Arrival, Link
from branchline.runtime.server.http.metrics import Metrics

CHAT = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize(
    ("path", "fields", "count"),
    [
        ("/v1/chat/completions", {**CHAT, "n": 3}, 3),
        ("/v1/completions", {"prompt": ["a", "b"]}, 2),
        ("/generate", {"text": ["a", "b"]}, 2),
    ],
)
def test_a_client_that_leaves_frees_what_it_asked_for(
    front: PlayedFront,
    asker: Asker,
    path: str,
    fields: dict[str, object],
    count: int,
    steps: int,
    stream: bool,
) -> None:
    front.allow(steps)
    connection = asker.send(path, {**fields, "stream": stream})
    front.wait_until(lambda: len(front.submits) == count and front.steps == 0)
    connection.close()
    front.wait_until(lambda: len(front.dropped) == count)
    assert sorted(front.dropped) == [submit.sid for submit in front.submits]


def test_a_client_that_leaves_in_mid_stream_frees_what_it_asked_for(
    front: PlayedFront, asker: Asker
) -> None:
    front.reply = lambda submit: "good island" * 20
    front.allow(3)
    connection = asker.send("/v1/chat/completions", {**CHAT, "stream": True})
    seen = b""
    while b'"content":"o' not in seen:
        seen += connection.recv(65_536)
    connection.close()
    front.wait_until(lambda: len(front.dropped) == 1)


def test_a_client_that_stops_reading_frees_what_it_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("branchline.runtime.server.http.answer._STALL_S", 0.05)
    posted: list[ClientMessage] = []
    link = Link(posted.append)
    request = Generate(rid="-", prompt=[Text("a")], stream=True)
    stream = EventStream(link, Metrics(), [request], Silent())

    async def never(*arguments: object) -> Any:
        await asyncio.Event().wait()

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await never()

    async def main() -> None:
        task = asyncio.create_task(stream({"type": "http", "path": "/generate"}, never, send))
        while not posted:
            await asyncio.sleep(0)
        [generate] = posted
        assert isinstance(generate, Generate)
        link.deliver([Chunk(generate.rid, 0, 0, "a", [5])])
        await asyncio.wait_for(task, 10)

    asyncio.run(main())
    assert [type(message) for message in posted] == [Generate, Cancel]
    assert link.num_open == 0


def test_what_gathered_for_a_slow_reader_is_written_in_turn_with_other_work() -> None:
    """A hundred events with twenty log probabilities each are ten milliseconds of work."""
    num_messages = 100
    posted: list[ClientMessage] = []
    link = Link(posted.append)
    stream = EventStream(link, Metrics(), [Generate(rid="-", prompt=[Text("a")])], Silent())
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> None:
        reads = asyncio.Event()

        async def never(*arguments: object) -> Any:
            await asyncio.Event().wait()

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.body":
                await reads.wait()

        task = asyncio.create_task(stream({"type": "http", "path": "/generate"}, never, send))
        while not posted:
            await asyncio.sleep(0)
        [generate] = posted
        assert isinstance(generate, Generate)
        rid = generate.rid
        link.deliver([Chunk(rid, number, 0, "a", [5]) for number in range(num_messages)])
        link.deliver([Done(rid, [], Usage(1, num_messages, 0))])
        await asyncio.sleep(0)
        rest = asyncio.create_task(others())
        reads.set()
        await task
        rest.cancel()

    asyncio.run(main())
    assert turns > num_messages / 4


def test_a_slow_reader_who_keeps_others_waiting_would_be_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Planted: all that gathered is written at once."""
    monkeypatch.setattr("branchline.runtime.server.http.answer._AT_ONCE", 1_000)
    with pytest.raises(AssertionError):
        test_what_gathered_for_a_slow_reader_is_written_in_turn_with_other_work()


class Silent:
    """Writes the same event for everything."""

    def events(self, arrivals: list[Arrival]) -> bytes:
        return b"data: {}\n\n"


def test_an_answered_request_is_not_cancelled(front: PlayedFront, asker: Asker) -> None:
    asker.chat()
    *_, last = asker.chat(stream=True).events
    assert last == "[DONE]"
    assert (front.cancelled, front.dropped) == ([], [])


def test_requests_side_by_side_get_their_own_answers(front: PlayedFront, asker: Asker) -> None:
    def shout(submit: Submit) -> str:
        return front.tokenizer.decode(submit.input_ids).upper()

    front.reply = shout
    front.allow(0)
    connections = [
        asker.send("/v1/completions", {"prompt": f"number {i}.", "stream": i % 2 == 0})
        for i in range(40)
    ]
    front.wait_until(lambda: len(front.submits) == 40)
    front.allow(None)
    for i, connection in enumerate(connections):
        answer = b""
        while not (answer.endswith(b"0\r\n\r\n") or (i % 2 and b"finish_reason" in answer)):
            answer += connection.recv(65_536)
        text = "".join(
            json.loads(b"{" + piece.split(b",")[0] + b"}")["text"]
            for piece in (b'"text"' + rest for rest in answer.split(b'"text"')[1:])
        )
        assert text == f"NUMBER {i}."
        connection.close()
