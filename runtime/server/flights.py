"""Clients and their requests in flight: who asked, until when, and what was answered.

Held by service.py; calls.py, controls.py and programs.py open and end requests here.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import traceback
from collections.abc import Callable
from functools import partial
from typing import Final

from ..errors import RequestError
from ..protocol import Error, FrontMessage
from .answered import Answered
from .engine_link import EngineLink
from .flight import Client, InFlight, run_now

_MIN_DEADLINES: Final = 1_024


class Flights:
    """send: hands a message to a client. afterwards: does what is left to do of a request when its
    answer has left. counters: of what happened since the start."""

    def __init__(
        self,
        send: Callable[[bytes, FrontMessage], None],
        engine: EngineLink,
        clock: Callable[[], float],
        afterwards: Callable[[Callable[[], None]], None] = run_now,
    ) -> None:
        self.clients: dict[bytes, Client] = {}
        self.draining = False
        self.send = send
        self._engine = engine
        self._clock = clock
        self._afterwards = afterwards
        self._answered = Answered()
        self._numbers = itertools.count()
        # (when, order, request); those that ended before are passed over.
        self._deadlines: list[tuple[float, int, InFlight]] = []
        self._max_deadlines = _MIN_DEADLINES
        self.counters: dict[str, float] = dict.fromkeys(
            (
                "requests",
                "requests_failed",
                "requests_overloaded",
                "requests_repeated",
                "frames_refused",
                "clients_lost",
                "engine_restarts",
            ),
            0,
        )

    @property
    def num_open(self) -> int:
        return sum(len(client.requests) for client in self.clients.values())

    def count(self, name: str) -> None:
        self.counters[name] += 1

    # --- before a request is taken in ---

    def is_repeated(self, client_id: bytes, rid: str, digest: bytes | None) -> bool:
        """Whether this very request was seen before. One that runs will be answered; one that
        has ended is answered again, or, without a digest, asked anew."""
        flight = self.clients[client_id].requests.get(rid)
        if flight is not None:
            return flight.digest == digest
        if digest is None:
            return False
        answer = self._answered.find(client_id, rid)
        if answer is None or answer.digest != digest:
            return False
        self.count("requests_repeated")
        self.send(client_id, answer.message)
        return True

    def check_open(self, client_id: bytes, rid: str, *, is_work: bool = True) -> None:
        """Raises RequestError where no request of this id can be taken in now. What is no work,
        a question for the counters, is answered to the end."""
        client = self.clients[client_id]
        if rid in client.requests:
            raise RequestError(
                "invalid_request",
                f"request id {rid!r} is in flight; use each id once",
                pointer="/rid",
            )
        # What was begun inside comes to its end.
        refusal = self.refusal(is_work=is_work and not client.inside)
        if refusal is not None:
            raise refusal

    def refusal(self, *, is_work: bool = True) -> RequestError | None:
        """Why nobody's request can be taken in now, if so. From any thread."""
        if is_work and self.draining:
            return RequestError("unavailable", "the runtime is shutting down")
        if not self._engine.up:
            return RequestError("unavailable", "the engine is starting again", retry_after_s=1.0)
        return None

    def refuse(self, client_id: bytes, rid: str, error: RequestError) -> None:
        """Answer a request that is not taken in."""
        self.count("requests_failed")
        if error.code == "overloaded":
            self.count("requests_overloaded")
        self.send(client_id, error_message(rid, error))

    # --- its life ---

    def open(
        self, client_id: bytes, rid: str, timeout_s: float, digest: bytes | None = None
    ) -> InFlight:
        """A request was taken in."""
        flight = InFlight(client_id, rid, 0.0, timeout_s, digest)
        self.clients[client_id].requests[rid] = flight
        self.limit(flight, timeout_s)
        return flight

    def limit(self, flight: InFlight, timeout_s: float) -> None:
        """Let its time run from now on."""
        flight.timeout_s, flight.deadline_s = timeout_s, self._clock() + timeout_s
        if timeout_s < float("inf"):
            heapq.heappush(self._deadlines, (flight.deadline_s, next(self._numbers), flight))
            if len(self._deadlines) > self._max_deadlines:
                self._forget_deadlines()

    def rename(self, flight: InFlight, rid: str, timeout_s: float) -> None:
        """From now on it is another request of its client, which has a time of its own."""
        requests = self.clients[flight.client_id].requests
        requests.pop(flight.rid, None)
        flight.rid = rid
        requests[rid] = flight
        self.limit(flight, timeout_s)

    def _forget_deadlines(self) -> None:
        """Those of ended requests: ten minutes of them would be hundreds of thousands. Next when
        there are twice as many as are left, so each is looked at twice or so in its life."""
        self._deadlines = [entry for entry in self._deadlines if not entry[2].ended]
        heapq.heapify(self._deadlines)
        self._max_deadlines = max(_MIN_DEADLINES, 2 * len(self._deadlines))

    def end(
        self, flight: InFlight, message: FrontMessage, *, kept: FrontMessage | None = None
    ) -> None:
        """Answer it, for the last time. kept: the answer should it come again, where that is
        another."""
        self.send(flight.client_id, message)
        self.close(flight, kept or message, "stop")

    def close(self, flight: InFlight, answer: FrontMessage, outcome: str) -> None:
        """It was answered, for the last time: who waits for that waits for nothing else."""
        flight.ended = True
        self._afterwards(partial(self._close, flight, answer, outcome))

    def _close(self, flight: InFlight, answer: FrontMessage, outcome: str) -> None:
        try:
            self.forget(flight, outcome)
            self.keep(flight, answer)
        except Exception as error:
            self.give_up(flight, error)

    def abort(self, flight: InFlight, error: RequestError) -> None:
        """End it with an error."""
        self.count("requests_failed")
        message = error_message(flight.rid, error)
        self.keep(flight, message)
        self.forget(flight, error.code)
        self.send(flight.client_id, message)

    def give_up(self, flight: InFlight, error: Exception) -> None:
        """End it for a defect of ours. Whoever waits is told even where what it holds cannot be
        freed."""
        reason = defect(error)
        try:
            self.abort(flight, reason)
        except Exception as worse:
            traceback.print_exception(worse)
            with contextlib.suppress(Exception):
                self.send(flight.client_id, error_message(flight.rid, reason))

    def keep(self, flight: InFlight, message: FrontMessage) -> None:
        """Remember the answer, should the request come again."""
        if flight.digest is not None and flight.client_id in self.clients:
            self._answered.keep(flight.client_id, flight.rid, flight.digest, message)

    def forget(self, flight: InFlight, outcome: str) -> None:
        """It is over: free what it holds."""
        flight.end(outcome)
        client = self.clients.get(flight.client_id)
        if client is not None and client.requests.get(flight.rid) is flight:
            del client.requests[flight.rid]

    # --- all of them ---

    def expire(self, now_s: float) -> None:
        """End those whose time is over."""
        while self._deadlines and self._deadlines[0][0] <= now_s:
            flight = heapq.heappop(self._deadlines)[2]
            if not flight.ended and flight.deadline_s <= now_s:
                self.abort(
                    flight, RequestError("timeout", f"no result within {flight.timeout_s:g} s")
                )

    def abort_all(self, error: RequestError) -> None:
        """End every one with an error."""
        for client in self.clients.values():
            for flight in list(client.requests.values()):
                if not flight.ended:  # with a program, its calls have ended
                    self.abort(flight, error)

    def drop_client(self, client_id: bytes) -> bool:
        """It is gone, and nobody will read its answers; False when it was not there."""
        client = self.clients.pop(client_id, None)
        if client is None:
            return False
        self.count("clients_lost")
        self._answered.forget_client(client_id)
        for flight in list(client.requests.values()):
            self.forget(flight, "client_gone")
        return True


def error_message(rid: str | None, error: RequestError) -> Error:
    return Error(rid, error.code, error.message, error.pointer, error.retry_after_s)


def defect(error: Exception) -> RequestError:
    """A failure that nobody foresaw ends its request, never the loop; the trace is for us."""
    traceback.print_exception(error)
    return RequestError("internal", f"{type(error).__name__} in the front process: {error}")
