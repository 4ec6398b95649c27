"""Deterministic automata over characters, with "and", "or" and "but not"; used by the schema
front end where several conditions hold for one string, key or number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..errors import RequestError
from . import charset
from .charset import CharSet
from .expr import EMPTY, NEVER, Alt, Chars, Expr, Lit, Ref, Repeat, Seq, alt, seq

MAX_STATES = 12_000
_MAX_NESTED = 40
_DEAD = -1


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
            state = _DEAD if place is None else self.table[state][place]
            if state == _DEAD:
                return False
        return self.accepting[state]


def from_expr(expr: Expr) -> Automaton:
    """The automaton of an expression without rules. Raises RequestError("grammar") where it has
    over MAX_STATES states."""
    return _determinised(_Positions().build(expr))


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
        _too_large()
    last = count if high is None else _DEAD
    table = [*((state + 1,) for state in range(count)), (last,)]
    return Automaton(
        (charset.ALL,), tuple(table), tuple(state >= low for state in range(count + 1))
    )


ANYTHING = Automaton((charset.ALL,), ((0,),), (True,))


# --- from expressions -----------------------------------------------------------------------------


class _Positions:
    """A nondeterministic automaton: per state where it goes without and with a character."""

    def __init__(self) -> None:
        self.free: list[list[int]] = []
        self.edges: list[list[tuple[CharSet, int]]] = []
        self.start = self.end = 0

    def build(self, expr: Expr) -> _Positions:
        self.start = self._state()
        self.end = self._add(expr, self.start)
        return self

    def _state(self) -> int:
        if len(self.free) > 4 * MAX_STATES:
            _too_large()
        self.free.append([])
        self.edges.append([])
        return len(self.free) - 1

    def _add(self, expr: Expr, start: int) -> int:
        """Append an expression after a state; the state at its end."""
        match expr:
            case Lit(data):
                for char in data.decode():
                    start = self._step(start, ((ord(char), ord(char)),))
                return start
            case Chars(members):
                return self._step(start, members)
            case Seq(items):
                for item in items:
                    start = self._add(item, start)
                return start
            case Alt(items):
                end = self._state()
                for item in items:
                    self.free[self._add(item, start)].append(end)
                return end
            case Repeat(item, low, high):
                return self._repeat(item, low, high, start)
            case Ref(name):
                raise RequestError("grammar", f"{name} refers to a rule: not a regular part")

    def _step(self, start: int, members: CharSet) -> int:
        end = self._state()
        self.edges[start].append((members, end))
        return end

    def _repeat(self, item: Expr, low: int, high: int | None, start: int) -> int:
        for _ in range(low):
            start = self._add(item, start)
        # A state of its own: what comes in from before must not be repeated with the item.
        end = self._state()
        if high is None:
            self.free[start].append(end)
            self.free[self._add(item, end)].append(end)
            return end
        self.free[start].append(end)
        for _ in range(high - low):
            start = self._add(item, start)
            self.free[start].append(end)
        return end


def _determinised(source: _Positions) -> Automaton:
    classes = _partition({members for edges in source.edges for members, _ in edges})
    within: dict[CharSet, list[int]] = {
        members: [i for i, c in enumerate(classes) if charset.contains(members, c[0][0])]
        for members in {members for edges in source.edges for members, _ in edges}
    }

    def closure(states: Iterable[int]) -> frozenset[int]:
        found = set(states)
        pending = list(found)
        while pending:
            for state in source.free[pending.pop()]:
                if state not in found:
                    found.add(state)
                    pending.append(state)
        return frozenset(found)

    first = closure([source.start])
    numbers = {first: 0}
    order = [first]
    table: list[tuple[int, ...]] = []
    for states in order:
        reached: list[set[int]] = [set() for _ in classes]
        for state in states:
            for members, target in source.edges[state]:
                for place in within[members]:
                    reached[place].add(target)
        row = []
        for targets in reached:
            if not targets:
                row.append(_DEAD)
                continue
            following = closure(targets)
            if following not in numbers:
                numbers[following] = len(order)
                order.append(following)
                if len(order) > MAX_STATES:
                    _too_large()
            row.append(numbers[following])
        table.append(tuple(row))
    return _reduced(classes, table, [source.end in states for states in order])


def _partition(sets: Iterable[CharSet]) -> list[CharSet]:
    """The coarsest disjoint classes of which every set is a union."""
    changes: dict[int, int] = {}
    for index, members in enumerate(sets):
        for low, high in members:
            changes[low] = changes.get(low, 0) ^ (1 << index)
            changes[high + 1] = changes.get(high + 1, 0) ^ (1 << index)
    groups: dict[int, list[tuple[int, int]]] = {}
    places = sorted(changes)
    inside = 0
    for place, following in pairwise(places):
        inside ^= changes[place]
        if inside:
            groups.setdefault(inside, []).append((place, following - 1))
    return [charset.normalise(ranges) for ranges in groups.values()]


# --- algebra --------------------------------------------------------------------------------------


def _product(left: Automaton, right: Automaton, accept: Callable[[bool, bool], bool]) -> Automaton:
    """Both automata side by side; -1 stands for one that has failed."""
    classes = _partition([*left.classes, *right.classes])
    columns = [(_class_of(left, c), _class_of(right, c)) for c in classes]
    alone = accept(True, False), accept(False, True)
    numbers = {(0, 0): 0}
    order = [(0, 0)]
    table: list[tuple[int, ...]] = []
    for one, other in order:
        row = []
        for mine, theirs in columns:
            pair = (
                left.table[one][mine] if one >= 0 and mine >= 0 else _DEAD,
                right.table[other][theirs] if other >= 0 and theirs >= 0 else _DEAD,
            )
            dead = pair == (_DEAD, _DEAD) or (pair[1] == _DEAD and not alone[0])
            if dead or (pair[0] == _DEAD and not alone[1]):
                row.append(_DEAD)
                continue
            if pair not in numbers:
                numbers[pair] = len(order)
                order.append(pair)
                if len(order) > MAX_STATES:
                    _too_large()
            row.append(numbers[pair])
        table.append(tuple(row))
    accepting = [
        accept(one >= 0 and left.accepting[one], other >= 0 and right.accepting[other])
        for one, other in order
    ]
    return _reduced(classes, table, accepting)


def _class_of(automaton: Automaton, members: CharSet) -> int:
    code = members[0][0]
    for index, candidate in enumerate(automaton.classes):
        if charset.contains(candidate, code):
            return index
    return _DEAD


def _reduced(
    classes: Sequence[CharSet], table: list[tuple[int, ...]], accepting: list[bool]
) -> Automaton:
    """Without dead states, equal states merged (Moore), equal classes merged."""
    alive = _alive(table, accepting)
    table = [tuple(t if t >= 0 and alive[t] else _DEAD for t in row) for row in table]
    block = [int(flag) for flag in accepting]
    count = len(set(block))
    while True:
        signatures: dict[tuple[int, ...], int] = {}
        refined = []
        for state, row in enumerate(table):
            key = (block[state], *(block[t] if t >= 0 else _DEAD for t in row))
            refined.append(signatures.setdefault(key, len(signatures)))
        block = refined
        if len(signatures) == count:
            break
        count = len(signatures)
    # Blocks in the order in which they are reached from the start.
    numbers: dict[int, int] = {block[0]: 0}
    members = [0]
    rows: list[tuple[int, ...]] = []
    for state in members:
        new_row: list[int] = []
        for target in table[state]:
            if target < 0:
                new_row.append(_DEAD)
                continue
            if block[target] not in numbers:
                numbers[block[target]] = len(members)
                members.append(target)
            new_row.append(numbers[block[target]])
        rows.append(tuple(new_row))
    return _merged(classes, rows, tuple(accepting[state] for state in members))


def _merged(
    classes: Sequence[CharSet], rows: list[tuple[int, ...]], accepting: tuple[bool, ...]
) -> Automaton:
    columns: dict[tuple[int, ...], list[CharSet]] = {}
    for place, members in enumerate(classes):
        column = tuple(row[place] for row in rows)
        if any(target >= 0 for target in column):
            columns.setdefault(column, []).append(members)
    merged = tuple(charset.union(*group) for group in columns.values())
    table = tuple(tuple(column[state] for column in columns) for state in range(len(rows)))
    return Automaton(merged, table, accepting)


def _alive(table: list[tuple[int, ...]], accepting: list[bool]) -> list[bool]:
    """Which states lead to acceptance."""
    before: list[list[int]] = [[] for _ in table]
    for state, row in enumerate(table):
        for target in set(row):
            if target >= 0:
                before[target].append(state)
    alive = list(accepting)
    pending = [state for state, flag in enumerate(accepting) if flag]
    while pending:
        for state in before[pending.pop()]:
            if not alive[state]:
                alive[state] = True
                pending.append(state)
    return alive


def trimmed(
    classes: Sequence[CharSet], table: list[tuple[int, ...]], accepting: list[bool]
) -> Automaton:
    """An automaton given by its table; state 0 is the start."""
    return _reduced(classes, table, accepting)


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


# --- to expressions -------------------------------------------------------------------------------


def to_expr(
    automaton: Automaton, write: Callable[[CharSet], Expr], rules: dict[str, Expr], name: str
) -> Expr:
    """The language as an expression, with rules for states that are reached in several ways.

    write: spells a set of characters. name: begins the names of the rules.
    """
    if automaton.empty:
        return NEVER
    edges = [_grouped(automaton, state) for state in range(len(automaton.table))]
    entries = [0] * len(edges)
    entries[0] = 1
    for state, targets in enumerate(edges):
        for target in targets:
            entries[target] += target != state
    written: dict[CharSet, Expr] = {}

    def spelled(members: CharSet) -> Expr:
        if members not in written:
            written[members] = write(members)
        return written[members]

    # A rule for each state with several entries; the others are part of their only one, as far
    # as expressions may nest.
    bodies: dict[int, Expr] = {}
    depths: dict[int, int] = {}

    def body(root: int) -> None:
        pending = [root]
        while pending:
            state = pending[-1]
            inner = [t for t in edges[state] if t != state and entries[t] == 1 and t != root]
            missing = [t for t in inner if t not in bodies]
            if missing:
                pending += missing
                continue
            pending.pop()
            if state in bodies:
                continue
            options: list[Expr] = [EMPTY] if automaton.accepting[state] else []
            depth = 0
            for target, members in edges[state].items():
                if target != state:
                    reference = Ref(f"{name} {target}")
                    after: Expr = reference
                    if target in inner and depths[target] < _MAX_NESTED:
                        after = bodies[target]
                        depth = max(depth, depths[target] + 1)
                    elif target in inner:
                        rules[reference.name] = bodies[target]
                    options.append(seq(spelled(members), after))
            loop = edges[state].get(state)
            rest = alt(options)
            depths[state] = depth
            bodies[state] = rest if loop is None else seq(Repeat(spelled(loop), 0, None), rest)

    heads = [0, *(state for state in range(1, len(edges)) if entries[state] > 1)]
    for head in heads:
        body(head)
        rules[f"{name} {head}"] = bodies[head]
    if entries[0] > 1:
        return Ref(f"{name} 0")
    return rules.pop(f"{name} 0")


def _grouped(automaton: Automaton, state: int) -> dict[int, CharSet]:
    groups: dict[int, list[CharSet]] = {}
    for place, target in enumerate(automaton.table[state]):
        if target >= 0:
            groups.setdefault(target, []).append(automaton.classes[place])
    return {target: charset.union(*sets) for target, sets in groups.items()}


def _too_large() -> None:
    raise RequestError(
        "grammar",
        f"these conditions together need over {MAX_STATES} states; use smaller counts",
    )
