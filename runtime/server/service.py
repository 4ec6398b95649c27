"""The runtime as its clients see it, without sockets: messages of clients go in, commands for the
engine come out, events of the engine go in, answers come out. Driven by front.py (ZeroMQ) and by
branchline/engine.py (in-process). One thread calls it; time comes from outside.
"""

from __future__ import annotations

import heapq
import itertools
import time
import traceback
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from ..errors import RequestError
from ..plans.check import check_instance, check_plan
from ..plans.desk import PlanDesk
from ..protocol import (
    PROTOCOL_VERSION,
    Cancel,
    ClientMessage,
    Drop,
    EngineCommand,
    EngineEvent,
    EngineFlush,
    EngineFlushed,
    EngineInspect,
    EngineInspected,
    EnginePing,
    EnginePong,
    Error,
    Failed,
    FlushCache,
    Flushed,
    FrontMessage,
    Generate,
    GetInfo,
    Hello,
    Info,
    Inspect,
    Inspected,
    ModelInfo,
    Ping,
    PlanCall,
    PlanDone,
    PlanInstance,
    Pong,
    Progress,
    Release,
    RunPlan,
    Score,
    StepEvents,
    Submit,
    Tokens,
    Welcome,
)
from ..tokenizer import Tokenizer
from ..views import EngineView
from . import inspection, validate
from .answered import Answered, digest_of
from .flight import Client, InFlight, Limits, Offload, run_inline
from .history import History, Record
from .requests import GenerateRequest, ScoreRequest, SequenceRequest, SequenceSpec
from .sessions import Sessions
from .waiting import WaitingRoom

# Tokenizing this many characters takes about 10 ms; longer prompts are tokenized beside the loop.
_INLINE_CHARS: Final = 32_768
# Who asks for the calls of plans. ZeroMQ's own names with a leading zero have five bytes.
_PLANS: Final = b"\0branchline-plans"


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
        limits: Limits | None = None,
        offload: Offload = run_inline,
        clock: Callable[[], float] = time.monotonic,
        on_request_end: Callable[[Record], None] = lambda record: None,
    ) -> None:
        self.model = model
        self.epoch = epoch
        self._tokenizer = tokenizer
        self._bounds = validate.Bounds.of(tokenizer, context_limit)
        self._limits = limits or Limits()
        self._to_others = to_client
        self._to_engine = to_engine
        self._offload = offload
        self._clock = clock
        self._desk = PlanDesk(
            tokenizer, ask=self._ask_for_plan, cancel=self._cancel_for_plan, clock=clock
        )
        self._plan_client = Client(float("inf"))
        self._clients: dict[bytes, Client] = {_PLANS: self._plan_client}
        self._sequences: dict[int, tuple[InFlight, int]] = {}
        self._controls: dict[int, InFlight] = {}
        self._history = History(clock, on_request_end)
        self._numbers = itertools.count(1)
        self._deadlines: list[tuple[float, int, InFlight]] = []
        self._answered = Answered()
        self._waiting = WaitingRoom(self._limits.max_waiting_sequences)
        self._sessions = Sessions(self._limits.session_ttl_s, self._limits.session_tokens)
        self._draining = False
        self._engine_up = True
        self._engine_heard_s = clock()
        self._next_ping_s = 0.0
        self._next_sweep_s = 0.0
        self._engine_stats: dict[str, float] = {}
        self._counters: dict[str, float] = dict.fromkeys(
            (
                "requests",
                "requests_failed",
                "requests_repeated",
                "frames_refused",
                "clients_lost",
                "engine_restarts",
            ),
            0,
        )

    # --- state ---

    @property
    def ready(self) -> bool:
        """The engine is up and its loop answered lately."""
        silent_s = self._clock() - self._engine_heard_s
        return self._engine_up and silent_s < self._limits.engine_silence_s

    @property
    def engine_silent_s(self) -> float:
        """For how long the engine's loop said nothing; 0 while there is no engine."""
        return self._clock() - self._engine_heard_s if self._engine_up else 0.0

    @property
    def num_in_flight(self) -> int:
        return sum(len(client.requests) for client in self._clients.values())

    def clients_with_work(self) -> list[bytes]:
        """Who would lose something by being gone."""
        return [
            client_id
            for client_id, client in self._clients.items()
            if client.requests and client_id != _PLANS
        ]

    # --- from clients ---

    def on_message(self, client_id: bytes, message: ClientMessage) -> None:
        """One message of a client; whatever it is, the answer goes to that client alone."""
        client = self._clients.get(client_id)
        if isinstance(message, Hello):
            self._greet(client_id, message)
            return
        if client is None:
            self._count("frames_refused")
            rid = None if isinstance(message, Ping | Release | RunPlan) else message.rid
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
        match message:
            case Ping(seq=seq):
                self._to_client(client_id, Pong(seq=seq, ready=self.ready))
            case Cancel(rid=rid):
                flight = client.requests.get(rid)
                if flight is not None:
                    self._abort(flight, RequestError("cancelled", "the client cancelled it"))
            case RunPlan():
                self._run_plan(client_id, client, message)
            case Release(sessions=numbers):
                self._sessions.release(client_id, numbers)
            case _:
                self._accept(client_id, client, message)

    def on_bad_frame(self, client_id: bytes, reason: str) -> None:
        """A frame that is no message: said, counted, forgotten."""
        self._count("frames_refused")
        self._to_client(
            client_id, Error(None, "invalid_request", f"the frame is not a message: {reason}")
        )

    def on_client_gone(self, client_id: bytes) -> None:
        """Nobody will read the answers any more: the engine's work for it is freed."""
        client = self._clients.pop(client_id, None)
        if client is None:
            return
        self._count("clients_lost")
        self._answered.forget_client(client_id)
        self._history.client_gone(client_id)
        self._sessions.forget(client_id)
        for flight in list(client.requests.values()):
            self._forget(flight)

    # --- from the engine ---

    def on_engine_event(self, event: EngineEvent) -> None:
        """News of the engine's loop."""
        self._engine_heard_s = self._clock()
        match event:
            case StepEvents(progress=progress, failed=failed):
                for news in progress:
                    self._on_progress(news)
                for failure in failed:
                    self._on_failed(failure)
            case EnginePong(seq=seq, stats=stats):
                self._engine_stats = stats
                flight = self._controls.get(seq)
                if flight is not None:
                    self._end(flight, Info(flight.rid, self.model, self.stats()))
            case EngineFlushed(seq=seq, freed_tokens=freed_tokens):
                flight = self._controls.get(seq)
                if flight is not None:
                    self._end(flight, Flushed(flight.rid, freed_tokens))
            case EngineInspected(seq=seq, view=view):
                flight = self._controls.get(seq)
                if flight is not None and flight.inspect is not None:
                    self._end(flight, self._inspected(flight.inspect, view))
            case _:
                pass

    def on_engine_pulse(self) -> None:
        """The engine's loop turns, though it has nothing to say."""
        self._engine_heard_s = self._clock()

    def on_engine_lost(self, reason: str) -> None:
        """The engine is gone and with it every request in flight."""
        self._engine_up = False
        error = RequestError("unavailable", reason, retry_after_s=1.0)
        for client in self._clients.values():
            for flight in list(client.requests.values()):
                self._abort(flight, error)

    def on_engine_back(self) -> None:
        """A new engine serves."""
        self._count("engine_restarts")
        self._engine_up = True
        self._engine_heard_s = self._clock()

    # --- time ---

    def tick(self) -> None:
        """Deadlines, silent clients, the engine's heartbeat. Call it a few times per second."""
        now_s = self._clock()
        while self._deadlines and self._deadlines[0][0] <= now_s:
            flight = heapq.heappop(self._deadlines)[2]
            if not flight.ended:
                self._abort(
                    flight, RequestError("timeout", f"no result within {flight.timeout_s:g} s")
                )
        self._desk.tick()
        if self._engine_up and now_s >= self._next_ping_s:
            self._next_ping_s = now_s + self._limits.engine_ping_s
            self._to_engine(EnginePing(seq=0))
        if now_s >= self._next_sweep_s:
            self._next_sweep_s = now_s + 1.0
            self._sessions.sweep(now_s)
            oldest_s = now_s - self._limits.client_silence_s
            for client_id, client in list(self._clients.items()):
                if client.last_heard_s < oldest_s:
                    self.on_client_gone(client_id)

    def drain(self) -> None:
        """Refuse new work from now on; what runs goes on."""
        self._draining = True

    def abort_all(self, reason: str) -> None:
        """End every request in flight with `unavailable`."""
        for client in self._clients.values():
            for flight in list(client.requests.values()):
                self._abort(flight, RequestError("unavailable", reason))

    def stats(self) -> dict[str, float]:
        """Counters and gauges: the engine's own, and the front's under `front_`."""
        own = {
            **self._counters,
            "clients": len(self._clients) - 1,
            "requests_in_flight": self.num_in_flight,
            "sequences_waiting": self._waiting.num_waiting,
            "sequences_in_flight": len(self._sequences),
            "sessions": len(self._sessions),
            "session_tokens": self._sessions.num_tokens,
            "ready": float(self.ready),
        }
        return {**self._engine_stats, **{f"front_{name}": value for name, value in own.items()}}

    # --- requests ---

    def _greet(self, client_id: bytes, hello: Hello) -> None:
        if hello.version != PROTOCOL_VERSION:
            self._count("frames_refused")
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
        client = self._clients.setdefault(client_id, Client(self._clock()))
        client.last_heard_s = self._clock()
        self._to_client(client_id, Welcome(PROTOCOL_VERSION, self.epoch, self.model))

    def _accept(
        self,
        client_id: bytes,
        client: Client,
        message: Generate | Score | GetInfo | Inspect | FlushCache,
    ) -> None:
        repeatable = isinstance(message, Generate | Score) and client_id != _PLANS
        digest = digest_of(message) if repeatable else None
        if digest is not None and self._is_repeated(client_id, client, message.rid, digest):
            return
        self._count("requests")
        try:
            self._check_open(client_id, client, message.rid)
            if isinstance(message, Generate | Score):
                self._start_sequences(client_id, client, message, digest)
            else:
                self._start_control(client_id, client, message)
        except RequestError as error:
            self._refuse(client_id, message.rid, error)

    def _is_repeated(self, client_id: bytes, client: Client, rid: str, digest: bytes) -> bool:
        """Whether this very request was seen before. One that runs will be answered; one that
        has ended is answered again."""
        flight = client.requests.get(rid)
        if flight is not None:
            return flight.digest == digest
        answer = self._answered.find(client_id, rid)
        if answer is None or answer.digest != digest:
            return False
        self._count("requests_repeated")
        self._to_client(client_id, answer.message)
        return True

    def _refuse(self, client_id: bytes, rid: str, error: RequestError) -> None:
        self._count("requests_failed")
        self._to_client(client_id, _error(rid, error))

    def _check_open(self, client_id: bytes, client: Client, rid: str) -> None:
        if rid in client.requests:
            raise RequestError(
                "invalid_request",
                f"request id {rid!r} is in flight; use each id once",
                pointer="/rid",
            )
        # A plan that runs already comes to its end.
        if self._draining and client_id != _PLANS:
            raise RequestError("unavailable", "the runtime is shutting down")
        if not self._engine_up:
            raise RequestError("unavailable", "the engine is starting again", retry_after_s=1.0)

    # --- plans ---

    def _run_plan(self, client_id: bytes, client: Client, message: RunPlan) -> None:
        """Start every instance; each is a request of its own."""
        try:
            num_texts = check_plan(message.plan)
        except RequestError as error:
            for instance in message.instances:
                self._refuse(client_id, instance.rid, error)
            return
        of_plan = digest_of(message.plan)
        for instance in message.instances:
            digest = of_plan + digest_of(instance)
            if self._is_repeated(client_id, client, instance.rid, digest):
                continue
            self._count("requests")
            try:
                self._check_open(client_id, client, instance.rid)
                check_instance(instance, num_texts)
            except RequestError as error:
                self._refuse(client_id, instance.rid, error)
            else:
                self._start_instance(client_id, client, message, instance, digest)

    def _start_instance(
        self,
        client_id: bytes,
        client: Client,
        message: RunPlan,
        instance: PlanInstance,
        digest: bytes,
    ) -> None:
        # Each of its calls has its time; how many follow each other is the program's affair.
        flight = self._add(client_id, client, instance.rid, float("inf"))
        flight.digest = digest

        def end(branches: list[list[PlanCall]]) -> None:
            self._end(flight, PlanDone(flight.rid, branches))

        flight.plan = self._desk.open(message.plan, instance, message.namespace, end)
        self._desk.begin(flight.plan)

    def _ask_for_plan(self, message: Generate | Score) -> None:
        self._accept(_PLANS, self._plan_client, message)

    def _cancel_for_plan(self, rid: str) -> None:
        flight = self._plan_client.requests.get(rid)
        if flight is not None:
            self._forget(flight)

    def _to_client(self, client_id: bytes, message: FrontMessage) -> None:
        if client_id == _PLANS:
            self._desk.on_reply(message)
        else:
            self._to_others(client_id, message)

    def _start_control(
        self, client_id: bytes, client: Client, message: GetInfo | Inspect | FlushCache
    ) -> None:
        if isinstance(message, Inspect):
            query = inspection.engine_query(message, self._history)
        flight = self._add(client_id, client, message.rid, self._limits.control_timeout_s)
        number = next(self._numbers)
        flight.sids = [number]
        self._controls[number] = flight
        if isinstance(message, GetInfo):
            self._to_engine(EnginePing(seq=number))
        elif isinstance(message, Inspect):
            flight.inspect = message
            self._to_engine(EngineInspect(number, message.namespace, query))
        else:
            self._to_engine(EngineFlush(seq=number))

    def _start_sequences(
        self, client_id: bytes, client: Client, message: Generate | Score, digest: bytes | None
    ) -> None:
        timeout_s = self._limits.request_timeout_s
        if message.base is not None:
            held = self._sessions.prompt(client_id, message.base, self._clock())
            message = replace(message, prompt=[*held, *message.prompt])
        if isinstance(message, Generate):
            validate.check_generate(message, self._bounds)
            request: SequenceRequest = GenerateRequest(message, self._tokenizer)
            timeout_s = message.timeout_s or timeout_s
            num_encodings = 1
        else:
            validate.check_score(message, self._bounds)
            request = ScoreRequest(message)
            num_encodings = len(message.choices)
        self._waiting.enter(request.num_sequences)
        flight = self._add(client_id, client, message.rid, timeout_s)
        flight.request = request
        flight.digest = digest
        flight.record = self._history.begin(client_id, message, request.num_sequences)
        flight.namespace = message.namespace
        flight.keep_as = message.keep_as
        flight.num_waiting = flight.num_unfinished = request.num_sequences

        def prepare() -> list[SequenceSpec] | RequestError:
            try:
                return request.prepare(self._tokenizer, self._bounds.context_limit)
            except RequestError as error:
                return error
            except Exception as error:
                return _defect(error)

        size = sum(
            len(part.ids) if isinstance(part, Tokens) else len(part.text) for part in message.prompt
        )
        run = run_inline if size * num_encodings <= _INLINE_CHARS else self._offload
        run(prepare, lambda result: self._submit(flight, result))

    def _add(self, client_id: bytes, client: Client, rid: str, timeout_s: float) -> InFlight:
        flight = InFlight(client_id, rid, self._clock() + timeout_s, timeout_s)
        client.requests[rid] = flight
        if timeout_s < float("inf"):
            heapq.heappush(self._deadlines, (flight.deadline_s, next(self._numbers), flight))
        return flight

    def _submit(self, flight: InFlight, specs: list[SequenceSpec] | RequestError) -> None:
        """Hand a prepared request to the engine, unless it ended while it was prepared."""
        if flight.ended:
            return
        if isinstance(specs, RequestError):
            self._abort(flight, specs)
            return
        if flight.record is not None:
            self._history.submitted(flight.record, flight.sids, specs[0].input_ids)
        for index, spec in enumerate(specs):
            sid = next(self._numbers)
            flight.sids.append(sid)
            self._sequences[sid] = (flight, index)
            self._to_engine(
                Submit(
                    sid=sid,
                    input_ids=spec.input_ids,
                    sampling=spec.sampling,
                    constraint=spec.constraint,
                    logprobs=spec.logprobs,
                    namespace=flight.namespace,
                )
            )

    def _on_progress(self, progress: Progress) -> None:
        entry = self._sequences.get(progress.sid)
        if entry is None:
            return
        flight, index = entry
        assert flight.request is not None
        if progress.cached_tokens is not None and flight.num_waiting:
            flight.num_waiting -= 1
            self._waiting.leave(1)
        if flight.record is not None:
            self._history.progressed(flight.record, index, progress)
        if progress.finish is not None:
            del self._sequences[progress.sid]
            flight.num_unfinished -= 1
            self._waiting.note_finish(self._clock())
        try:
            messages = flight.request.progress(index, progress)
        except Exception as error:
            self._abort(flight, _defect(error))
            return
        if flight.num_unfinished == 0 and flight.keep_as is not None:
            held = flight.request.held
            self._sessions.keep(flight.client_id, flight.keep_as, held, self._clock())
        for message in messages:
            self._to_client(flight.client_id, message)
        if flight.num_unfinished == 0:
            self._keep(flight, messages[-1])
            self._forget(flight, progress.finish or "stop")

    def _on_failed(self, failure: Failed) -> None:
        entry = self._sequences.pop(failure.sid, None)
        if entry is None:
            return
        self._abort(entry[0], RequestError(failure.code, failure.message, pointer=failure.pointer))

    def _abort(self, flight: InFlight, error: RequestError) -> None:
        """End a request with an error and free what the engine holds for it."""
        self._count("requests_failed")
        self._end(flight, _error(flight.rid, error))

    def _inspected(self, message: Inspect, view: EngineView) -> FrontMessage:
        try:
            shown = inspection.answer(message, view, self._history, self.stats(), self._clock())
        except RequestError as error:
            return _error(message.rid, error)
        return Inspected(message.rid, shown)

    def _end(self, flight: InFlight, message: FrontMessage) -> None:
        self._keep(flight, message)
        self._forget(flight, message.code if isinstance(message, Error) else "stop")
        self._to_client(flight.client_id, message)

    def _keep(self, flight: InFlight, message: FrontMessage) -> None:
        """Remember the answer, should the request come again."""
        if flight.digest is not None:
            self._answered.keep(flight.client_id, flight.rid, flight.digest, message)

    def _forget(self, flight: InFlight, outcome: str = "client_gone") -> None:
        flight.ended = True
        if flight.plan is not None:
            self._desk.drop(flight.plan)
        if flight.record is not None:
            self._history.ended(flight.record, outcome)
        self._waiting.leave(flight.num_waiting)
        flight.num_waiting = 0
        for sid in flight.sids:
            if self._sequences.pop(sid, None) is not None and self._engine_up:
                self._to_engine(Drop(sid=sid))
            self._controls.pop(sid, None)
        flight.request = None
        client = self._clients.get(flight.client_id)
        if client is not None and client.requests.get(flight.rid) is flight:
            del client.requests[flight.rid]

    def _count(self, name: str) -> None:
        self._counters[name] += 1


def _defect(error: Exception) -> RequestError:
    """A failure that nobody foresaw ends its request, never the loop; the trace is for us."""
    traceback.print_exception(error)
    return RequestError("internal", f"{type(error).__name__} in the front process: {error}")


def _error(rid: str | None, error: RequestError) -> Error:
    return Error(rid, error.code, error.message, error.pointer, error.retry_after_s)
