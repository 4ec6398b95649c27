"""The runtime as its clients see it, without sockets: messages of clients go in, commands for the
engine come out, events of the engine go in, answers come out. Driven by front.py (ZeroMQ) and by
branchline/engine.py (in-process). One thread calls it; time comes from outside.

Its rooms: flights.py (who waits for what), calls.py (generating and scoring), programs.py (plans),
controls.py (questions about the runtime), engine_link.py (the way to the engine).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable

from ..engine_protocol import (
    EngineCommand,
    EngineEvent,
    EngineFlushed,
    EngineInspected,
    EnginePinned,
    EnginePong,
    EngineProfiled,
    EngineUnpin,
    StepEvents,
)
from ..errors import RequestError
from ..protocol import (
    PROTOCOL_VERSION,
    Cancel,
    ClientMessage,
    Error,
    FlushCache,
    FrontMessage,
    Generate,
    GetInfo,
    Hello,
    Inspect,
    ModelInfo,
    Pin,
    Ping,
    Pong,
    Profile,
    Release,
    RunPlan,
    Score,
    Unpin,
    Welcome,
)
from ..tokenizer import Tokenizer
from . import validate
from .answered import digest_of
from .calls import Calls
from .controls import Controls
from .engine_link import EngineLink
from .entrance import Entrance
from .flight import Client, InFlight, Limits, Offload, run_inline, run_now
from .flights import Flights
from .history import History, Record
from .programs import PLANS, Programs


class Service:
    """All requests of all clients. See the module's text for its place."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        model: ModelInfo,
        *,
        to_client: Callable[[bytes, FrontMessage], None],
        to_engine: Callable[[EngineCommand], None],
        epoch: str,
        context_limit: int,
        pool_limits: bool = False,
        limits: Limits | None = None,
        offload: Offload = run_inline,
        clock: Callable[[], float] = time.monotonic,
        on_request_end: Callable[[Record], None] = lambda record: None,
        afterwards: Callable[[Callable[[], None]], None] = run_now,
    ) -> None:
        self.model = model
        self.epoch = epoch
        self._limits = limits or Limits()
        self._to_others = to_client
        self._clock = clock
        self._next_sweep_s = 0.0
        numbers = itertools.count(1)
        self._engine = EngineLink(
            to_engine,
            clock,
            ping_s=self._limits.engine_ping_s,
            silence_s=self._limits.engine_silence_s,
        )
        self._history = History(clock, on_request_end)
        bounds = validate.Bounds.of(tokenizer, context_limit, pool_limits=pool_limits)
        self._flights = Flights(self._to_client, self._engine, clock, afterwards)
        self._calls = Calls(
            tokenizer,
            bounds,
            self._flights,
            self._engine,
            self._history,
            limits=self._limits,
            numbers=numbers,
            offload=offload,
            clock=clock,
        )
        self.entrance = Entrance(self._flights, self._calls.waiting)
        self._programs = Programs(
            tokenizer, self._flights, self._calls, numbers=numbers, clock=clock
        )
        self._controls = Controls(
            model,
            tokenizer,
            bounds,
            self._flights,
            self._engine,
            self._history,
            stats=self.stats,
            timeout_s=self._limits.control_timeout_s,
            numbers=numbers,
            offload=offload,
            clock=clock,
        )

    # --- state ---

    @property
    def ready(self) -> bool:
        """The engine is up and its loop answered lately."""
        return self._engine.ready

    @property
    def engine_silent_s(self) -> float:
        """For how long the engine's loop said nothing; 0 while there is no engine."""
        return self._engine.silent_s

    @property
    def num_in_flight(self) -> int:
        return self._flights.num_open

    def clients_with_work(self) -> list[bytes]:
        """Who would lose something by being gone."""
        return [
            client_id
            for client_id, client in self._flights.clients.items()
            if client.requests and not client.inside
        ]

    def stats(self) -> dict[str, float]:
        """Counters and gauges: the engine's own, and the front's under `front_`."""
        clients = self._flights.clients.values()
        own = {
            **self.entrance.counted(self._flights.counters),
            "clients": sum(not client.inside for client in clients),
            "requests_in_flight": self.num_in_flight,
            "sequences_waiting": self._calls.waiting.num_waiting,
            "sequences_in_flight": self._calls.num_sequences,
            "sessions": len(self._calls.sessions),
            "session_tokens": self._calls.sessions.num_tokens,
            "ready": float(self.ready),
            "draining": float(self._flights.draining),
        }
        return {**self._engine.stats, **{f"front_{name}": value for name, value in own.items()}}

    # --- from clients ---

    def on_messages(self, client_id: bytes, messages: Iterable[ClientMessage]) -> None:
        """What a client says at once; whatever it is, the answer goes to that client alone."""
        for message in messages:
            self._on_message(client_id, message)
        self._calls.tell_ahead()

    def on_message(self, client_id: bytes, message: ClientMessage) -> None:
        """One message of a client."""
        self.on_messages(client_id, (message,))

    def _on_message(self, client_id: bytes, message: ClientMessage) -> None:
        client = self._flights.clients.get(client_id)
        if isinstance(message, Hello):
            self._greet(client_id, message)
            return
        if client is None:
            self._flights.count("frames_refused")
            rid = None if isinstance(message, Ping | Release | RunPlan | Unpin) else message.rid
            self._to_client(
                client_id,
                Error(
                    rid,
                    "invalid_request",
                    "this client never said Hello, or was silent for too long; connect again",
                ),
            )
            return
        client.last_heard_s = self._clock()
        try:
            match message:
                case Ping(seq=seq):
                    self._to_client(client_id, Pong(seq=seq, ready=self.ready))
                case Cancel(rid=rid):
                    flight = client.requests.get(rid)
                    if flight is not None:
                        error = RequestError("cancelled", "the client cancelled it")
                        self._flights.abort(flight, error)
                case RunPlan():
                    self._programs.start(client_id, message)
                case Release(sessions=numbers):
                    self._calls.sessions.release(client_id, numbers)
                case Unpin(pin=pin):
                    self._engine.send(EngineUnpin(pin))
                case _:
                    self._accept(client_id, message)
        except Exception as error:
            for rid in _request_ids(message):
                flight = client.requests.get(rid) or InFlight(client_id, rid, 0.0, 0.0)
                self._flights.give_up(flight, error)

    def on_bad_frame(self, client_id: bytes, reason: str, rid: str | None = None) -> None:
        """A frame that is no message: said, counted, forgotten. rid: of the request that it would
        have been, where that can be told."""
        self._flights.count("frames_refused")
        self._to_client(
            client_id, Error(rid, "invalid_request", f"the frame is not a message: {reason}")
        )

    def on_client_gone(self, client_id: bytes) -> None:
        """Nobody will read the answers any more: the engine's work for it is freed."""
        if self._flights.drop_client(client_id):
            self._history.client_gone(client_id)
            self._calls.sessions.forget(client_id)

    # --- from the engine ---

    def on_engine_event(self, event: EngineEvent) -> None:
        """News of the engine's loop."""
        self._engine.heard()
        match event:
            case StepEvents(progress=progress, failed=failed):
                for news in progress:
                    self._calls.on_progress(news)
                for failure in failed:
                    self._calls.on_failed(failure)
            case EnginePong(seq=seq, stats=stats):
                self._engine.stats = stats
                self._controls.on_answer(seq, event)
            case EngineFlushed(seq=seq) | EngineInspected(seq=seq):
                self._controls.on_answer(seq, event)
            case EnginePinned(seq=seq) | EngineProfiled(seq=seq):
                self._controls.on_answer(seq, event)
            case _:
                pass

    def on_engine_pulse(self) -> None:
        """The engine's loop turns, though it has nothing to say."""
        self._engine.heard()

    def on_engine_lost(self, reason: str) -> None:
        """The engine is gone and with it every request in flight."""
        self._engine.lost()
        self._flights.abort_all(RequestError("unavailable", reason, retry_after_s=1.0))

    def on_engine_back(self) -> None:
        """A new engine serves."""
        self._flights.count("engine_restarts")
        self._engine.back()

    # --- time ---

    def tick(self) -> None:
        """Deadlines, silent clients, the engine's heartbeat. Call it a few times per second."""
        now_s = self._clock()
        self._flights.expire(now_s)
        self._programs.tick()
        self._engine.tick(now_s)
        if now_s >= self._next_sweep_s:
            self._next_sweep_s = now_s + 1.0
            self._calls.sessions.sweep(now_s)
            oldest_s = now_s - self._limits.client_silence_s
            for client_id, client in list(self._flights.clients.items()):
                if client.last_heard_s < oldest_s:
                    self.on_client_gone(client_id)

    def drain(self) -> None:
        """Refuse new work from now on; what runs goes on."""
        self._flights.draining = True

    def abort_all(self, reason: str) -> None:
        """End every request in flight with `unavailable`."""
        self._flights.abort_all(RequestError("unavailable", reason))

    def close(self) -> None:
        """End what works for it; nothing is asked of it any more."""
        self._calls.close()

    # --- requests ---

    def _greet(self, client_id: bytes, hello: Hello) -> None:
        if hello.version != PROTOCOL_VERSION:
            self._flights.count("frames_refused")
            self._to_client(
                client_id,
                Error(
                    None,
                    "invalid_request",
                    f"the client speaks protocol version {hello.version}, this runtime "
                    f"{PROTOCOL_VERSION}; install the same release of branchline on both sides",
                    pointer="/version",
                ),
            )
            return
        client = self._flights.clients.setdefault(client_id, Client(self._clock()))
        client.last_heard_s = self._clock()
        self._to_client(client_id, Welcome(PROTOCOL_VERSION, self.epoch, self.model))

    def _accept(
        self,
        client_id: bytes,
        message: Generate | Score | GetInfo | Inspect | FlushCache | Pin | Profile,
    ) -> None:
        flights = self._flights
        is_asked_once = isinstance(message, Generate | Score | Pin | Profile)
        digest = digest_of(message) if is_asked_once else None
        if flights.is_repeated(client_id, message.rid, digest):
            return
        flights.count("requests")
        try:
            flights.check_open(client_id, message.rid, is_work=not isinstance(message, GetInfo))
            if isinstance(message, Generate | Score):
                self._calls.start(client_id, message, digest)
            else:
                self._controls.start(client_id, message, digest)
        except RequestError as error:
            flights.refuse(client_id, message.rid, error)

    def _to_client(self, client_id: bytes, message: FrontMessage) -> None:
        if client_id == PLANS:
            self._programs.on_reply(message)
        else:
            self._to_others(client_id, message)


def _request_ids(message: ClientMessage) -> list[str]:
    """The requests that a message is about."""
    if isinstance(message, RunPlan):
        return [instance.rid for instance in message.instances]
    return [] if isinstance(message, Hello | Ping | Release | Unpin) else [message.rid]
