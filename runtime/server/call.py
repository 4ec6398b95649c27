"""A call under way, as calls.py holds it, and what it belongs to, as programs.py says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..engine_protocol import NextCall
from ..protocol import Done, Generate, Score
from .flight import InFlight
from .following import Promise
from .history import Record
from .requests import SequenceRequest


@dataclass(frozen=True, slots=True)
class Membership:
    """What a call belongs to, by the engine's numbers, 0 for none.

    lease: the session of its first sequence. tokens_after: how many tokens the program may generate
    after it, where that is known. ahead: tells which calls of that session will follow. went_on: is
    told the answer of a call whose sequence has gone on with one of those; which it is, or None.
    private: nobody else waits for its answer.
    """

    lease: int = 0
    program: int = 0
    tokens_after: int | None = None
    ahead: Callable[[], list[NextCall]] = list
    went_on: Callable[[Done], Generate | None] | None = None
    private: bool = False


@dataclass(slots=True, eq=False)
class Call:
    """A call and its sequences. own_lease: its lease ends with it, unless it is kept as a
    session. promise: that session, until it is kept or given up."""

    flight: InFlight
    message: Generate | Score
    request: SequenceRequest
    record: Record
    part_of: Membership
    own_lease: bool
    num_waiting: int
    num_unfinished: int
    promise: Promise | None = None
    sids: list[int] = field(default_factory=list)
