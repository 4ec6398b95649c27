"""Frames that are lost, doubled, late, swapped or cut: every request ends in exactly one way, and
no text is ever missing, doubled or another's (R17)."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from asking import generate, request, run
from lossy_proxy import LossyProxy
from msgspec.structs import replace

from branchline.lang import connection as connection_module
from branchline.lang.client import ZmqConnection
from branchline.lang.errors import GenerationError
from branchline.lang.launch import RuntimeProcess
from branchline.runtime.protocol import Chunk, Done, FrontMessage

PROMPTS = [f"the {word} fox" for word in ("quick", "brown", "lazy", "old", "red", "sly", "shy")]


@pytest.mark.parametrize(
    ("number", "rate"),
    [
        (600, 0.02),
        (600, 0.05),
        pytest.param(50_000, 0.001, marks=pytest.mark.nightly),
        pytest.param(50_000, 0.005, marks=pytest.mark.nightly),
    ],
)
@pytest.mark.timeout(7_200)
def test_over_a_line_that_harms_frames_each_request_ends_once_and_right(
    runtime: RuntimeProcess,
    connection: ZmqConnection,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    rate: float,
) -> None:
    """R17."""
    monkeypatch.setattr(connection_module, "RESEND_S", 0.2)
    expected = {prompt: generate(connection, prompt).outputs[0].text for prompt in PROMPTS}
    failed_before = run(connection.info()).stats["failed"]
    proxy = LossyProxy(runtime.address, temporary, 0.0, seed=17)
    line = ZmqConnection(proxy.address)
    proxy.rate = rate
    ends: Counter[str] = Counter()

    async def ask(index: int) -> None:
        prompt = PROMPTS[index % len(PROMPTS)]
        text, done = "", None
        try:
            asked = request(line, prompt, stream=bool(index % 2))
            async for reply in line.generate(asked):
                assert done is None, "something came after the end"
                if isinstance(reply, Chunk):
                    text += reply.text
                else:
                    done = reply
        except GenerationError:
            ends["error"] += 1
            return
        assert isinstance(done, Done)
        assert done.outputs[0].text == expected[prompt]
        assert text == (expected[prompt] if index % 2 else "")
        ends["done"] += 1

    async def ask_all() -> None:
        room = asyncio.Semaphore(32)

        async def one(index: int) -> None:
            async with room, asyncio.timeout(60):
                await ask(index)

        async with asyncio.TaskGroup() as group:
            for index in range(number):
                group.create_task(one(index))

    line._loop_thread.run(ask_all(), timeout_s=7_000)
    proxy.rate = 0.0
    print(f"{number} at {rate}: {dict(ends)}; {proxy.harm.total()} frames harmed")
    assert ends["done"] + ends["error"] == number
    # A cut frame ends the connection and all that ran over it; everything else heals or is one's
    # own loss.
    assert ends["done"] > number / 10
    assert len(proxy.harm) >= 3
    line.close()
    proxy.close()
    stats = run(connection.info()).stats
    assert stats["failed"] == failed_before


def test_a_client_that_does_not_count_its_pieces_would_be_seen(
    runtime: RuntimeProcess,
    connection: ZmqConnection,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Planted: it takes every piece for the next one, and any end for the end of all."""
    dispatch = ZmqConnection._dispatch

    def careless(line: ZmqConnection, message: FrontMessage) -> None:
        call = line._calls.get(message.rid or "") if isinstance(message, Chunk) else None
        if isinstance(message, Chunk) and call is not None:
            message = replace(message, seq=call.next_seq)
        elif isinstance(message, Done):
            message = replace(message, num_chunks=0)
        dispatch(line, message)

    monkeypatch.setattr(ZmqConnection, "_dispatch", careless)
    with pytest.raises(ExceptionGroup) as caught:
        test_over_a_line_that_harms_frames_each_request_ends_once_and_right(
            runtime, connection, temporary, monkeypatch, 600, 0.05
        )
    assert caught.group_contains(AssertionError)
