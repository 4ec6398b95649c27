"""How many sequences wait for the engine, and when a refused client should come back. Used by
service.py."""

from __future__ import annotations

from ..errors import RequestError

_FIRST_GUESS_S = 0.05
_LONGEST_GAP_S = 1.0
_SHORTEST_RETRY_S = 0.1
_LONGEST_RETRY_S = 30.0


class WaitingRoom:
    """Bounded: a request that finds it full is refused at once instead of waiting for ever."""

    def __init__(self, max_sequences: int) -> None:
        self.num_waiting = 0
        self._max_sequences = max_sequences
        self._seconds_per_sequence = _FIRST_GUESS_S
        self._last_finish_s: float | None = None

    def enter(self, num_sequences: int) -> None:
        """Let a request's sequences in, or raise RequestError("overloaded").

        An empty room takes a request of any size, or one that is larger than the room would never
        be served.
        """
        refusal = self.refusal(num_sequences)
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

    def leave(self, num_sequences: int) -> None:
        """They run now, or were given up."""
        self.num_waiting -= num_sequences

    def note_finish(self, now_s: float) -> None:
        """A sequence has finished: keeps the mean time between two, the measure of the queue."""
        if self._last_finish_s is not None:
            gap_s = min(_LONGEST_GAP_S, now_s - self._last_finish_s)
            self._seconds_per_sequence += 0.05 * (gap_s - self._seconds_per_sequence)
        self._last_finish_s = now_s
