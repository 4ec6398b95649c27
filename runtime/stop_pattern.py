"""Regular expressions that end an output (`stop_regex`), matched while the text grows. Used by the
scheduler's stop checks and by the front process, which cuts the text where the match ends.

A pattern becomes a nondeterministic automaton, run by sets of its states: time is linear in the
text, whatever the pattern. Sets met before are remembered (a lazily built DFA).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from .constrained import charset
from .constrained.charset import CharSet
from .constrained.expr import Alt, Chars, Expr, Lit, Repeat, Seq
from .constrained.limits import GrammarLimits
from .constrained.regex import parse, search
from .errors import RequestError

# A step costs up to 0.3 us per state, on the engine's loop.
MAX_STATES: Final = 1_000
# States in remembered sets, about 64 bytes each; then all are forgotten.
MAX_REMEMBERED: Final = 50_000

States = frozenset[int]


class StopPattern:
    """A compiled pattern. `start` is the state before any text; `step` is what it becomes with one
    more character; `found` says whether a match ends there."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._skips: list[list[int]] = []
        self._moves: list[list[tuple[CharSet, int]]] = []
        parsed = parse(pattern, GrammarLimits())
        # The end of the output is wherever the text ends so far, so `$` holds everywhere.
        anywhere = dataclasses.replace(
            parsed, branches=tuple((left, True, items) for left, _, items in parsed.branches)
        )
        anything = Repeat(Chars(charset.ALL), 0, None)
        expr = search(anywhere, _chars, anything, GrammarLimits())
        first = self._state()
        self._last = self._build(expr, first)
        self.start = self._closure({first})
        self._next: dict[tuple[States, str], States] = {}
        self._num_remembered = 0
        if self.found(self.start):
            raise RequestError(
                "grammar",
                f"the stop pattern {pattern!r} matches the empty text, so nothing would be "
                "generated; make it need a character",
            )

    def step(self, states: States, character: str) -> States:
        known = self._next.get((states, character))
        if known is not None:
            return known
        code_point = ord(character)
        after = self._closure(
            {
                target
                for state in states
                for chars, target in self._moves[state]
                if charset.contains(chars, code_point)
            }
        )
        self._num_remembered += len(after) + 1
        if self._num_remembered > MAX_REMEMBERED:
            self._next.clear()
            self._num_remembered = len(after) + 1
        self._next[states, character] = after
        return after

    def found(self, states: States) -> bool:
        return self._last in states

    def ends(self, text: str) -> Iterator[int]:
        """Where matches end in a text, in order."""
        states = self.start
        for end, character in enumerate(text, start=1):
            states = self.step(states, character)
            if self.found(states):
                yield end

    def _build(self, expr: Expr, start: int) -> int:
        """Add an expression's states after `start`; the state in which it has been matched."""
        match expr:
            case Lit(data=data):
                for character in data.decode():
                    start = self._move(start, charset.of(character))
                return start
            case Chars(chars=chars):
                return self._move(start, chars)
            case Seq(items=items):
                for item in items:
                    start = self._build(item, start)
                return start
            case Alt(items=items):
                end = self._state()
                for item in items:
                    # A branch of its own: loops in one must not lead into the others.
                    begin = self._state()
                    self._skips[start].append(begin)
                    self._skips[self._build(item, begin)].append(end)
                return end
            case Repeat(item=item, low=low, high=high):
                return self._repeat(item, low, high, start)
        raise RequestError("grammar", f"the stop pattern {self.pattern!r} is not regular")

    def _repeat(self, item: Expr, low: int, high: int | None, start: int) -> int:
        for _ in range(low):
            start = self._build(item, start)
        if high is None:
            loop = self._state()
            self._skips[start].append(loop)
            self._skips[self._build(item, loop)].append(loop)
            end = self._state()
            self._skips[loop].append(end)
            return end
        ends = [start]
        for _ in range(high - low):
            ends.append(self._build(item, ends[-1]))
        end = self._state()
        for one in ends:
            self._skips[one].append(end)
        return end

    def _move(self, start: int, chars: CharSet) -> int:
        target = self._state()
        self._moves[start].append((chars, target))
        return target

    def _state(self) -> int:
        if len(self._moves) >= MAX_STATES:
            raise RequestError(
                "grammar",
                f"the stop pattern {self.pattern!r} needs over {MAX_STATES} states; shorten its "
                "repetitions",
            )
        self._skips.append([])
        self._moves.append([])
        return len(self._moves) - 1

    def _closure(self, states: set[int]) -> States:
        reached = set(states)
        pending = list(states)
        while pending:
            for target in self._skips[pending.pop()]:
                if target not in reached:
                    reached.add(target)
                    pending.append(target)
        return frozenset(reached)


def _chars(chars: CharSet) -> Expr:
    return Chars(chars)


@lru_cache(maxsize=32)
def stop_pattern(pattern: str) -> StopPattern:
    """The compiled pattern, kept for the next request with it.

    Raises RequestError("grammar") for what is no regular expression or is not regular.
    """
    return StopPattern(pattern)
