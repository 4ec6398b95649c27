"""R6: clients by the thousand that are gone at any byte of what they ask or are told, beside some
that stay."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import statistics
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hash_front import HashFront, TokenAsker
from hash_runner import continuation

from branchline.runtime.engine_protocol import Drop, EngineCommand, Submit
from branchline.runtime.tokenizer import Tokenizer

NUM_STREAMS = NUM_OTHERS = 1_000
NUM_STAYING = 200
# Twice as many at a time as run: half of those that leave have not begun.
NUM_AT_ONCE, MAX_RUNNING = 32, 16
RESET = struct.pack("ii", 1, 0)


class WatchedFront(HashFront):
    """Notes which sequence a prompt became, and when that was dropped."""

    def __init__(self, tokenizer: Tokenizer, num_slots: int, **config: Any) -> None:
        self.sids: dict[tuple[int, ...], int] = {}
        self.dropped_s: dict[int, float] = {}
        super().__init__(tokenizer, num_slots, **config)

    def _to_engine(self, command: EngineCommand) -> None:
        super()._to_engine(command)
        match command:
            case Submit(sid=sid, input_ids=ids):
                self.sids[tuple(ids)] = sid
            case Drop(sid=sid):
                self.dropped_s[sid] = time.monotonic()


def leave(front: WatchedFront, number: int) -> tuple[tuple[int, ...], float]:
    """Ask and be gone, somewhere on the way; the prompt, and when it was."""
    assert front.server is not None
    rng = random.Random(number)
    prompt = [5 + number % 250, 5 + number // 250, *rng.choices(range(5, 255), k=200)]
    prompt = prompt[: rng.randint(2, 200)]
    streams = number < NUM_STREAMS
    sampling = {"temperature": 0, "ignore_eos": True, "max_new_tokens": 4_000}
    body = json.dumps({"input_ids": prompt, "sampling_params": sampling, "stream": streams})
    head = "POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    words = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    host, _, port = front.server.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        if rng.random() < 0.1:
            connection.sendall(words[: rng.randrange(len(words))])
        else:
            connection.sendall(words)
            if streams:
                left = rng.randrange(3_000)
                while left > 0:
                    left -= len(connection.recv(left))
            elif rng.random() < 0.8:
                front.wait_until(lambda: tuple(prompt) in front.sids)
        if rng.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        gone_s = time.monotonic()
    return tuple(prompt), gone_s


def stay(front: WatchedFront, number: int) -> bool:
    """Whether somebody who waits is told what is right."""
    prompt = [5 + number % 50, 7, 9, *range(10, 10 + number % 40)]
    answer = TokenAsker(front).ask(prompt, 20)
    return bool(answer["output_ids"] == continuation(prompt, 20, front.tokenizer.vocab_size))


def num_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="counts files in /proc")
def test_two_thousand_clients_are_gone_and_nothing_of_them_stays(tokenizer: Tokenizer) -> None:
    """Prints how long what they asked for held its slots."""
    front = WatchedFront(tokenizer, 30_000, max_running=MAX_RUNNING, chunk_tokens=64)
    server = front.listen()
    try:
        assert stay(front, 0)
        files = num_files()
        numbers = list(range(NUM_STREAMS + NUM_OTHERS))
        random.Random(6).shuffle(numbers)
        with ThreadPoolExecutor(NUM_AT_ONCE) as leaving, ThreadPoolExecutor(4) as staying:
            told = [staying.submit(stay, front, number) for number in range(NUM_STAYING)]
            gone = list(leaving.map(lambda number: leave(front, number), numbers))
            assert all(future.result() for future in told)
        front.wait_until(lambda: not front.core.has_work and server._link.num_open == 0)
        front.wait_until(lambda: num_files() <= files)
        tasks = asyncio.all_tasks(server._loop)
        stats = front.core.stats()
        num_open = front.service.num_in_flight
    finally:
        front.close()
    sids = {prompt: front.sids[prompt] for prompt, _ in gone if prompt in front.sids}
    assert len(sids) > 1_000
    assert set(sids.values()) <= set(front.dropped_s), "somebody's answer was made to its end"
    held_ms = [(front.dropped_s[sids[p]] - gone_s) * 1000 for p, gone_s in gone if p in sids]
    cuts = statistics.quantiles(held_ms, n=100)
    print(f"{len(sids)} were served and left; held for p50 {cuts[49]:.1f}, p99 {cuts[98]:.1f} ms")
    assert num_open == 0
    assert len(tasks) <= 2, tasks
    assert stats["free_slots"] + stats["cached_tokens"] == stats["num_slots"]
