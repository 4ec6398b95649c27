"""What the service's rooms share: limits, clients, requests in flight, work done beside the
loop. Data of flights.py; `Limits` are settings of the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

Prepared = TypeVar("Prepared")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the front process allows; every one is an option of the command line."""

    max_waiting_sequences: int = 4096
    request_timeout_s: float = 600.0
    control_timeout_s: float = 10.0
    client_silence_s: float = 10.0
    engine_ping_s: float = 0.5
    engine_silence_s: float = 1.5
    session_ttl_s: float = 600.0
    session_tokens: int = 8_000_000


class Offload(Protocol):
    """Runs work on another thread and hands its result back on the service's thread."""

    def __call__(
        self, work: Callable[[], Prepared], then: Callable[[Prepared], None], /
    ) -> None: ...


def run_inline(work: Callable[[], Prepared], then: Callable[[Prepared], None], /) -> None:
    """An Offload that does not: for tests and for a process of one's own."""
    then(work())


def run_now(work: Callable[[], None], /) -> None:
    """Does at once what could wait until the answers have left."""
    work()


def _nothing(outcome: str) -> None:
    """What a request frees that holds nothing."""


@dataclass(slots=True, eq=False)
class InFlight:
    """A request that was not answered to its end yet.

    digest: of its content, None where it may be answered anew at any time.
    on_end: frees what the request holds; told how it ended (a finish reason or an error's code).
    """

    client_id: bytes
    rid: str
    deadline_s: float
    timeout_s: float
    digest: bytes | None = None
    ended: bool = False
    on_end: Callable[[str], None] = _nothing

    def end(self, outcome: str) -> None:
        """Once; what it held is let go, though a list of deadlines knows it for longer."""
        self.ended = True
        on_end, self.on_end = self.on_end, _nothing
        on_end(outcome)


@dataclass(slots=True)
class Client:
    """Somebody who said Hello. `inside`: a part of the runtime, which is never lost."""

    last_heard_s: float
    inside: bool = False
    requests: dict[str, InFlight] = field(default_factory=dict)
