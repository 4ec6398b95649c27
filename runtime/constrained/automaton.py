"""Deterministic automata over characters, with "and", "or" and "but not"; used by the schema
front end where several conditions hold for one string, key or number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from . import charset
from .charset import CharSet
from .determinise import (
    DEAD,
    MAX_STATES,
    Machine,
    Positions,
    determinised,
    partition,
    reduced,
    too_large,
)
from .expr import EMPTY, Expr, Lit, alt


@dataclass(frozen=True, slots=True)
class Automaton:
    """State 0 is the start. table[state][k] is the state after a character of classes[k], or -1.

    The classes are disjoint; characters in none of them are never allowed.
    """

    classes: tuple[CharSet, ...]
    table: tuple[tuple[int, ...], ...]
    accepting: tuple[bool, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing is accepted (dead states are always trimmed)."""
        return not any(self.accepting)

    def accepts(self, text: str) -> bool:
        state = 0
        for char in text:
            code = ord(char)
            place = next((i for i, c in enumerate(self.classes) if charset.contains(c, code)), None)
            state = DEAD if place is None else self.table[state][place]
            if state == DEAD:
                return False
        return self.accepting[state]


def from_expr(expr: Expr) -> Automaton:
    """The automaton of an expression without rules. Raises RequestError("grammar") where it has
    over MAX_STATES states."""
    return _automaton(reduced(determinised(Positions().build(expr))))


def _automaton(machine: Machine) -> Automaton:
    classes, table, accepting = machine
    return Automaton(tuple(classes), tuple(table), tuple(accepting))


def both(left: Automaton, right: Automaton) -> Automaton:
    return _product(left, right, lambda one, other: one and other)


def either(left: Automaton, right: Automaton) -> Automaton:
    return _product(left, right, lambda one, other: one or other)


def without(left: Automaton, right: Automaton) -> Automaton:
    return _product(left, right, lambda one, other: one and not other)


def words(texts: Iterable[str]) -> Automaton:
    """Exactly these texts."""
    return from_expr(alt(Lit(text.encode()) if text else EMPTY for text in texts))


def of_length(low: int, high: int | None) -> Automaton:
    """Any text of `low` to `high` characters."""
    count = low if high is None else high
    if count >= MAX_STATES:
        too_large()
    last = count if high is None else DEAD
    table = [*((state + 1,) for state in range(count)), (last,)]
    return Automaton(
        (charset.ALL,), tuple(table), tuple(state >= low for state in range(count + 1))
    )


ANYTHING = Automaton((charset.ALL,), ((0,),), (True,))


def _product(left: Automaton, right: Automaton, accept: Callable[[bool, bool], bool]) -> Automaton:
    """Both automata side by side; -1 stands for one that has failed."""
    classes = partition([*left.classes, *right.classes])
    columns = [(_class_of(left, c), _class_of(right, c)) for c in classes]
    alone = accept(True, False), accept(False, True)
    numbers = {(0, 0): 0}
    order = [(0, 0)]
    table: list[tuple[int, ...]] = []
    for one, other in order:
        row = []
        for mine, theirs in columns:
            pair = (
                left.table[one][mine] if one >= 0 and mine >= 0 else DEAD,
                right.table[other][theirs] if other >= 0 and theirs >= 0 else DEAD,
            )
            dead = pair == (DEAD, DEAD) or (pair[1] == DEAD and not alone[0])
            if dead or (pair[0] == DEAD and not alone[1]):
                row.append(DEAD)
                continue
            if pair not in numbers:
                numbers[pair] = len(order)
                order.append(pair)
                if len(order) > MAX_STATES:
                    too_large()
            row.append(numbers[pair])
        table.append(tuple(row))
    accepting = [
        accept(one >= 0 and left.accepting[one], other >= 0 and right.accepting[other])
        for one, other in order
    ]
    return _automaton(reduced(Machine(list(classes), table, accepting)))


def _class_of(automaton: Automaton, members: CharSet) -> int:
    code = members[0][0]
    for index, candidate in enumerate(automaton.classes):
        if charset.contains(candidate, code):
            return index
    return DEAD


def trimmed(
    classes: Sequence[CharSet], table: list[tuple[int, ...]], accepting: list[bool]
) -> Automaton:
    """An automaton given by its table; state 0 is the start."""
    return _automaton(reduced(Machine(list(classes), table, accepting)))


def lengths(automaton: Automaton) -> tuple[int, int | None]:
    """The fewest and the most characters that are accepted; None for no end."""
    targets = [sorted({t for t in row if t >= 0}) for row in automaton.table]
    shortest, level, seen = 0, {0}, {0}
    while level and not any(automaton.accepting[state] for state in level):
        level = {t for state in level for t in targets[state]} - seen
        seen |= level
        shortest += 1
    # Longest path; a state met again while it is still open closes a circle.
    longest: dict[int, int] = {}
    pending, opened = [0], set[int]()
    while pending:
        state = pending[-1]
        if state in longest:
            pending.pop()
        elif state in opened:
            if any(target not in longest for target in targets[state]):
                return shortest, None
            longest[state] = max((longest[t] + 1 for t in targets[state]), default=0)
            pending.pop()
        else:
            opened.add(state)
            if any(target in opened and target not in longest for target in targets[state]):
                return shortest, None
            pending += [target for target in targets[state] if target not in longest]
    return shortest, longest[0]
