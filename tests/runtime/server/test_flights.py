"""Requests in flight: what is known of them ends with them."""

from __future__ import annotations

from branchline.runtime.protocol import Error, FrontMessage
from branchline.runtime.server.engine_link import EngineLink
from branchline.runtime.server.flight import Client
from branchline.runtime.server.flights import Flights

NUM_REQUESTS = 20_000


def test_deadlines_of_ended_requests_are_forgotten_and_the_others_hold() -> None:
    sent: list[FrontMessage] = []
    now_s = 0.0
    clock = lambda: now_s  # noqa: E731
    flights = Flights(
        lambda client_id, message: sent.append(message),
        EngineLink(lambda command: None, clock, ping_s=1.0, silence_s=1.0),
        clock,
    )
    flights.clients[b"c"] = Client(0.0)
    for number in range(NUM_REQUESTS):
        flight = flights.open(b"c", f"{number}", 600.0)
        if number % 1_000:
            flights.forget(flight, "stop")
    assert len(flights._deadlines) < 2_000
    now_s = 601.0
    flights.expire(now_s)
    expired = [message.rid for message in sent if isinstance(message, Error)]
    assert expired == [f"{number}" for number in range(0, NUM_REQUESTS, 1_000)]
