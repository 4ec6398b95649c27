"""S7: how long a wrong key takes does not tell where it is wrong."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from branchline.runtime.server.http import gate as gate_module
from branchline.runtime.server.http.door import Door
from branchline.runtime.server.http.gate import Gate
from branchline.runtime.server.http.metrics import Metrics
from branchline.runtime.server.http.settings import parse_http

KEY = "k" * 64
NUM_SAMPLES = 20_000


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("a wrong key came through")


def time_of(gate: Gate, key: str) -> int:
    """Nanoseconds of one refusal."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/generate",
        "raw_path": b"/generate",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {key}".encode())],
        "state": {},
    }
    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Message:
        raise AssertionError("the body was read")

    start_ns = time.perf_counter_ns()
    # Nothing in there waits, so one step of the coroutine is all of it.
    with pytest.raises(StopIteration):
        gate(scope, receive, send).send(None)
    taken_ns = time.perf_counter_ns() - start_ns
    assert statuses == [401]
    return taken_ns


def welch_t(first: list[int], second: list[int]) -> float:
    spread = statistics.variance(first) / len(first) + statistics.variance(second) / len(second)
    return (statistics.fmean(first) - statistics.fmean(second)) / math.sqrt(spread)


def trimmed(samples: list[int]) -> list[int]:
    """Without the slowest twentieth: other processes made those."""
    return sorted(samples)[: len(samples) * 19 // 20]


def t_of(num_samples: int) -> float:
    """Of the times of a key that is wrong at once and one that is wrong at its end."""
    gate = Gate(nothing, parse_http("127.0.0.1:0", [KEY], []), Door(Metrics()))
    early, late = "x" + KEY[1:], KEY[:-1] + "x"
    times: dict[str, list[int]] = {early: [], late: []}
    for key in (early, late):
        for _ in range(num_samples // 20):
            time_of(gate, key)
    for index in range(num_samples):
        for key in (early, late) if index % 2 else (late, early):
            times[key].append(time_of(gate, key))
    return welch_t(trimmed(times[early]), trimmed(times[late]))


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_key_that_is_wrong_at_its_end_takes_no_longer_than_one_wrong_at_once() -> None:
    t = t_of(NUM_SAMPLES)
    print(f"Welch's t of {NUM_SAMPLES} samples each: {t:.2f}")
    assert abs(t) < 4.5


def test_a_comparison_that_stops_at_the_first_difference_would_be_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Planted: the keys themselves, byte by byte, at 20 ns each of a clock that jitters by 200."""
    now_ns = 0
    jitter = random.Random(7)

    def compare(first: bytes, second: bytes) -> bool:
        nonlocal now_ns
        for one, other in zip(first, second, strict=True):
            now_ns += 20
            if one != other:
                return False
        return True

    def clock() -> int:
        return now_ns + jitter.randrange(200)

    assert abs(t_of_played(monkeypatch, compare, clock)) > 4.5
    assert abs(t_of_played(monkeypatch, lambda first, second: first == second, clock)) < 4.5


def t_of_played(
    monkeypatch: pytest.MonkeyPatch,
    compare: Callable[[bytes, bytes], bool],
    clock: Callable[[], int],
) -> float:
    with monkeypatch.context() as patch:
        patch.setattr("branchline.runtime.server.http.settings.digest", lambda key: key)
        patch.setattr(gate_module, "digest", lambda key: key)
        patch.setattr(gate_module.hmac, "compare_digest", compare)
        patch.setattr(time, "perf_counter_ns", clock)
        return t_of(500)
