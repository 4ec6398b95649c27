"""Runs calls on behalf of an HTTP request, whole or as a stream of server-sent events, and cancels
them when the client leaves. Used by every API that generates."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...errors import RequestError
from ...protocol import Done, Generate
from .connection import WIRE, BoundedConnection
from .errors import ApiError, from_request_error
from .link import Arrival, Call, ClientGone, Link
from .metrics import Metrics

# A client that takes nothing for this long has stopped reading.
_STALL_S: Final = 30.0
# Of what has gathered for a slow reader so many messages are written before others have their turn.
_AT_ONCE: Final = 2
_HEADERS: Final = [(b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]


@dataclass(frozen=True, slots=True)
class Framing:
    """What a stream's bytes look like round the events: its media type, an error under a route's
    path, and what ends a whole one."""

    media_type: bytes
    error: Callable[[ApiError, str], bytes]
    last: bytes


def _error_event(error: ApiError, path: str) -> bytes:
    return b"event: error\ndata: " + error.body(path) + b"\n\n"


def _error_line(error: ApiError, path: str) -> bytes:
    return error.body(path) + b"\n"


_SSE_TYPE: Final = b"text/event-stream; charset=utf-8"
SSE: Final = Framing(_SSE_TYPE, _error_event, b"data: [DONE]\n\n")
# The events say themselves which is the last.
SSE_WITHOUT_DONE: Final = Framing(_SSE_TYPE, _error_event, b"")
LINES: Final = Framing(b"application/x-ndjson", _error_line, b"")


class Writer(Protocol):
    """Turns what arrives into events."""

    def events(self, arrivals: list[Arrival]) -> bytes:
        """Server-sent events, possibly none, for some messages of the calls in order."""
        ...


async def complete(
    request: Request, link: Link, metrics: Metrics, generates: Sequence[Generate]
) -> list[Done]:
    """Run calls to their end. Raises RequestError, and ClientGone."""
    started_s = time.monotonic()
    with link.start(generates) as call:
        async with _watched(request.receive, call):
            dones = await call.dones()
    metrics.observe_done(dones, time.monotonic() - started_s)
    return dones


class EventStream(Response):
    """A streamed answer. What fails before the first event is an ordinary error answer; later a
    failure is an `error` event, after which the stream ends without what ends a whole one."""

    def __init__(
        self,
        link: Link,
        metrics: Metrics,
        generates: Sequence[Generate],
        writer: Writer,
        names: dict[str, str] | None = None,
        framing: Framing = SSE,
    ) -> None:
        self.status_code = 200
        self.background = None
        self._link = link
        self._metrics = metrics
        self._generates = generates
        self._writer = writer
        self._names = names
        self._framing = framing
        self._wire: BoundedConnection | None = None
        self._last_s = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._link.start(self._generates) as call:
                async with _watched(receive, call):
                    await self._run(call, scope, send)
        except RequestError as error:
            answer = from_request_error(error, self._names).response(scope["path"])
            await answer(scope, receive, send)
        except (ClientGone, TimeoutError):
            self._metrics.clients_lost.inc()

    async def _run(self, call: Call, scope: Scope, send: Send) -> None:
        self._last_s = started_s = time.monotonic()
        metrics, framing = self._metrics, self._framing
        headers = [(b"content-type", framing.media_type), *_HEADERS]
        self._wire = scope.get("state", {}).get(WIRE)
        started = False
        error: ApiError | None = None
        while not (call.finished or error):
            try:
                arrivals = await call.take(_AT_ONCE)
                events = self._writer.events(arrivals)
            except RequestError as failure:
                if not started:
                    raise
                error = from_request_error(failure, self._names)
                events = framing.error(error, scope["path"])
            if not started:
                started = True
                self._last_s = time.monotonic()
                metrics.ttft.observe(self._last_s - started_s)
                await send({"type": "http.response.start", "status": 200, "headers": headers})
            else:
                self._note_gap()
            if self._wire is not None and self._wire.takes_pieces:
                self._wire.write_piece(events)
            elif events:
                async with asyncio.timeout(_STALL_S):
                    await send({"type": "http.response.body", "body": events, "more_body": True})
            if not error:
                metrics.observe_stream(arrivals)
                # What came meanwhile is the task's, or it would be overtaken.
                if call.has_news:
                    await asyncio.sleep(0)
                else:
                    call.pipe = self
        metrics.e2e.observe(self._last_s - started_s)
        async with asyncio.timeout(_STALL_S):
            await send({"type": "http.response.body", "body": b"" if error else framing.last})

    # --- the pipe of its call ---

    def push(self, pieces: list[Arrival]) -> bool:
        wire = self._wire
        if wire is None or not wire.takes_pieces:
            return False
        self._note_gap()
        wire.write_piece(self._writer.events(pieces))
        return True

    def _note_gap(self) -> None:
        now_s = time.monotonic()
        self._metrics.inter_token.observe(now_s - self._last_s)
        self._last_s = now_s


@contextlib.asynccontextmanager
async def _watched(receive: Receive, call: Call) -> AsyncIterator[None]:
    """Abandon the call when the client disconnects."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        call.abandon()

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()


def event(message: msgspec.Struct) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(message) + b"\n\n"
