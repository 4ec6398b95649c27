"""The last answers, kept so that a request that is sent again is answered and not run again. Used
by service.py.

Within an epoch a request id names one request of one client: its content is kept as a digest.
Answers are kept as they go over the wire: their objects would take almost five times as much.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final, NamedTuple

import msgspec

from ..protocol import (
    ClientMessage,
    Done,
    Error,
    FrontMessage,
    Pinned,
    Plan,
    PlanDone,
    PlanInstance,
    Profiled,
    Scores,
    encode,
    front_messages,
)

_MAX_BYTES: Final = 8 * 1024 * 1024
_MAX_ANSWERS: Final = 4_096
# Whoever is told to come back later wants its request run then.
_PASSING: Final = ("overloaded", "unavailable")


class Answer(NamedTuple):
    """What a request was answered with; `digest` tells the request from another of its id."""

    digest: bytes
    frame: bytes

    @property
    def message(self) -> FrontMessage:
        return front_messages.decode(self.frame)


class Answered:
    """Bounded in number and bytes; the oldest go first."""

    def __init__(self, max_bytes: int = _MAX_BYTES, max_answers: int = _MAX_ANSWERS) -> None:
        self._max_bytes = max_bytes
        self._max_answers = max_answers
        self._answers: OrderedDict[tuple[bytes, str], Answer] = OrderedDict()
        self.num_bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def keep(self, client_id: bytes, rid: str, digest: bytes, message: FrontMessage) -> None:
        """Remember how a request ended, if it is worth it."""
        if not isinstance(message, Done | Scores | PlanDone | Pinned | Profiled | Error):
            return
        if isinstance(message, Error) and message.code in _PASSING:
            return
        answer = Answer(digest, encode(message))
        self._forget((client_id, rid))
        self._answers[client_id, rid] = answer
        self.num_bytes += len(answer.frame)
        while self.num_bytes > self._max_bytes or len(self._answers) > self._max_answers:
            self._forget(next(iter(self._answers)))

    def find(self, client_id: bytes, rid: str) -> Answer | None:
        """How this client's request of that id ended, if that is still known."""
        return self._answers.get((client_id, rid))

    def forget_client(self, client_id: bytes) -> None:
        """It is gone, and asks no more."""
        for key in [key for key in self._answers if key[0] == client_id]:
            self._forget(key)

    def _forget(self, key: tuple[bytes, str]) -> None:
        answer = self._answers.pop(key, None)
        if answer is not None:
            self.num_bytes -= len(answer.frame)


def digest_of(message: ClientMessage | Plan | PlanInstance) -> bytes:
    """Equal for equal requests, plans and instances."""
    return hashlib.blake2b(msgspec.msgpack.encode(message), digest_size=16).digest()
