"""Whether calls are taken in at the moment. Made by service.py; HTTP asks before it reads a request
on a thread of its own, so nothing here changes what it looks at."""

from __future__ import annotations

from ..errors import RequestError
from .flights import Flights
from .waiting import WaitingRoom


class Entrance:
    """overloaded, unavailable: how many were turned away by who asked here; one thread does."""

    def __init__(self, flights: Flights, waiting: WaitingRoom) -> None:
        self._flights = flights
        self._waiting = waiting
        self.overloaded = 0
        self.unavailable = 0

    def refusal(self) -> RequestError | None:
        """What the service would say to the smallest call; None where it would take it in."""
        return self._flights.refusal() or self._waiting.refusal()

    def turn_away(self, error: RequestError) -> None:
        """A call was refused with `error` and never reaches the service."""
        if error.code == "overloaded":
            self.overloaded += 1
        else:
            self.unavailable += 1

    def counted(self, counters: dict[str, float]) -> dict[str, float]:
        """The service's counters and these."""
        turned_away = self.overloaded + self.unavailable
        return {
            **counters,
            "requests": counters["requests"] + turned_away,
            "requests_failed": counters["requests_failed"] + turned_away,
            "requests_overloaded": counters["requests_overloaded"] + self.overloaded,
        }
