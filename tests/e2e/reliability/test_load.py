"""Many clients at once: every answer right, and what the front process pays for it. Nightly: they
need a machine of their own, and print their figures."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from asking import request, spawn

from branchline.lang.client import ZmqConnection
from branchline.lang.launch import RuntimeProcess
from branchline.lang.loop import shared_loop
from branchline.loadgen import Target, get_json, stream

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1_700)]

Start = Callable[..., RuntimeProcess]

NUM_STREAMS = 1_000
NUM_PROMPTS = 50
ROUNDS = 4
ANSWERS_MIB = 8


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_s(pid: int) -> float:
    """What a process has computed so far, in user and system time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def text_of(target: Target, prompt: str, num_tokens: int) -> str:
    asked = {"temperature": 0, "max_tokens": num_tokens, "ignore_eos": True, "stream": True}
    events = stream(target, "/v1/completions", {"prompt": prompt, **asked})
    return "".join(
        [choice["text"] async for event in events for choice in event.get("choices", ())]
    )


async def health_s(target: Target, over: asyncio.Event) -> list[float]:
    """How long /health and /ready take, asked in turn until it is over (R21)."""
    times_s: list[float] = []
    while not over.is_set():
        begun_s = time.perf_counter()
        await get_json(target, ("/health", "/ready")[len(times_s) % 2])  # anything but 200 raises
        times_s.append(time.perf_counter() - begun_s)
        await asyncio.sleep(0.05)
    return times_s


async def all_of(calls: list[Coroutine[Any, Any, str]]) -> list[str]:
    return await asyncio.gather(*calls)


def test_a_thousand_streams_are_each_right_and_the_front_does_not_grow() -> None:
    """On the embedded model; nothing lost, nothing mixed, memory flat after the first round."""
    prompts = [f"Order number {index} has arrived." for index in range(NUM_PROMPTS)]
    with RuntimeProcess("embedded", http="127.0.0.1:0", max_running=256) as process:
        target = Target(str(process.http_url), "")
        alone = [spawn(text_of(target, prompt, 48)).result(120) for prompt in prompts]
        assert len(set(alone)) > 1
        sizes: list[float] = []
        looks_s: list[float] = []
        for _ in range(ROUNDS):
            calls = [text_of(target, prompts[i % NUM_PROMPTS], 48) for i in range(NUM_STREAMS)]
            over = asyncio.Event()
            looking = spawn(health_s(target, over))
            texts = spawn(all_of(calls)).result(600)
            shared_loop().loop.call_soon_threadsafe(over.set)
            looks_s += looking.result(60)
            wrong = sum(text != alone[index % NUM_PROMPTS] for index, text in enumerate(texts))
            assert wrong == 0
            sizes.append(resident_mib(process.pid))
    p50, p99 = (1000 * statistics.quantiles(looks_s, n=100)[index] for index in (49, 98))
    print(f"{len(looks_s)} looks at /health and /ready: p50 {p50:.1f}, p99 {p99:.1f} ms")
    shown = ", ".join(f"{size:.1f}" for size in sizes)
    print(f"{ROUNDS} x {NUM_STREAMS} streams right; MiB of the front after each round: {shown}")
    # The table of answers that are kept fills up meanwhile.
    assert sizes[-1] <= sizes[0] * 1.05 + ANSWERS_MIB


def test_what_a_token_costs_the_front_process(start: Start) -> None:
    """64 streams of 500 tokens each, over ZeroMQ and over HTTP: CPU of the front alone."""
    process = start(http="127.0.0.1:0")
    connection = ZmqConnection(process.address)
    target = Target(str(process.http_url), "")

    async def over_zmq() -> str:
        asked = request(connection, num_tokens=500, stream=True)
        return "".join([str(message) async for message in connection.generate(asked)])

    def cost_ms(calls: Callable[[], list[Coroutine[Any, Any, str]]]) -> float:
        spawn(all_of(calls())).result(300)  # warm
        before_s = cpu_s(process.pid)
        spawn(all_of(calls())).result(300)
        return (cpu_s(process.pid) - before_s) * 1000 / (64 * 500)

    zmq_ms = cost_ms(lambda: [over_zmq() for _ in range(64)])
    http_ms = cost_ms(lambda: [text_of(target, "the quick brown", 500) for _ in range(64)])
    print(f"ZeroMQ {zmq_ms:.3f} ms, HTTP {http_ms:.3f} ms of CPU for each token")
    connection.close()
    assert zmq_ms <= 0.05
    assert http_ms - zmq_ms <= 0.15
