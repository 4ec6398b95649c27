"""Load on an OpenAI-compatible server: arrivals, one streamed request, and what was measured of it.
Used by bench_serve.py. The client is a few lines over asyncio's streams: an HTTP library's own time
per event would be measured as the server's.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

_CONNECT_S: Final = 30.0
_MAX_LINE: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """url: without /v1. key: sent as a bearer token. timeout_s: for one whole request."""

    url: str
    model: str
    key: str | None = None
    timeout_s: float = 600.0

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def path(self, path: str) -> str:
        return urlsplit(self.url).path.rstrip("/") + path


@dataclass(slots=True)
class Sample:
    """One request. Times are seconds from when it was due, so that a server that falls behind
    cannot hide it. gaps_s: between two pieces of its stream."""

    ttft_s: float | None = None
    total_s: float | None = None
    gaps_s: list[float] = field(default_factory=list)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    error: str | None = None

    @property
    def mean_gap_s(self) -> float:
        return sum(self.gaps_s) / len(self.gaps_s) if self.gaps_s else 0.0


class HttpError(Exception):
    """The server refused, or what it sent is no HTTP; the message is for the user."""


async def run_load(
    target: Target,
    bodies: Sequence[dict[str, Any]],
    path: str,
    *,
    rate: float | None,
    concurrency: int | None,
    seed: int = 0,
    on_done: Callable[[], None] = lambda: None,
) -> tuple[list[Sample], float]:
    """Send every body; the samples in order, and how long it all took in seconds.

    rate: arrivals per second, as a Poisson process; None sends all at once. concurrency: at most so
    many at a time; those that wait for a place are on the clock already.
    """
    places = asyncio.Semaphore(concurrency or len(bodies))
    chance = random.Random(seed)
    due_s = 0.0
    start_s = time.perf_counter()

    async def one(body: dict[str, Any], at_s: float) -> Sample:
        await asyncio.sleep(max(0.0, start_s + at_s - time.perf_counter()))
        async with places:
            sample = await measure(target, path, body, start_s + at_s)
        on_done()
        return sample

    tasks = []
    for body in bodies:
        tasks.append(asyncio.create_task(one(body, due_s)))
        if rate is not None:
            due_s += chance.expovariate(rate)
    samples = await asyncio.gather(*tasks)
    return samples, time.perf_counter() - start_s


async def measure(target: Target, path: str, body: dict[str, Any], due_s: float) -> Sample:
    """Send one streamed request; its sample, with `error` where it failed."""
    sample = Sample()
    try:
        async with asyncio.timeout(target.timeout_s):
            last_s = due_s
            async for event in stream(target, path, body):
                now_s = time.perf_counter()
                if _take_event(sample, event):
                    if sample.ttft_s is None:
                        sample.ttft_s = now_s - due_s
                    else:
                        sample.gaps_s.append(now_s - last_s)
                    last_s = now_s
            sample.total_s = time.perf_counter() - due_s
    except TimeoutError:
        sample.error = f"no end within {target.timeout_s:g} s"
    except (HttpError, OSError, asyncio.IncompleteReadError, ValueError) as error:
        sample.error = str(error) or type(error).__name__
    if sample.error is None and sample.ttft_s is None:
        sample.error = "the stream held no token"
    return sample


async def stream(target: Target, path: str, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """The events of a streamed answer. Raises HttpError and OSError."""
    reader, writer = await _connect(target)
    try:
        await _send(writer, target, "POST", path, json.dumps(body).encode())
        status, headers = await _read_head(reader)
        lines = _lines(reader, headers)
        if status != 200:
            text = b"".join([line async for line in lines]).decode(errors="replace")
            raise HttpError(f"status {status}: {_reason(text)}")
        async for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                return
            event = json.loads(data)
            if "error" in event:
                raise HttpError(str(event["error"].get("message", event["error"])))
            yield event
        raise HttpError("the stream ended without [DONE]")
    finally:
        writer.close()


async def get_json(target: Target, path: str) -> Any:
    """The answer to a GET. Raises HttpError and OSError."""
    reader, writer = await _connect(target)
    try:
        await _send(writer, target, "GET", path, b"")
        status, headers = await _read_head(reader)
        text = b"".join([line async for line in _lines(reader, headers)])
    finally:
        writer.close()
    if status != 200:
        raise HttpError(f"status {status}: {_reason(text.decode(errors='replace'))}")
    return json.loads(text)


def _take_event(sample: Sample, event: dict[str, Any]) -> bool:
    """Note what an event tells; whether it carries a piece of the output."""
    usage = event.get("usage")
    if usage:
        sample.prompt_tokens = usage["prompt_tokens"]
        sample.output_tokens = usage["completion_tokens"]
        details = usage.get("prompt_tokens_details") or {}
        sample.cached_tokens = details.get("cached_tokens") or 0
    choices = event.get("choices") or []
    if not choices:
        return False
    piece = choices[0].get("text")
    if piece is None:
        delta = choices[0].get("delta") or {}
        piece = delta.get("content") or delta.get("reasoning_content")
    return bool(piece)


async def _connect(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(target.url)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    async with asyncio.timeout(_CONNECT_S):
        return await asyncio.open_connection(parts.hostname, port, ssl=tls, limit=_MAX_LINE)


async def _send(
    writer: asyncio.StreamWriter, target: Target, method: str, path: str, body: bytes
) -> None:
    lines = [
        f"{method} {target.path(path)} HTTP/1.1",
        f"Host: {target.host}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if target.key is not None:
        lines.append(f"Authorization: Bearer {target.key}")
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    words = head[0].split()
    if len(words) < 2 or not words[1].isdigit():
        raise HttpError(f"the server does not speak HTTP: {head[0][:80]!r}")
    pairs = (line.partition(":") for line in head[1:] if line)
    return int(words[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def _lines(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    """The lines of a body, each as soon as it is there."""
    rest = b""
    async for piece in _pieces(reader, headers):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line
    if rest:
        yield rest


async def _pieces(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        # "Connection: close" was asked for: the body ends with the connection.
        while piece := await reader.read(65_536):
            yield piece
        return
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if size == 0:
            return
        yield (await reader.readexactly(size + 2))[:-2]


def _reason(text: str) -> str:
    """What an error's body says, in OpenAI's form or as it stands."""
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()[:200]
