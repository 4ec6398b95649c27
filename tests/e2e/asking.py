"""Short forms of requests for the end-to-end tests."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Coroutine
from typing import Any, TypeVar

from branchline.lang.connection import Connection
from branchline.lang.loop import shared_loop
from branchline.runtime.protocol import Chunk, Done, Generate, SamplingParams, Text

Result = TypeVar("Result")

# More tokens than the tiny model generates within any of the tests' waits.
ENDLESS = 3_500


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    return shared_loop().run(coroutine, timeout_s=60)


def spawn(coroutine: Coroutine[Any, Any, Result]) -> concurrent.futures.Future[Result]:
    return shared_loop().spawn(coroutine)


def request(
    connection: Connection,
    prompt: str = "the quick brown",
    num_tokens: int = 8,
    *,
    stream: bool = False,
    timeout_s: float | None = None,
    **sampling: Any,
) -> Generate:
    """A greedy generation of exactly `num_tokens`."""
    settings = {"temperature": 0.0, "ignore_eos": True, **sampling}
    return Generate(
        rid=connection.new_rid(),
        prompt=[Text(prompt)],
        sampling=SamplingParams(max_new_tokens=num_tokens, **settings),
        stream=stream,
        timeout_s=timeout_s,
    )


def generate(connection: Connection, *args: Any, **kw: Any) -> Done:
    return run(connection.complete(request(connection, *args, **kw)))


def stream(connection: Connection, *args: Any, **kw: Any) -> tuple[list[Chunk], Done]:
    async def collect() -> list[Chunk | Done]:
        return [m async for m in connection.generate(request(connection, *args, stream=True, **kw))]

    *chunks, done = run(collect())
    assert isinstance(done, Done)
    return [chunk for chunk in chunks if isinstance(chunk, Chunk)], done


def num_running(connection: Connection) -> float:
    stats = run(connection.info()).stats
    return stats["running"] + stats["waiting"]
