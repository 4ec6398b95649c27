"""The tree's changes as a stream, for a router outside that sends requests where their prefix lies.

Read through the engine core. Prefixes are named by a hash that any process can compute.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import Literal

from .node import TOKEN_BYTES


@dataclass(frozen=True, slots=True)
class CacheEvent:
    """`tokens`, behind the prefix with the hash `parent`, are cached now or no longer.

    number: counts from 0 without a gap. Of "cleared" nothing is left of anything told before.
    """

    number: int
    kind: Literal["stored", "evicted", "cleared"]
    namespace: str = ""
    parent: str = ""
    tokens: bytes = b""


class EventLog:
    """A TreeListener that keeps the latest `capacity` changes."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._events: deque[CacheEvent] = deque(maxlen=capacity)
        self._next_number = 0

    @property
    def oldest(self) -> int:
        """The number of the oldest change that is kept."""
        return self._events[0].number if self._events else self._next_number

    def stored(self, namespace: str, tokens: bytes, start: int) -> None:
        self._add("stored", namespace, tokens, start)

    def evicted(self, namespace: str, tokens: bytes, start: int) -> None:
        self._add("evicted", namespace, tokens, start)

    def cleared(self) -> None:
        """The tree changed in a way that is not told piece by piece."""
        self._events.append(CacheEvent(self._next_number, "cleared"))
        self._next_number += 1

    def since(self, number: int) -> tuple[list[CacheEvent], int]:
        """The events from `number` on, and the number to ask for next. When the first is not
        `number`, what lies between was too much to keep: begin anew with a dump."""
        return [event for event in self._events if event.number >= number], self._next_number

    def _add(
        self, kind: Literal["stored", "evicted"], namespace: str, tokens: bytes, start: int
    ) -> None:
        at = start * TOKEN_BYTES
        parent = prefix_hash(namespace, tokens[:at])
        event = CacheEvent(self._next_number, kind, namespace, parent, tokens[at:])
        self._events.append(event)
        self._next_number += 1


def prefix_hash(namespace: str, tokens: bytes) -> str:
    """BLAKE2b of the namespace and the tokens as little-endian int32, 16 bytes in hexadecimal."""
    return hashlib.blake2b(tokens, digest_size=16, key=namespace.encode()[:64]).hexdigest()
