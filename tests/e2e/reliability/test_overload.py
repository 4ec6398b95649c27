"""More clients than can be served at once, and clients that hardly read (R13, R16). Nightly: they
print their figures."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import socket
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from asking import run, spawn
from processes import resident_bytes

from branchline.lang.client import ZmqConnection
from branchline.lang.launch import RuntimeProcess

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1_700)]

Start = Callable[..., RuntimeProcess]

KEYS = [f"the-key-of-tenant-{number}" for number in range(8)]
NUM_TOKENS = 48
PROMPTS = [f"the {word} fox" for word in ("quick", "brown", "lazy", "old", "sly")]
MAX_RUNNING, MAX_WAITING = 64, 192


async def post(host: str, key: str, body: dict[str, Any]) -> tuple[int, bytes]:
    """One request on a connection of its own: the status, and all that was answered."""
    name, _, port = host.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    text = json.dumps(body).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    head += f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text)
    try:
        answer = await reader.read()
    finally:
        writer.close()
    assert answer.startswith(b"HTTP/1.1 "), answer[:80]
    return int(answer.split()[1]), answer


@dataclass
class Load:
    """So many requests of the tenants in turn, at most so many at a time. Who is refused comes back
    when told to."""

    host: str
    expected: dict[str, str]
    num_sent: int = 0
    refused_s: list[float] = field(default_factory=list)
    served_s: list[float] = field(default_factory=list)
    tenants: list[str] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)

    async def _one(self, index: int, room: asyncio.Semaphore) -> None:
        key, prompt = KEYS[index % len(KEYS)], PROMPTS[index % len(PROMPTS)]
        body = {"prompt": prompt, "temperature": 0, "max_tokens": NUM_TOKENS, "ignore_eos": True}
        async with room:
            while True:
                self.num_sent += 1
                begun_s = time.perf_counter()
                status, answer = await post(self.host, key, body)
                now_s = time.perf_counter()
                if status == 200:
                    break
                head = answer.partition(b"\r\n\r\n")[0].lower()
                if status not in (429, 503) or b"retry-after: " not in head:
                    self.problems[f"{status} {answer[-200:]!r}"] += 1
                    return
                self.refused_s.append(now_s - begun_s)
                await asyncio.sleep(random.uniform(0.5, 1.5))
        text = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])["choices"][0][
            "text"
        ]
        self.problems["wrong text"] += text != self.expected[prompt]
        self.served_s.append(now_s)
        self.tenants.append(key)

    async def run(self, number: int, at_once: int) -> float:
        """How many requests were served per second."""
        room = asyncio.Semaphore(at_once)
        begun_s = time.perf_counter()
        await asyncio.gather(*(self._one(index, room) for index in range(number)))
        return len(self.served_s) / (max(self.served_s) - begun_s)

    @property
    def fairness(self) -> float:
        """Jain's index over the tenants' shares of the first half of what was served."""
        shares = Counter(self.tenants[: len(self.tenants) // 2]).values()
        return sum(shares) ** 2 / (len(KEYS) * sum(share**2 for share in shares))


@pytest.mark.parametrize(
    ("number", "at_once"),
    [(3_000, 1_000), (4_096, 1_024), (10_000, 2_000)],
    ids=lambda value: str(value),
)
def test_what_is_too_much_is_refused_at_once_and_the_rest_served_as_before(
    start: Start, number: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R13."""
    monkeypatch.setenv("BRANCHLINE_API_KEY", " ".join(KEYS))
    process = start(http="127.0.0.1:0", max_running=MAX_RUNNING, max_waiting=MAX_WAITING)
    host = str(process.http_url).removeprefix("http://")

    async def alone(prompt: str) -> str:
        asked = {"temperature": 0, "max_tokens": NUM_TOKENS, "ignore_eos": True}
        _, answer = await post(host, KEYS[0], {"prompt": prompt, **asked})
        return str(json.loads(answer[answer.index(b"{") :])["choices"][0]["text"])

    expected = {prompt: run(alone(prompt)) for prompt in PROMPTS}

    def idle_s() -> float:
        begun_s = time.perf_counter()
        run(alone(PROMPTS[0]))
        return time.perf_counter() - begun_s

    usual_s = statistics.median(idle_s() for _ in range(20))
    peak = spawn(Load(host, expected).run(1_000, MAX_RUNNING + MAX_WAITING // 2)).result(600)
    before = resident_bytes(process.pid)
    load = Load(host, expected)
    rate = spawn(load.run(number, at_once)).result(1_500)
    grown_mib = (resident_bytes(process.pid) - before) / 2**20
    ended_s = time.perf_counter()
    while idle_s() > 2 * usual_s:
        assert time.perf_counter() - ended_s <= 5, "it does not come back to what is usual"
    refused_ms = [1000 * value for value in load.refused_s]
    p50, p99 = (statistics.quantiles(refused_ms, n=100)[i] for i in (49, 98))
    print(
        f"{number} at {at_once}: {load.num_sent} sent, {len(load.served_s)} served, "
        f"{len(load.refused_s)} refused after p50 {p50:.1f}, p99 {p99:.1f} ms; "
        f"{rate / peak:.2f} of the peak of {peak:.0f}/s; fairness {load.fairness:.3f}; "
        f"{grown_mib:.0f} MiB more; usual again after {time.perf_counter() - ended_s:.1f} s"
    )
    assert +load.problems == Counter()
    assert len(load.served_s) == number
    assert load.num_sent == len(load.served_s) + len(load.refused_s)
    assert grown_mib <= 256
    assert load.fairness >= 0.95
    # The load comes from this process, and a thousand clients that ask again take a core from the
    # runtime on a small machine: goodput and the time to a refusal are `bench.serving`'s to hold.


NUM_SLOW, NUM_NORMAL = 400, 50


async def slow_stream(host: str, pace: float | None, over: asyncio.Event) -> None:
    """Ask for a long stream and read it: None as fast as it comes, else so many bytes a second."""
    name, _, port = host.rpartition(":")
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, (name, int(port)))
    reader, writer = await asyncio.open_connection(sock=small, limit=4_096)
    body = json.dumps(
        {"prompt": "the fox", "max_tokens": 4_000, "ignore_eos": True, "stream": True}
    )
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    while not over.is_set():
        if pace is None:
            await reader.read(65_536)
        elif pace == 0:
            await over.wait()
        else:
            await reader.read(int(pace))
            await asyncio.sleep(1.0)
    writer.close()


async def gaps_beside(host: str, paces: list[float | None], num_tokens: int) -> list[float]:
    """Times between two tokens of those who read as usual, beside 400 who do not."""
    over = asyncio.Event()
    slow = [asyncio.create_task(slow_stream(host, pace, over)) for pace in paces]
    name, _, port = host.rpartition(":")

    async def normal() -> list[float]:
        reader, writer = await asyncio.open_connection(name, int(port))
        body = json.dumps(
            {"prompt": "a", "max_tokens": num_tokens, "ignore_eos": True, "stream": True}
        )
        kind = "Content-Type: application/json\r\n"
        head = f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\n{kind}"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        times: list[float] = []
        while (line := await reader.readline()) and line != b"data: [DONE]\n":
            if line.startswith(b"data: "):
                times.append(time.perf_counter())
        writer.close()
        assert line == b"data: [DONE]\n"
        return [after - before for before, after in itertools.pairwise(times)]

    found = await asyncio.gather(*(normal() for _ in range(NUM_NORMAL)))
    over.set()
    await asyncio.gather(*slow, return_exceptions=True)
    return [gap for gaps in found for gap in gaps]


def test_who_hardly_reads_slows_nobody_else(start: Start) -> None:
    """R16: 200 at 100 bytes a second and 200 that stop, beside 50; compared with 400 that read."""
    process = start(
        http="127.0.0.1:0", kv_slots=500_000, max_running=NUM_SLOW + NUM_NORMAL, max_waiting=1_000
    )
    host = str(process.http_url).removeprefix("http://")
    connection = ZmqConnection(process.address)
    before = resident_bytes(process.pid)
    kinds: dict[str, list[float | None]] = {
        "all read": [None] * NUM_SLOW,
        "half slow, half stopped": [100.0, 0.0] * (NUM_SLOW // 2),
    }
    p99_ms: dict[str, float] = {}
    for kind, paces in kinds.items():
        gaps = spawn(gaps_beside(host, paces, 300)).result(800)
        p99_ms[kind] = 1000 * statistics.quantiles(gaps, n=100)[98]
        while run(connection.info()).stats["running"]:
            time.sleep(0.1)
    grown_mib = (resident_bytes(process.pid) - before) / 2**20
    ratio = p99_ms["half slow, half stopped"] / p99_ms["all read"]
    print(f"between two tokens p99 {p99_ms} ms, x{ratio:.2f}; {grown_mib:.0f} MiB more")
    connection.close()
    assert grown_mib <= 64 + NUM_SLOW * 64 / 1024
    assert ratio <= 1.2
