"""The constraints that end or stall other servers, against a real runtime, beside somebody who just
reads a stream (S9)."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import request, run, spawn
from processes import children

from branchline.lang.client import ZmqConnection
from branchline.lang.errors import GenerationError
from branchline.lang.launch import RuntimeProcess
from branchline.runtime.protocol import Chunk, Constraint, Generate, Regex

sys.path.insert(0, str(Path(__file__).parents[2] / "runtime" / "constrained"))

from bombs import bombs

Start = Callable[..., RuntimeProcess]

NUM_TOKENS = 2_000


class Canary:
    """A client that reads one stream after the other, and notes the time between its tokens."""

    def __init__(self, connection: ZmqConnection) -> None:
        self._connection = connection
        self._over = threading.Event()
        self.gaps_s: list[float] = []
        self.texts: set[str] = set()

    async def _read(self) -> None:
        while not self._over.is_set():
            asked = request(self._connection, "canary", NUM_TOKENS, stream=True)
            before_s, text = time.perf_counter(), ""
            async for message in self._connection.generate(asked):
                if isinstance(message, Chunk):
                    now_s = time.perf_counter()
                    self.gaps_s.append(now_s - before_s)
                    before_s, text = now_s, text + message.text
                if self._over.is_set():
                    return
            self.texts.add(text)

    def __enter__(self) -> Canary:
        self._future = spawn(self._read())
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._future.result(60)

    @property
    def p99_ms(self) -> float:
        return statistics.quantiles(self.gaps_s, n=100)[98] * 1000


def outcome(connection: ZmqConnection, bomb: Constraint) -> str:
    asked = request(connection, "the", 4, ignore_eos=False)
    sent = Generate(asked.rid, asked.prompt, asked.sampling, bomb)
    try:
        run(connection.complete(sent))
    except GenerationError as error:
        return error.code
    return "served"


@pytest.mark.nightly
@pytest.mark.timeout(1_700)
def test_no_bomb_slows_the_stream_beside_it_or_ends_the_engine(start: Start) -> None:
    """Prints how long the slowest took, and the canary's time between tokens beside an idle one."""
    process = start()
    connection = ZmqConnection(process.address)
    engine = children(process.pid)
    with Canary(connection) as idle:
        time.sleep(10)
    ends = Counter[str]()
    times_s: list[tuple[float, str]] = []
    with Canary(connection) as canary:
        for bomb in bombs():
            begun_s = time.perf_counter()
            ends[outcome(connection, bomb)] += 1
            times_s.append((time.perf_counter() - begun_s, repr(bomb)[:70]))
    slowest = sorted(times_s, reverse=True)[:5]
    ratio = canary.p99_ms / idle.p99_ms
    print(
        f"{dict(ends)}; between two tokens of the canary p99 {canary.p99_ms:.1f} ms, x{ratio:.2f}"
    )
    print(*slowest, sep="\n")
    assert ends.keys() <= {"served", "grammar", "invalid_request", "context_length"}
    assert children(process.pid) == engine
    assert len(canary.texts | idle.texts) == 1
    assert outcome(connection, Regex("[a-z]{3}")) in ("served", "grammar")
    assert slowest[0][0] <= 2.5, slowest
    assert ratio <= 2
    connection.close()
