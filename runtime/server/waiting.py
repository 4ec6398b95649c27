"""How many sequences wait for the engine, and when a refused client should come back. Used by
service.py."""

from __future__ import annotations

from ..errors import RequestError

_FIRST_GUESS_S = 0.05
# Nobody is told that its time is too short by a guess: after so many gaps it is a measurement.
_KNOWN_AFTER = 16
_LONGEST_GAP_S = 1.0
_SHORTEST_RETRY_S = 0.1
_LONGEST_RETRY_S = 30.0


class WaitingRoom:
    """Bounded: a request that finds it full is refused at once instead of waiting for ever."""

    def __init__(self, max_sequences: int) -> None:
        self.num_waiting = 0
        self._max_sequences = max_sequences
        self._seconds_per_sequence = _FIRST_GUESS_S
        self._num_gaps = 0
        # Of the last finish, where others waited at that time.
        self._last_finish_s: float | None = None

    def enter(self, num_sequences: int, within_s: float = float("inf")) -> None:
        """Let a request's sequences in, or raise RequestError("overloaded").

        An empty room takes a request of any size, or one that is larger than the room would never
        be served. within_s: how long the client waits for its result; whose turn would come later
        than that hears it now.
        """
        refusal = self.refusal(num_sequences) or self._too_late(within_s)
        if refusal is not None:
            raise refusal
        self.num_waiting += num_sequences

    def refusal(self, num_sequences: int = 1) -> RequestError | None:
        """What `enter` would raise. From any thread."""
        waiting = self.num_waiting
        if not waiting or waiting + num_sequences <= self._max_sequences:
            return None
        guess_s = waiting * self._seconds_per_sequence
        retry_s = min(_LONGEST_RETRY_S, max(_SHORTEST_RETRY_S, guess_s))
        return RequestError(
            "overloaded",
            f"{waiting} sequences wait already and at most {self._max_sequences} may; "
            f"retry in {retry_s:.1f} s",
            retry_after_s=round(retry_s, 3),
        )

    def _too_late(self, within_s: float) -> RequestError | None:
        wait_s = self.num_waiting * self._seconds_per_sequence
        if self._num_gaps < _KNOWN_AFTER or wait_s <= within_s:
            return None
        return RequestError(
            "overloaded",
            f"{self.num_waiting} sequences wait already, for about {wait_s:.1f} s, and this "
            f"request has {within_s:g} s; give it more or retry later",
            retry_after_s=round(min(_LONGEST_RETRY_S, wait_s - within_s), 3),
        )

    def leave(self, num_sequences: int) -> None:
        """They run now, or were given up."""
        self.num_waiting -= num_sequences

    def note_finish(self, now_s: float) -> None:
        """A sequence has finished: keeps the mean time between two while others wait, the measure
        of the queue. With nobody waiting it would be that of the clients."""
        if self._last_finish_s is not None and self.num_waiting:
            gap_s = min(_LONGEST_GAP_S, now_s - self._last_finish_s)
            self._seconds_per_sequence += 0.05 * (gap_s - self._seconds_per_sequence)
            self._num_gaps += 1
        self._last_finish_s = now_s if self.num_waiting else None
