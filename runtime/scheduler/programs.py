"""Which calls belong to one program and how much of it is still to come; used by the engine core.

A compiled plan says what follows each call. Of any other program it is guessed, from how often
programs ended that had come as far. Those that still run count, too (E. L. Kaplan and P. Meier,
1958): else the short ones, which end first, would be taken for all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

# Later calls of a program are no longer told apart.
_MOST_CALLS: Final = 64
# Ended programs that are remembered: older ones weigh less and less.
_MEMORY: Final = 500.0
_LEARNING: Final = 0.02
# Taken for true until something is known: so many calls and tokens, as if seen of so many programs.
_CALLS_AFTER: Final = 4.0
_TOKENS_PER_CALL: Final = 128.0
_IMAGINED: Final = 1.0


class ToCome(NamedTuple):
    """What a program is going to compute, and about how many calls that takes."""

    tokens: float
    calls: int


@dataclass(slots=True)
class _Program:
    """num_calls: those of which nobody knew what would follow."""

    num_leases: int = 0
    num_calls: int = 0


class ProgramTable:
    """Programs by their number, while anybody holds them (leases.py: their sessions)."""

    def __init__(self) -> None:
        self._programs: dict[int, _Program] = {}
        # By number of calls: programs that made so many, and those of them that then ended.
        self._reached = [0.0] * (_MOST_CALLS + 1)
        self._ended = [0.0] * (_MOST_CALLS + 1)
        # Of all programs so far the most calls; beyond them `calls_after` is what it imagines.
        self._most_calls = 0
        self._tokens_per_call = _TOKENS_PER_CALL

    def __len__(self) -> int:
        return len(self._programs)

    def hold(self, number: int) -> None:
        self._programs.setdefault(number, _Program()).num_leases += 1

    def let_go(self, number: int) -> None:
        """Take back one `hold`; with the last the program is over."""
        program = self._programs[number]
        program.num_leases -= 1
        if program.num_leases:
            return
        del self._programs[number]
        if not program.num_calls:
            return
        self._ended[min(program.num_calls, _MOST_CALLS)] += 1.0
        keep = 1.0 - 1.0 / _MEMORY
        self._reached = [count * keep for count in self._reached]
        self._ended = [count * keep for count in self._ended]

    def call(self, number: int, tokens_after: int | None) -> ToCome:
        """A call of this program came: what is to come after it.

        tokens_after: what the program says itself; None where it does not know.
        """
        program = self._programs.get(number)
        if program is None or tokens_after is not None:
            num_tokens = float(tokens_after or 0)
            return ToCome(num_tokens, math.ceil(num_tokens / self._tokens_per_call))
        program.num_calls += 1
        reached = min(program.num_calls, _MOST_CALLS)
        self._reached[reached] += 1.0
        self._most_calls = max(self._most_calls, reached)
        num_calls = self.calls_after(program.num_calls)
        return ToCome(self._tokens_per_call * num_calls, math.ceil(num_calls))

    def calls_after(self, num_calls: int) -> float:
        """How many calls follow on average where so many were made."""
        after = _CALLS_AFTER
        for count in range(self._most_calls, num_calls - 1, -1):
            reached, ended = self._reached[count], self._ended[count]
            ending = (ended + _IMAGINED / (1.0 + _CALLS_AFTER)) / (reached + _IMAGINED)
            # Of one that waited long between two calls it is nearly forgotten that it came so far.
            after = (1.0 + after) * max(0.0, 1.0 - ending)
        return after

    def note_call(self, num_tokens: int) -> None:
        """A call has ended for which so many tokens were computed."""
        self._tokens_per_call += _LEARNING * (num_tokens - self._tokens_per_call)
