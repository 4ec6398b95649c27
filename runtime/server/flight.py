"""The data that service.py keeps: who is connected, what is in flight, what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from ..plans.desk import PlanRun
from ..protocol import Inspect
from .history import Record
from .requests import SequenceRequest

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


@dataclass(slots=True)
class Client:
    """Somebody who said Hello."""

    last_heard_s: float
    requests: dict[str, InFlight] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class InFlight:
    """A request that was not answered to its end yet. `digest` is that of its content, None where
    it may be answered anew at any time."""

    client_id: bytes
    rid: str
    deadline_s: float
    timeout_s: float
    digest: bytes | None = None
    request: SequenceRequest | None = None
    namespace: str = ""
    record: Record | None = None
    inspect: Inspect | None = None
    keep_as: int | None = None
    sids: list[int] = field(default_factory=list)
    num_waiting: int = 0
    num_unfinished: int = 0
    ended: bool = False
    plan: PlanRun | None = None
