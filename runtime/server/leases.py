"""The engine's leases that sessions and plans have, up to their ends. Held by calls.py."""

from __future__ import annotations

from collections.abc import Iterable

from ..engine_protocol import EngineRelease
from .engine_link import EngineLink


class Leases:
    """A call that the engine went on with by itself is of the lease of the one before it: what both
    leave as sessions is kept until both have ended."""

    def __init__(self, engine: EngineLink) -> None:
        self._engine = engine
        # How many have a lease beside the first.
        self._num_sharers: dict[int, int] = {}

    def share(self, lease: int) -> None:
        """One more has it."""
        self._num_sharers[lease] = self._num_sharers.get(lease, 0) + 1

    def end(self, leases: Iterable[int]) -> None:
        """One that had each of these has ended; nobody will come back to what only it had."""
        over: list[int] = []
        for lease in leases:
            num_sharers = self._num_sharers.pop(lease, 0)
            if num_sharers > 1:
                self._num_sharers[lease] = num_sharers - 1
            elif not num_sharers:
                over.append(lease)
        if over:
            self._engine.send(EngineRelease(over))
