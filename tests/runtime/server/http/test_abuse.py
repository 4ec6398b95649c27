"""S17, R16: a thousand clients that misbehave, beside one that does not (nightly: they hold sockets
for as long as the server's deadlines are)."""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from played_front import Asker, PlayedFront

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(600)]

NUM_ABUSERS = 1_000
JSON = "Content-Type: application/json\r\n"
POST = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n{JSON}"
STREAM = '{"prompt": "hello", "max_tokens": 200, "stream": true}'


def rss_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def num_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class Canary:
    """A client that behaves, one request after the other, all along."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._ends = threading.Event()
        self.times_s: list[float] = []
        self.wrong: list[bytes] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._ends.is_set():
            start_s = time.perf_counter()
            answer = self._asker.post("/v1/completions", prompt="hello", max_tokens=4)
            self.times_s.append(time.perf_counter() - start_s)
            if answer.status != 200:
                self.wrong.append(answer.body)

    def __enter__(self) -> Canary:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    @property
    def p99_s(self) -> float:
        return statistics.quantiles(self.times_s, n=100)[98]


def idle_p99_s(asker: Asker) -> float:
    with Canary(asker) as canary:
        while len(canary.times_s) < 300:
            time.sleep(0.05)
    return canary.p99_s


@contextlib.contextmanager
def abusers(asker: Asker, say: Callable[[socket.socket], None]) -> Iterator[list[socket.socket]]:
    """Connections that have said their first words."""
    sockets: list[socket.socket] = []
    try:
        for _ in range(NUM_ABUSERS):
            connection = socket.create_connection(asker.address, timeout=60)
            sockets.append(connection)
            with contextlib.suppress(OSError):
                say(connection)
        yield sockets
    finally:
        for connection in sockets:
            connection.close()


def drip(sockets: list[socket.socket], every_s: float, at_most_s: float) -> float:
    """Send a byte on each now and then until the server has closed them all; how long that took."""
    start_s = time.monotonic()
    left = list(sockets)
    for connection in left:
        connection.setblocking(False)
    while left:
        assert time.monotonic() - start_s < at_most_s, f"{len(left)} are still open"
        open_still = []
        for connection in left:
            try:
                connection.send(b"x")
                while connection.recv(65_536):
                    pass
            except BlockingIOError:
                open_still.append(connection)
            except OSError:
                pass
        left = open_still
        time.sleep(every_s)
    return time.monotonic() - start_s


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("heads that never end", "G"),
        ("bodies that never come", f"{POST}Content-Length: 1000\r\n\r\n{{"),
        (
            "bodies that are refused",
            f"{POST}Content-Encoding: gzip\r\nContent-Length: 9999\r\n\r\n",
        ),
    ],
)
def test_slow_senders_are_closed_and_slow_nobody_else(
    front: PlayedFront, asker: Asker, kind: str, words: str
) -> None:
    idle_s, rss, files = idle_p99_s(asker), rss_bytes(), num_files()
    with (
        abusers(asker, lambda connection: connection.sendall(words.encode())) as sockets,
        Canary(asker) as canary,
    ):
        taken_s = drip(sockets, 5.0, 45.0)
    assert canary.wrong == []
    grown_mib = (rss_bytes() - rss) / 2**20
    deadline_s = time.monotonic() + 5
    while num_files() > files + 8 and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert num_files() <= files + 8
    assert grown_mib <= 64
    ratio = canary.p99_s / idle_s
    print(f"{kind}: closed after {taken_s:.1f} s, p99 x{ratio:.2f}, {grown_mib:.1f} MiB more")
    assert ratio <= 2


def test_streams_that_nobody_reads_slow_nobody_else(front: PlayedFront, asker: Asker) -> None:
    """R16: 1,000 readers that read nothing; what is sent to them waits in bounded buffers."""
    front.reply = lambda submit: "good island " * 90
    idle_s, rss = idle_p99_s(asker), rss_bytes()
    words = f"{POST}Content-Length: {len(STREAM)}\r\n\r\n{STREAM}".encode()
    with abusers(asker, lambda connection: connection.sendall(words)), Canary(asker) as canary:
        while len(canary.times_s) < 300:
            time.sleep(0.1)
    assert canary.wrong == []
    grown_mib = (rss_bytes() - rss) / 2**20
    print(f"p99 x{canary.p99_s / idle_s:.2f}, {grown_mib:.1f} MiB more")
    assert grown_mib <= 64 + NUM_ABUSERS * 64 / 1024
    front.wait_until(lambda: not front._has_work())


def chunked(num_chunks: int, size: int) -> Iterator[bytes]:
    yield f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode()
    for _ in range(num_chunks):
        yield b"%x\r\n%s\r\n" % (size, b"x" * size)
    yield b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("kind", "pieces", "statuses"),
    [
        ("10 GiB in chunks", lambda: chunked(10 * 1024, 2**20), {b"413"}),
        ("70,000 chunks of a byte", lambda: chunked(70_000, 1), {b"400"}),
        (
            "a header of 1 MiB",
            lambda: iter([f"GET / HTTP/1.1\r\nHost: a\r\nX: {'x' * 2**20}\r\n\r\n".encode()]),
            {b"400", b"431"},
        ),
        (
            "10,000 headers",
            lambda: iter([b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10_000 + b"\r\n"]),
            {b"400", b"431"},
        ),
        (
            "two lengths",
            lambda: iter([f"{POST}Content-Length: 2\r\nContent-Length: 9\r\n\r\n{{}}".encode()]),
            {b"400"},
        ),
        (
            "a length and chunks",
            lambda: iter(
                [f"{POST}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{{}}".encode()]
            ),
            {b"400"},
        ),
    ],
)
def test_what_no_client_sends_is_refused_within_bounds(
    asker: Asker, kind: str, pieces: Callable[[], Iterator[bytes]], statuses: set[bytes]
) -> None:
    rss = rss_bytes()
    with socket.create_connection(asker.address, timeout=30) as connection:
        num_sent = 0
        with contextlib.suppress(OSError):
            for piece in pieces():
                connection.sendall(piece)
                num_sent += len(piece)
        answer = b""
        with contextlib.suppress(OSError):
            answer = connection.recv(65_536)
    # A reset may overtake the answer to a client that sends on and on.
    assert answer == b"" or answer.split()[1] in statuses, answer
    assert num_sent < 64 * 2**20
    assert rss_bytes() - rss <= 64 * 2**20
    assert asker.get("/health").status == 200
