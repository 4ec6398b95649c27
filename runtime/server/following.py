"""Calls that come before the call that they go on from has ended. They wait for it here, and the
engine is told of those that it can go on with by itself. Held by calls.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Final

from ..engine_protocol import Follow, NextCall
from ..errors import RequestError
from ..plans.ahead import is_plain, next_call
from ..plans.prompt import Speller
from ..protocol import Generate, Score, Text
from .engine_link import EngineLink
from .flight import InFlight
from .flights import Flights, defect

_NO_END: Final = float("inf")


@dataclass(slots=True, eq=False)
class Promise:
    """What a call under way is going to leave, as the session `number` of its client.

    sid: the sequence that makes the call, once there is one. told: which of the `followers`, if
    any, that sequence goes on with.
    """

    client_id: bytes
    number: int
    message: Generate | Score
    sid: int | None = None
    followers: list[Follower] = field(default_factory=list)
    told: Follower | None = None


@dataclass(slots=True, eq=False)
class Follower:
    """A call that waits. promise: what it is going to leave itself. new_ids: its prompt behind the
    one's that it goes on from, where the engine was told."""

    flight: InFlight
    message: Generate | Score
    promise: Promise | None
    new_ids: list[int] = field(default_factory=list)


class Following:
    """See the module's text. max_waiting: of followers, all clients together."""

    def __init__(
        self, flights: Flights, engine: EngineLink, speller: Speller, max_waiting: int
    ) -> None:
        self._flights = flights
        self._engine = engine
        self._speller = speller
        self._max_waiting = max_waiting
        self._num_waiting = 0
        self._promises: dict[tuple[bytes, int], Promise] = {}
        # Promises of calls that run, for which followers came that the engine was not told of.
        self._untold: list[Promise] = []

    def promise(self, client_id: bytes, message: Generate | Score) -> Promise | None:
        """What a call that begins is going to leave, if it leaves anything."""
        if message.keep_as is None:
            return None
        promise = Promise(client_id, message.keep_as, message)
        self._promises[client_id, message.keep_as] = promise
        return promise

    def find(self, client_id: bytes, number: int) -> Promise | None:
        """The call under way that will leave a session of this number."""
        return self._promises.get((client_id, number))

    def add(self, promise: Promise, message: Generate | Score, digest: bytes | None) -> None:
        """Let a call wait for what was promised. Its time does not run yet. `tell` lets the engine
        know. Raises RequestError where too many wait."""
        if self._num_waiting >= self._max_waiting:
            raise RequestError(
                "session_lost",
                f"{self._num_waiting} calls wait for those that they go on from, as many as may; "
                "send it again when the call before it has ended",
            )
        self._num_waiting += 1
        client_id = promise.client_id
        flight = self._flights.open(client_id, message.rid, _NO_END, digest)
        follower = Follower(flight, message, self.promise(client_id, message))
        promise.followers.append(follower)
        flight.on_end = partial(self._leave, promise, follower)
        if promise.sid is not None and promise.told is None:
            self._untold.append(promise)

    def tell(self) -> None:
        """Tell the engine of those that came since: one message for all that follow each other."""
        untold, self._untold = self._untold, []
        for promise in untold:
            if promise.sid is None:
                continue
            try:
                calls = self.ahead(promise, promise.sid)
            except Exception as error:
                defect(error)  # they are submitted when their turn comes
            else:
                if calls:
                    self._engine.send(Follow(promise.sid, calls))

    def ahead(self, promise: Promise, sid: int) -> list[NextCall]:
        """The calls that sequence `sid`, which makes the promise, can go on with and was not told
        of yet: the first follower, the first of that one's, and so on."""
        calls: list[NextCall] = []
        promise.sid = sid
        while promise.told is None and promise.followers:
            follower = promise.followers[0]
            call = self._next_call(promise.message, follower.message)
            if call is None:
                break
            calls.append(call)
            promise.told, follower.new_ids = follower, call.input_ids
            if follower.promise is None:
                break
            promise = follower.promise
            promise.sid = sid
        return calls

    def forget_told(self, promise: Promise | None) -> None:
        """The sequence that was told of followers has ended without going on."""
        while promise is not None:
            told, promise.told, promise.sid = promise.told, None, None
            promise = None if told is None else told.promise

    def keep(self, promise: Promise) -> list[Follower]:
        """The session is there: those that waited for it, to be begun now."""
        key = promise.client_id, promise.number
        if self._promises.get(key) is promise:
            del self._promises[key]
        followers, promise.followers = promise.followers, []
        self._num_waiting -= len(followers)
        for follower in followers:
            follower.flight.on_end = partial(self._end, follower)
        return followers

    def give_up(self, promise: Promise) -> None:
        """There will be no such session: those that waited for it are told, and those behind them.
        A client may send thousands in a row."""
        reason = RequestError("session_lost", "the call that it goes on from did not end well")
        broken = [promise]
        while broken:
            for follower in self.keep(broken.pop()):
                if follower.promise is not None:
                    broken.append(follower.promise)
                follower.flight.on_end = _nothing
                if promise.client_id in self._flights.clients:
                    self._flights.abort(follower.flight, reason)
                else:
                    self._flights.forget(follower.flight, "client_gone")

    def _leave(self, promise: Promise, follower: Follower, outcome: str) -> None:
        """It was cancelled, or its client is gone. Should the engine go on with it all the same,
        nobody takes that (calls.py)."""
        promise.followers.remove(follower)
        self._num_waiting -= 1
        self._end(follower, outcome)

    def _end(self, follower: Follower, outcome: str) -> None:
        if follower.promise is not None:
            self.give_up(follower.promise)

    def _next_call(self, lead: Generate | Score, message: Generate | Score) -> NextCall | None:
        """What the engine is told of a call; None where it cannot go on with it by itself."""
        if not isinstance(lead, Generate) or not isinstance(message, Generate):
            return None
        goes_on = lead.keep_output and is_plain(lead) and lead.namespace == message.namespace
        if not goes_on or lead.stream or message.stream or message.embed is not None:
            return None
        stretch = [part for part in message.prompt if isinstance(part, Text)]
        if len(stretch) < len(message.prompt):
            return None
        return next_call(message, stretch, self._speller)


def _nothing(outcome: str) -> None:
    """Those behind it are told with it."""
