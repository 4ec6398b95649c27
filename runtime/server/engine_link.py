"""The engine as the service sees it: whether it is there, when its loop was last heard, and the way
to it. Held by service.py."""

from __future__ import annotations

from collections.abc import Callable

from ..engine_protocol import EngineCommand, EnginePing


class EngineLink:
    """up: an engine runs. stats: its counters, as of its last answer."""

    def __init__(
        self,
        send: Callable[[EngineCommand], None],
        clock: Callable[[], float],
        *,
        ping_s: float,
        silence_s: float,
    ) -> None:
        self.up = True
        self.stats: dict[str, float] = {}
        self._send = send
        self._clock = clock
        self._ping_s = ping_s
        self._silence_s = silence_s
        self._heard_s = clock()
        self._next_ping_s = 0.0

    def send(self, command: EngineCommand) -> None:
        """Tell the engine, if there is one: the next one starts with nothing."""
        if self.up:
            self._send(command)

    @property
    def ready(self) -> bool:
        """It is up and its loop answered lately."""
        return self.up and self._clock() - self._heard_s < self._silence_s

    @property
    def silent_s(self) -> float:
        """For how long its loop said nothing; 0 while there is none."""
        return self._clock() - self._heard_s if self.up else 0.0

    def heard(self) -> None:
        self._heard_s = self._clock()

    def lost(self) -> None:
        self.up = False

    def back(self) -> None:
        self.up = True
        self.heard()

    def tick(self, now_s: float) -> None:
        """Ask for a sign of life, now and then."""
        if self.up and now_s >= self._next_ping_s:
            self._next_ping_s = now_s + self._ping_s
            self.send(EnginePing(seq=0))
