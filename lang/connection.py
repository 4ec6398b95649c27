"""What a program's interpreter sees of a runtime: the `Connection` interface, and the table of
requests in flight that every implementation shares. `client.py` implements it over ZeroMQ,
`branchline/engine.py` within the process.

Every coroutine here runs on the loop of `loop.shared_loop()`; `close` may be called from anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from functools import partial
from typing import Final, Protocol

from branchline.runtime import protocol

from .backend.base import OnNews
from .errors import (
    GenerationError,
    InternalError,
    InvalidRequest,
    RuntimeUnavailable,
    from_wire,
    no_character,
)
from .loop import shared_loop

_RELEASED_PER_MESSAGE: Final = 4_096
# How long a session that nobody needs waits for others to be released with it.
_RELEASE_S: Final = 0.1

Question = protocol.GetInfo | protocol.FlushCache | protocol.Pin | protocol.Profile
Request = protocol.Generate | protocol.Score | protocol.RunPlan | Question
Reply = (
    protocol.Chunk
    | protocol.Done
    | protocol.Scores
    | protocol.PlanDone
    | protocol.Info
    | protocol.Flushed
    | protocol.Pinned
    | protocol.Profiled
)

# A request of which nothing was heard for so long is sent again, then after twice as long, and so
# on. The runtime knows its id and does not run it twice.
RESEND_S: Final = 5.0


class Connection(Protocol):
    """A runtime that answers requests. Failures raise a `GenerationError` subclass."""

    @property
    def model(self) -> protocol.ModelInfo:
        """The model that is served."""

    @property
    def address(self) -> str:
        """Where the runtime is, for messages to users."""

    def new_rid(self) -> str:
        """A request id that this connection has not used yet."""

    def generate(
        self, request: protocol.Generate
    ) -> AsyncGenerator[protocol.Chunk | protocol.Done, None]:
        """Chunks (when `request.stream`), then the Done. Leaving early cancels the request."""

    async def complete(self, request: protocol.Generate) -> protocol.Done:
        """The Done of a request, without its Chunks. Cancelling the task cancels the request."""

    def begin(self, request: protocol.Generate) -> Begun:
        """Send a request now, whose Chunks nobody wants; raises a `GenerationError` where that
        cannot be."""

    async def score(self, request: protocol.Score) -> protocol.Scores:
        """Log probabilities of choices."""

    async def run_plan(
        self, request: protocol.RunPlan, on_news: OnNews
    ) -> list[Coroutine[object, object, protocol.PlanDone]]:
        """What each instance of a plan answers; `on_news` may get its first calls before, on the
        loop. Cancelling one that is awaited cancels it."""

    def new_session(self) -> int:
        """A session number that this connection has not used yet."""

    def release(self, session: int) -> None:
        """Tell the runtime, soon, that nobody needs a session any more. From any thread."""

    async def info(self) -> protocol.Info:
        """Counters of the runtime."""

    async def flush_cache(self) -> int:
        """Drop every cached prefix that nothing holds; the number of tokens freed."""

    async def profile(self, *, active: bool) -> str | None:
        """Begin a profile of the engine, or end it: then the path of its file."""

    async def pin(self, prompt: list[protocol.Part], ttl_s: float) -> protocol.Pinned:
        """Let what is cached of a prompt be evicted last."""

    async def unpin(self, pin: int) -> None:
        """End a pin early."""

    def close(self) -> None:
        """Release the connection; requests in flight fail. Calling it again does nothing."""


class _Call:
    """The replies to one request that were not consumed yet."""

    __slots__ = (
        *("next_seq", "news", "on_news", "patience_s", "quiet_since_s", "replies", "request"),
        "waiter",
    )

    def __init__(self, request: Request, now_s: float) -> None:
        self.request = request
        self.quiet_since_s = now_s
        self.patience_s = RESEND_S
        self.replies: deque[Reply | GenerationError] = deque()
        self.waiter: asyncio.Future[None] | None = None
        self.next_seq = 0
        # Of a plan's instance: the calls that were told before its end.
        self.news: list[protocol.PlanCall] = []
        self.on_news: Callable[[list[protocol.PlanCall]], None] = lambda calls: None

    def is_overdue(self, now_s: float) -> bool:
        """Whether the request should be sent again now."""
        if now_s - self.quiet_since_s < self.patience_s:
            return False
        self.quiet_since_s = now_s
        self.patience_s *= 2
        return True

    def put(self, reply: Reply | GenerationError) -> None:
        self.replies.append(reply)
        self.quiet_since_s = asyncio.get_running_loop().time()
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def next(self) -> Reply:
        while not self.replies:
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter
        reply = self.replies.popleft()
        if isinstance(reply, GenerationError):
            raise reply
        return reply


class Begun:
    """A request that was sent: `done` waits for its end, and `drop` is for whom it is no use any
    more."""

    __slots__ = ("_call", "_end")

    def __init__(self, call: _Call, end: Callable[[], None]) -> None:
        self._call = call
        self._end = end

    async def done(self) -> protocol.Done:
        """Its Done, without its Chunks. Cancelling the task cancels the request."""
        try:
            while True:
                reply = await self._call.next()
                if isinstance(reply, protocol.Done):
                    return reply
        finally:
            self._end()

    def drop(self) -> None:
        """Cancel the request, if it runs."""
        self._end()


class RequestTable(ABC):
    """Implements `Connection`'s requests over `_ready`, `_send` and `_post`.

    A subclass hands what arrives to `_dispatch` and a lost runtime to `_fail_all`, both on the
    shared loop.
    """

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._numbers = itertools.count(1)
        self._session_numbers = itertools.count(1)
        self._released: deque[int] = deque()
        self._releasing = False
        self._owner_pid = os.getpid()
        # Sessions are released wherever garbage is collected, where no lock may be taken.
        self._release_loop = shared_loop()

    @abstractmethod
    async def _ready(self) -> None:
        """Wait until messages can be sent; raise RuntimeUnavailable when that will not be."""

    @abstractmethod
    def _send(self, message: protocol.ClientMessage) -> None:
        """Send one message, or raise a GenerationError."""

    @abstractmethod
    def _post(self, message: protocol.ClientMessage) -> None:
        """Send one message if that is possible; never raises."""

    def _frame(self, message: protocol.ClientMessage) -> bytes:
        """The frame of a message, or InvalidRequest."""
        try:
            frame = protocol.encode(message)
        except UnicodeEncodeError as error:
            raise no_character(error) from None
        if len(frame) > protocol.MAX_FRAME_BYTES:
            raise InvalidRequest(
                f"the request takes {len(frame)} bytes on the wire; at most "
                f"{protocol.MAX_FRAME_BYTES} are allowed"
            )
        return frame

    def new_rid(self) -> str:
        return f"{next(self._numbers):x}"

    def new_session(self) -> int:
        return next(self._session_numbers)

    def release(self, session: int) -> None:
        # States are collected in forked children, too, where the connection is the parent's.
        if os.getpid() != self._owner_pid:
            return
        self._released.append(session)
        if not self._releasing:
            self._releasing = True
            # The loop may have ended with the process, and with it the runtime's client.
            with contextlib.suppress(RuntimeError):
                self._release_loop.call(self._release_soon)

    def _release_soon(self) -> None:
        asyncio.get_running_loop().call_later(_RELEASE_S, self._post_released)

    def _post_released(self) -> None:
        """One message for all that were released in the meantime: each call leaves one."""
        self._releasing = False
        sessions: list[int] = []
        while self._released and len(sessions) < _RELEASED_PER_MESSAGE:
            sessions.append(self._released.popleft())
        if sessions:
            self._post(protocol.Release(sessions))
        if self._released:
            asyncio.get_running_loop().call_soon(self._post_released)

    async def generate(
        self, request: protocol.Generate
    ) -> AsyncGenerator[protocol.Chunk | protocol.Done, None]:
        call = await self._start(request)
        ended = False
        try:
            while not ended:
                reply = await call.next()
                ended = isinstance(reply, protocol.Done)
                assert isinstance(reply, protocol.Chunk | protocol.Done)
                yield reply
        finally:
            self._end(request.rid)

    async def complete(self, request: protocol.Generate) -> protocol.Done:
        await self._ready()
        return await self.begin(request).done()

    def begin(self, request: protocol.Generate) -> Begun:
        return Begun(self._enter(request), partial(self._end, request.rid))

    async def score(self, request: protocol.Score) -> protocol.Scores:
        reply = await self._ask(request)
        assert isinstance(reply, protocol.Scores)
        return reply

    async def run_plan(
        self, request: protocol.RunPlan, on_news: OnNews
    ) -> list[Coroutine[object, object, protocol.PlanDone]]:
        await self._ready()
        self._send(request)
        now_s = asyncio.get_running_loop().time()
        calls: dict[str, _Call] = {}
        for number, instance in enumerate(request.instances):
            alone = protocol.RunPlan(request.plan, [instance], request.namespace)
            call = calls[instance.rid] = _Call(alone, now_s)
            call.on_news = partial(on_news, number)
        self._calls |= calls
        return [self._plan_done(rid, call) for rid, call in calls.items()]

    async def _plan_done(self, rid: str, call: _Call) -> protocol.PlanDone:
        try:
            reply = await call.next()
            assert isinstance(reply, protocol.PlanDone)
            first, *others = reply.branches
            heard = len(call.news) - reply.num_told
            return protocol.PlanDone(rid, [first[heard:], *others], len(call.news))
        finally:
            self._end(rid)

    async def info(self) -> protocol.Info:
        reply = await self._ask(protocol.GetInfo(rid=self.new_rid()))
        assert isinstance(reply, protocol.Info)
        return reply

    async def flush_cache(self) -> int:
        reply = await self._ask(protocol.FlushCache(rid=self.new_rid()))
        assert isinstance(reply, protocol.Flushed)
        return reply.freed_tokens

    async def profile(self, *, active: bool) -> str | None:
        reply = await self._ask(protocol.Profile(self.new_rid(), active))
        assert isinstance(reply, protocol.Profiled)
        return reply.path

    async def pin(self, prompt: list[protocol.Part], ttl_s: float) -> protocol.Pinned:
        reply = await self._ask(protocol.Pin(self.new_rid(), prompt, ttl_s))
        assert isinstance(reply, protocol.Pinned)
        return reply

    async def unpin(self, pin: int) -> None:
        self._post(protocol.Unpin(pin))

    async def _ask(self, request: protocol.Score | Question) -> Reply:
        call = await self._start(request)
        try:
            return await call.next()
        finally:
            self._end(request.rid)

    async def _start(self, request: protocol.Generate | protocol.Score | Question) -> _Call:
        await self._ready()
        return self._enter(request)

    def _enter(self, request: protocol.Generate | protocol.Score | Question) -> _Call:
        if request.rid in self._calls:
            raise ValueError(f"request id {request.rid!r} is in use; take one from new_rid()")
        self._send(request)
        now_s = asyncio.get_running_loop().time()
        call = self._calls[request.rid] = _Call(request, now_s)
        return call

    def _send_again(self) -> None:
        """Send what should long have been answered; called now and then."""
        now_s = asyncio.get_running_loop().time()
        for call in self._calls.values():
            if call.is_overdue(now_s):
                self._post(call.request)

    def _end(self, rid: str) -> None:
        """Forget a call. One that the runtime has not ended yet is still in the table: cancel."""
        if self._calls.pop(rid, None) is not None:
            self._post(protocol.Cancel(rid=rid))

    def _dispatch(self, message: protocol.FrontMessage) -> None:
        """Hand a message to the call that waits for it; late ones for calls left are dropped."""
        match message:
            case protocol.Chunk(rid=rid, seq=seq):
                call = self._calls.get(rid)
                if call is None:
                    return
                if seq != call.next_seq:
                    del self._calls[rid]
                    call.put(InternalError(f"chunk {call.next_seq} of a stream was lost"))
                    self._post(protocol.Cancel(rid=rid))
                    return
                call.next_seq += 1
                call.put(message)
            case protocol.Done(rid=rid, num_chunks=num_chunks):
                call = self._calls.get(rid)
                if call is not None and num_chunks > call.next_seq and _streams(call.request):
                    self._finish(rid, InternalError(f"chunk {call.next_seq} of a stream was lost"))
                else:
                    self._finish(rid, message)
            case protocol.PlanNews(rid=rid, calls=news):
                self._hear(rid, news)
            case protocol.PlanDone(rid=rid, num_told=num_told):
                call = self._calls.get(rid)
                if call is not None and num_told > len(call.news):
                    self._post(call.request)  # what was told before is lost: it is kept there
                else:
                    self._finish(rid, message)
            case protocol.Scores(rid=rid) | protocol.Profiled(rid=rid):
                self._finish(rid, message)
            case protocol.Info(rid=rid) | protocol.Flushed(rid=rid) | protocol.Pinned(rid=rid):
                self._finish(rid, message)
            case protocol.Error(rid=str(rid)):
                self._finish(rid, from_wire(message))
            case protocol.Error():
                # An error without an id answers a frame of ours that the runtime could not
                # understand: nobody can tell which, so none of the calls may wait for ever.
                self._fail_all(message.message)
            case _:
                pass

    def _hear(self, rid: str, news: list[protocol.PlanCall]) -> None:
        """The first calls of an instance. Others than those that were heard before come of a
        request that was sent again and run again, its answer being forgotten."""
        call = self._calls.get(rid)
        if call is None or call.news == news:
            return
        if call.news:
            self._finish(rid, InternalError("the runtime has run a plan twice"))
            return
        call.news = news
        call.on_news(news)

    def _finish(self, rid: str, reply: Reply | GenerationError) -> None:
        call = self._calls.pop(rid, None)
        if call is not None:
            call.put(reply)

    def _fail_all(self, reason: str) -> None:
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.put(RuntimeUnavailable(reason))


def _streams(request: Request) -> bool:
    return isinstance(request, protocol.Generate) and request.stream
