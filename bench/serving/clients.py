"""Streamed requests over HTTP by the thousand, for little CPU: bytes are kept with the time at
which they came, and read when the measurement is over. Used by all parts of bench/serving."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

PATH: Final = "/v1/completions"
# What a slow reader's kernel takes from the server before the server notices.
_SMALL_BUFFER: Final = 4_096
_SIP_S: Final = 0.5


@dataclass(slots=True)
class Heard:
    """What came back. arrivals: (when, bytes) as the socket gave them. lost: why the connection
    ended early."""

    due_s: float
    arrivals: list[tuple[float, bytes]] = field(default_factory=list)
    ended_s: float = 0.0
    lost: str | None = None

    @property
    def status(self) -> int:
        """0 where there was no answer."""
        head = self.arrivals[0][1] if self.arrivals else b""
        words = head.split(b" ", 2)
        return int(words[1]) if len(words) == 3 and words[1].isdigit() else 0

    @property
    def whole(self) -> bool:
        """Whether a stream came to its end."""
        tail = b"".join(data for _, data in self.arrivals[-3:])
        return self.status == 200 and b"data: [DONE]" in tail

    @property
    def first_s(self) -> float:
        """From when it was due to its first bytes."""
        return self.arrivals[0][0] - self.due_s

    @property
    def total_s(self) -> float:
        return self.ended_s - self.due_s

    def gaps_s(self) -> list[float]:
        """Between two arrivals; the head comes with the first."""
        times = [when for when, _ in self.arrivals]
        return [later - earlier for earlier, later in itertools.pairwise(times)]

    def events(self) -> list[dict[str, Any]]:
        """The JSON of a stream's events."""
        _, _, rest = b"".join(data for _, data in self.arrivals).partition(b"\r\n\r\n")
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            num_bytes = int(size, 16)
            body += rest[:num_bytes]
            rest = rest[num_bytes + 2 :]
        found = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
        return [json.loads(data) for data in found if data != b"[DONE]"]

    def text(self) -> str:
        return "".join(
            choice["text"] for event in self.events() for choice in event.get("choices", ())
        )


class _Stream(asyncio.Protocol):
    """One connection, one request. slow: takes a sip of a few kilobytes now and then."""

    def __init__(self, request: bytes, heard: Heard, slow: bool) -> None:
        self._request = request
        self._heard = heard
        self._slow = slow
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._heard.arrivals.append((time.perf_counter(), data))
        if self._slow:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(_SIP_S, self._transport.resume_reading)

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard.ended_s = time.perf_counter()
        self._heard.lost = None if exc is None else str(exc) or type(exc).__name__
        if not self.end.done():
            self.end.set_result(None)


async def ask(
    url: str,
    body: dict[str, Any],
    *,
    path: str = PATH,
    due_s: float | None = None,
    slow: bool = False,
) -> Heard:
    """Send one request and take its answer until the server ends the connection.

    due_s: when it should have been sent, so that a late client hides nothing.
    """
    parts = urlsplit(url)
    heard = Heard(time.perf_counter() if due_s is None else due_s)
    channel = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    channel.setblocking(False)
    if slow:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(channel, (parts.hostname, parts.port))
        transport, stream = await loop.create_connection(
            lambda: _Stream(request_of(url, body, path), heard, slow), sock=channel
        )
    except OSError as error:
        channel.close()
        heard.lost, heard.ended_s = str(error), time.perf_counter()
        return heard
    try:
        await stream.end
    finally:
        transport.abort()
    return heard


def request_of(url: str, body: dict[str, Any], path: str = PATH) -> bytes:
    """What such a client sends."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def completion(prompt: str, num_tokens: int, **more: Any) -> dict[str, Any]:
    """The body of a streamed, greedy request for exactly so many tokens."""
    fixed = {"temperature": 0, "ignore_eos": True, "stream": True}
    return {"prompt": prompt, "max_tokens": num_tokens, **fixed, **more}


def quantile(values: list[float], share: float) -> float:
    """By nearest rank; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
