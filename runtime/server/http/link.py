"""The way from HTTP's event loop to the front process's loop and back. Used by every API here.

HTTP runs on a thread of its own; front.py's loop owns the service. Requests travel one by one, with
a wake-up each; answers travel in one batch for each turn of front.py's loop.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

import msgspec
from msgspec.structs import replace

from ...errors import RequestError
from ...protocol import (
    Cancel,
    Chunk,
    ClientMessage,
    Done,
    Error,
    FlushCache,
    FrameError,
    FrontMessage,
    Generate,
    GetInfo,
    Inspect,
    ModelInfo,
    Pin,
    Unpin,
    client_messages,
    encode,
)
from ...tokenizer import Tokenizer

Request = Generate | GetInfo | Inspect | FlushCache | Pin
Arrival = tuple[int, FrontMessage]


class ClientGone(Exception):
    """Nobody reads the answer any more."""


class Pipe(Protocol):
    """Where the pieces of a stream go as they arrive, without the task that reads the call."""

    def push(self, pieces: list[Arrival]) -> bool:
        """Take them. False where it can take none now."""
        ...


class Link:
    """Requests out, answers in; everything but `post` belongs to HTTP's event loop.

    post: hands a message to the service; called here, run on front.py's thread.
    model, tokenizer: None until the runtime is ready.
    """

    def __init__(self, post: Callable[[ClientMessage], None]) -> None:
        self._post = post
        self._numbers = itertools.count(1)
        self._open: dict[str, tuple[Call, int]] = {}
        self.model: ModelInfo | None = None
        self.tokenizer: Tokenizer | None = None

    @property
    def num_open(self) -> int:
        return len(self._open)

    def install(self, model: ModelInfo, tokenizer: Tokenizer) -> None:
        """The runtime is ready and serves this model."""
        self.model, self.tokenizer = model, tokenizer

    def require(self) -> tuple[ModelInfo, Tokenizer]:
        """The model that is served. Raises RequestError while it is still loading."""
        if self.model is None or self.tokenizer is None:
            raise RequestError(
                "unavailable", "the runtime is still loading its model", retry_after_s=1.0
            )
        return self.model, self.tokenizer

    def start(self, requests: Sequence[Request]) -> Call:
        """Send requests whose answers are read together; their ids are replaced by our own.

        Raises RequestError for what the wire would refuse; then none was sent.
        """
        numbered: list[Request] = []
        for request in requests:
            request = replace(request, rid=f"http-{next(self._numbers)}")
            if isinstance(request, Generate | Pin):
                # Through a frame and back: the wire's own types and bounds hold here too.
                _check(request)
            numbered.append(request)
        call = Call(self, [request.rid for request in numbered])
        for index, request in enumerate(numbered):
            self._open[request.rid] = (call, index)
        for request in numbered:
            self._post(request)
        return call

    def unpin(self, pin: int) -> None:
        """End a pin; there is no answer."""
        self._post(Unpin(pin))

    def deliver(self, messages: list[FrontMessage]) -> None:
        """Answers of the service, in order."""
        arrivals: dict[Call, list[Arrival]] = {}
        for message in messages:
            rid: str = getattr(message, "rid", None) or ""
            entry = self._open.get(rid)
            if entry is None:
                continue
            call, index = entry
            if not isinstance(message, Chunk):
                del self._open[rid]
            arrived = arrivals.get(call)
            if arrived is None:
                arrivals[call] = [(index, message)]
            else:
                arrived.append((index, message))
        for call, arrived in arrivals.items():
            call.arrive(arrived)

    def forget(self, rids: list[str]) -> None:
        """Cancel those of the requests that are still open."""
        for rid in rids:
            if self._open.pop(rid, None) is not None:
                self._post(Cancel(rid=rid))


class Call:
    """One or more requests that belong together; leaving the `with` block cancels what still runs.

    One task reads it.
    """

    def __init__(self, link: Link, rids: list[str]) -> None:
        self._link = link
        self._rids = rids
        self._arrived: deque[Arrival] = deque()
        self._num_unfinished = len(rids)
        self._gone = False
        self._news = asyncio.Event()
        self._defect: Exception | None = None
        # While there is one, nothing waits, and the task hears of nothing but ends, errors and a
        # pipe that takes no more.
        self.pipe: Pipe | None = None

    @property
    def finished(self) -> bool:
        """Every request was answered, and every answer was taken."""
        return self._num_unfinished == 0 and not self._arrived

    @property
    def has_news(self) -> bool:
        return bool(self._arrived)

    def arrive(self, arrivals: list[Arrival]) -> None:
        """Take what has come, in order. Waking the task for each piece of a stream would cost as
        much as all else that is done for the piece."""
        num_pieces = num_ends = 0
        for _, message in arrivals:
            if not isinstance(message, Chunk):
                num_ends += 1
            elif not num_ends:
                num_pieces += 1
        self._num_unfinished -= num_ends
        if self.pipe is not None and num_pieces and not (self._arrived or self._gone):
            try:
                if self.pipe.push(arrivals[:num_pieces]):
                    arrivals = arrivals[num_pieces:]
            except Exception as error:
                self._defect = error
            else:
                if not arrivals:
                    return
        self._arrived += arrivals
        self._news.set()

    def abandon(self) -> None:
        """The client has left: whoever waits for news gets ClientGone."""
        self._gone = True
        self._news.set()

    async def take(self, most: int = sys.maxsize) -> list[Arrival]:
        """What has arrived, at least one message and at most so many; the pipe is taken away.
        Raises RequestError when a request failed, after what came before that, and ClientGone."""
        if not self._arrived:
            await self._news.wait()
        self._news.clear()
        self.pipe = None
        if self._gone:
            raise ClientGone
        if self._defect is not None:
            raise self._defect
        taken: list[Arrival] = []
        while self._arrived and len(taken) < most:
            message = self._arrived[0][1]
            if isinstance(message, Error):
                if taken:
                    return taken
                self._arrived.popleft()
                raise RequestError(
                    message.code,
                    message.message,
                    pointer=message.pointer,
                    retry_after_s=message.retry_after_s,
                )
            taken.append(self._arrived.popleft())
        return taken

    async def results(self) -> list[FrontMessage]:
        """The last message of every request, in the order of the requests."""
        results: dict[int, FrontMessage] = {}
        while not self.finished:
            for index, message in await self.take():
                if not isinstance(message, Chunk):
                    results[index] = message
        return [results[index] for index in range(len(self._rids))]

    async def dones(self) -> list[Done]:
        """The same where every request is a Generate."""
        return [message for message in await self.results() if isinstance(message, Done)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._link.forget(self._rids)


def _check(request: Generate | Pin) -> None:
    try:
        try:
            client_messages.decode(encode(request))
        except OverflowError:
            # A number that fits no frame: only this slower way says which.
            msgspec.convert(msgspec.to_builtins(request), type(request))
            raise
    except (FrameError, msgspec.ValidationError) as error:
        reason, _, place = str(error).partition(" - at `")
        pointer = (
            place.rstrip("`")
            .removeprefix("key` in `")
            .removeprefix("$")
            .replace("[", ".")
            .replace("]", "")
        )
        raise RequestError(
            "invalid_request", reason, pointer=pointer.replace(".", "/") or None
        ) from None
