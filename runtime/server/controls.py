"""Questions about the runtime itself and orders to its cache, which the engine answers between two
steps. Held by service.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..engine_protocol import (
    EngineCommand,
    EngineEvent,
    EngineFlush,
    EngineFlushed,
    EngineInspect,
    EngineInspected,
    EnginePin,
    EnginePing,
    EnginePinned,
    EnginePong,
    EngineProfile,
    EngineProfiled,
)
from ..errors import RequestError
from ..protocol import (
    FlushCache,
    Flushed,
    FrontMessage,
    GetInfo,
    Info,
    Inspect,
    Inspected,
    ModelInfo,
    Pin,
    Pinned,
    Profile,
    Profiled,
)
from ..tokenizer import Tokenizer
from . import inspection, validate
from .engine_link import EngineLink
from .flight import InFlight, Offload
from .flights import Flights, error_message
from .history import History

Control = GetInfo | Inspect | FlushCache | Pin | Profile


class Controls:
    """stats: all counters, the engine's included."""

    def __init__(
        self,
        model: ModelInfo,
        tokenizer: Tokenizer,
        bounds: validate.Bounds,
        flights: Flights,
        engine: EngineLink,
        history: History,
        *,
        stats: Callable[[], dict[str, float]],
        timeout_s: float,
        numbers: Iterator[int],
        offload: Offload,
        clock: Callable[[], float],
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._bounds = bounds
        self._flights = flights
        self._engine = engine
        self._history = history
        self._stats = stats
        self._timeout_s = timeout_s
        self._numbers = numbers
        self._offload = offload
        self._clock = clock
        self._open: dict[int, tuple[InFlight, Control]] = {}

    def start(self, client_id: bytes, message: Control, digest: bytes | None = None) -> None:
        """Ask the engine. Raises RequestError for what cannot be asked."""
        number = next(self._numbers)
        command: EngineCommand | None = None
        match message:
            case Pin(prompt=prompt):
                validate.check_prompt(prompt, self._bounds)
            case GetInfo(at_once=False):
                command = EnginePing(seq=number)
            case Inspect(namespace=namespace):
                query = inspection.engine_query(message, self._history)
                command = EngineInspect(number, namespace, query)
            case FlushCache():
                command = EngineFlush(seq=number)
            case Profile(active=active):
                command = EngineProfile(number, active)
        flight = self._flights.open(client_id, message.rid, self._timeout_s, digest)
        flight.on_end = lambda outcome: self._close(number)
        self._open[number] = flight, message
        if isinstance(message, Pin):
            self._pin(flight, number, message)
        elif command is not None:
            self._engine.send(command)
        else:
            self.on_answer(number, EnginePong(number, self._engine.stats))

    def _pin(self, flight: InFlight, number: int, message: Pin) -> None:
        """The engine knows token ids only; a long text is tokenized beside the loop."""

        def send(ids: list[int]) -> None:
            if not flight.ended:
                self._engine.send(EnginePin(number, message.namespace, ids, message.ttl_s))

        self._offload(lambda: self._tokenizer.encode(message.prompt), send)

    def on_answer(self, number: int, event: EngineEvent) -> None:
        """The engine's answer to question `number`; to one that nobody waits for, nothing."""
        entry = self._open.get(number)
        if entry is None:
            return
        flight, message = entry
        self._flights.end(flight, self._answer(message, event))

    def _answer(self, message: Control, event: EngineEvent) -> FrontMessage:
        match message, event:
            case GetInfo(rid=rid), EnginePong():
                return Info(rid, self._model, self._stats())
            case FlushCache(rid=rid), EngineFlushed(freed_tokens=freed_tokens):
                return Flushed(rid, freed_tokens)
            case Profile(rid=rid), EngineProfiled(path=path, error=error):
                if error is not None:
                    return error_message(rid, RequestError("invalid_request", error))
                return Profiled(rid, path)
            case Pin(rid=rid), EnginePinned(pin=pin, num_tokens=num_tokens, error=error):
                if error is not None:
                    return error_message(rid, RequestError("overloaded", error))
                return Pinned(rid, pin, num_tokens)
            case Inspect(rid=rid), EngineInspected(view=view):
                try:
                    shown = inspection.answer(
                        message, view, self._history, self._stats(), self._clock()
                    )
                except RequestError as refusal:
                    return error_message(rid, refusal)
                return Inspected(rid, shown)
        raise AssertionError(f"{type(event).__name__} is no answer to {type(message).__name__}")

    def _close(self, number: int) -> None:
        del self._open[number]
