"""The session of one state in a runtime: what the runtime holds of a prompt is not sent again. Made
by runtime_endpoint.py, called by calls.py through `Session`."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from branchline.runtime import protocol

from ..connection import Begun, Connection
from ..errors import GenerationError, Overloaded, SessionLost
from .base import Ahead, Backend, FollowingCall, OnChunk, Session

Reply = TypeVar("Reply")
# Sends a call: the session that it goes on from, the parts that are new, the number to keep it as.
Send = Callable[[int | None, list[protocol.Part], int], Awaitable[Reply]]


class _Held:
    """A session that the runtime holds for as long as somebody refers to this object."""

    __slots__ = ("connection", "number", "size")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.number = connection.new_session()
        # How much of a log it holds, in characters and tokens.
        self.size = 0

    def __del__(self) -> None:
        self.connection.release(self.number)


class _Sent(NamedTuple):
    """A call that was sent before its turn, behind the session `base`, to be kept as `held`."""

    call: FollowingCall
    base: _Held
    held: _Held
    begun: Begun


class RuntimeSession(Session):
    """Each call goes on from the session that the call before it left, and leaves a new one.

    Sessions do not change, so branches share theirs until they go on, and a call that is made
    again does no harm. The state's own log (the whole prompt) is sent at the first call, and when
    the runtime does not hold the session any more: it was restarted, or the lease ran out.

    Calls that are told ahead go out at once, each behind the session that the one before it is
    going to leave. When its turn comes a call that was sent so, and is the same, only waits.
    """

    def __init__(self, backend: Backend, connection: Connection, held: _Held | None = None) -> None:
        super().__init__(backend)
        self._connection = connection
        self._held = held
        self._ahead: deque[_Sent] = deque()
        # Calls that were told and are not under way: what is told next stands behind them.
        self._num_dropped = 0
        # What the call under way is going to leave, while calls may be sent behind it.
        self._leaving: _Held | None = None

    def branch(self) -> RuntimeSession:
        return RuntimeSession(self._backend, self._connection, self._held)

    async def generate(
        self,
        prompt: list[protocol.Part],
        sampling: protocol.SamplingParams,
        *,
        constraint: protocol.Constraint | None = None,
        logprobs: protocol.LogprobParams | None = None,
        on_chunk: OnChunk | None = None,
        keep_output: bool = True,
        ahead: Ahead | None = None,
    ) -> protocol.Done:
        wanted = FollowingCall([], sampling, constraint, logprobs, keep_output)
        sent = None if on_chunk is not None else self._claim(prompt, wanted)
        if sent is not None:
            self._send_soon(sent.held, ahead)
            try:
                done = await sent.begun.done()
            except (SessionLost, Overloaded):
                self.drop_ahead()  # it is sent as ever
            else:
                return self._went(sent.held, done, keep_output)
        else:
            self.drop_ahead()
            self._num_dropped = max(0, self._num_dropped - 1)  # this one's turn has come

        def send(
            base: int | None, parts: list[protocol.Part], keep_as: int
        ) -> Awaitable[protocol.Done]:
            request = protocol.Generate(
                rid=self._connection.new_rid(),
                prompt=parts,
                sampling=sampling,
                constraint=constraint,
                logprobs=logprobs,
                stream=on_chunk is not None,
                base=base,
                keep_as=keep_as,
                keep_output=keep_output,
            )
            return finish(self._connection, request, on_chunk)

        held = _Held(self._connection)
        self._send_soon(held, ahead)
        done = await self._call(prompt, send, held)
        return self._went(held, done, keep_output)

    def drop_ahead(self) -> None:
        self._leaving = None
        self._num_dropped += len(self._ahead)
        while self._ahead:
            self._ahead.popleft().begun.drop()

    def _went(self, held: _Held, done: protocol.Done, keep_output: bool) -> protocol.Done:
        """A call has ended well."""
        first = done.outputs[0]
        if keep_output and first.token_ids:
            held.size += len(first.token_ids) - first.healed_chars
        self._held, self._leaving = held, None
        return done

    def _claim(self, prompt: list[protocol.Part], wanted: FollowingCall) -> _Sent | None:
        """What was sent ahead for this very call, if anything was."""
        base = self._held
        if base is None or not self._ahead:
            return None
        rest = rest_of_log(prompt, base.size)
        sent = self._ahead[0]
        if sent.base is not base or sent.call != replace(wanted, rest=rest):
            return None
        sent.held.size = base.size + log_size(rest)
        return self._ahead.popleft()

    def _send_soon(self, held: _Held, ahead: Ahead | None) -> None:
        """Send what follows, as soon as the call that leaves `held` is on its way."""
        if ahead is not None:
            self._leaving = held
            # A turn after that call has left: the runtime begins with it meanwhile.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._send_ahead, held, ahead)

    def _send_ahead(self, held: _Held, ahead: Ahead) -> None:
        if self._leaving is not held or self._num_dropped:
            return
        base = self._ahead[-1].held if self._ahead else held
        for call in ahead():
            following = _Held(self._connection)
            request = protocol.Generate(
                rid=self._connection.new_rid(),
                prompt=call.rest,
                sampling=call.sampling,
                constraint=call.constraint,
                logprobs=call.logprobs,
                base=base.number,
                keep_as=following.number,
                keep_output=call.keep_output,
            )
            try:
                begun = self._connection.begin(request)
            except GenerationError:
                return
            self._ahead.append(_Sent(call, base, following, begun))
            base = following

    async def score(
        self, prompt: list[protocol.Part], choices: Sequence[str], *, unconditional: bool = False
    ) -> protocol.Scores:
        def send(
            base: int | None, parts: list[protocol.Part], keep_as: int
        ) -> Awaitable[protocol.Scores]:
            return self._connection.score(
                protocol.Score(
                    rid=self._connection.new_rid(),
                    prompt=parts,
                    choices=list(choices),
                    unconditional=unconditional,
                    base=base,
                    keep_as=keep_as,
                )
            )

        self.drop_ahead()
        held = _Held(self._connection)
        scores = await self._call(prompt, send, held)
        self._held = held
        return scores

    async def _call(self, prompt: list[protocol.Part], send: Send[Reply], held: _Held) -> Reply:
        base = self._held
        if base is not None:
            rest = rest_of_log(prompt, base.size)
            held.size = base.size + log_size(rest)
            try:
                return await send(base.number, rest, held.number)
            except SessionLost:
                # Refused before anything ran: nothing of it was shown.
                self._held = None
        held.size = log_size(prompt)
        return await send(None, prompt, held.number)


async def finish(
    connection: Connection, request: protocol.Generate, on_chunk: OnChunk | None
) -> protocol.Done:
    """The Done of a request, once every Chunk has gone through `on_chunk`."""
    if on_chunk is None:
        return await connection.complete(request)
    replies = connection.generate(request)
    # Closed here and not by the garbage collector: closing early is what cancels the request.
    async with contextlib.aclosing(replies):
        async for reply in replies:
            if isinstance(reply, protocol.Done):
                return reply
            on_chunk(reply)
    raise AssertionError("a stream of replies ended without a Done")


def log_size(parts: Sequence[protocol.Part]) -> int:
    """Characters of the texts and ids of the tokens. Appending adds to it what was appended,
    however parts are merged."""
    return sum(
        len(part.text) if isinstance(part, protocol.Text) else len(part.ids) for part in parts
    )


def rest_of_log(parts: Sequence[protocol.Part], size: int) -> list[protocol.Part]:
    """What a log has behind its first `size` characters and ids."""
    for index, part in enumerate(parts):
        length = len(part.text) if isinstance(part, protocol.Text) else len(part.ids)
        if length > size:
            first: protocol.Part = (
                protocol.Text(part.text[size:], part.markup)
                if isinstance(part, protocol.Text)
                else protocol.Tokens(part.ids[size:])
            )
            return [first, *parts[index + 1 :]]
        size -= length
    return []
