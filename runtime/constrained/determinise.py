"""From expressions to deterministic automata: Thompson's construction, subsets, Moore's
minimisation; used by automaton.py (over characters) and byte_dfa.py (over bytes)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple, NoReturn

import numpy as np

from ..errors import RequestError
from . import charset
from .charset import CharSet
from .expr import Alt, Chars, Distinct, Expr, Lit, Ref, Repeat, Seq

MAX_STATES = 12_000
DEAD = -1


class Machine(NamedTuple):
    """State 0 is the start; table[state][k] is the state after one of classes[k], or DEAD."""

    classes: list[CharSet]
    table: list[tuple[int, ...]]
    accepting: list[bool]


class Positions:
    """A nondeterministic automaton: per state where it goes without and with a character."""

    def __init__(self, max_states: int = MAX_STATES) -> None:
        self.max_states = max_states
        self.free: list[list[int]] = []
        self.edges: list[list[tuple[CharSet, int]]] = []
        self.start = self.end = 0

    def build(self, expr: Expr) -> Positions:
        self.start = self._state()
        self.end = self._add(expr, self.start)
        return self

    def _state(self) -> int:
        if len(self.free) > 4 * self.max_states:
            too_large(self.max_states)
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
            case Distinct():
                raise RequestError("grammar", "items that all differ are not a regular part")

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


def determinised(source: Positions) -> Machine:
    """The subset construction; neither trimmed nor minimal. Raises RequestError("grammar") where
    it has over `max_states` states."""
    classes = partition({members for edges in source.edges for members, _ in edges})
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
                row.append(DEAD)
                continue
            following = closure(targets)
            if following not in numbers:
                numbers[following] = len(order)
                order.append(following)
                if len(order) > source.max_states:
                    too_large(source.max_states)
            row.append(numbers[following])
        table.append(tuple(row))
    return Machine(classes, table, [source.end in states for states in order])


def partition(sets: Iterable[CharSet]) -> list[CharSet]:
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


def reduced(machine: Machine) -> Machine:
    """Without dead states, equal states merged (Moore), equal classes merged."""
    classes, table, accepting = machine
    alive = alive_states(table, accepting)
    table = [tuple(t if t >= 0 and alive[t] else DEAD for t in row) for row in table]
    block = _blocks(table, accepting)
    # Blocks in the order in which they are reached from the start.
    numbers: dict[int, int] = {block[0]: 0}
    members = [0]
    rows: list[tuple[int, ...]] = []
    for state in members:
        new_row: list[int] = []
        for target in table[state]:
            if target < 0:
                new_row.append(DEAD)
                continue
            if block[target] not in numbers:
                numbers[block[target]] = len(members)
                members.append(target)
            new_row.append(numbers[block[target]])
        rows.append(tuple(new_row))
    return _merged(classes, rows, [accepting[state] for state in members])


def _blocks(table: list[tuple[int, ...]], accepting: list[bool]) -> list[int]:
    """The number of each state's block: equal states have one (Moore)."""
    if not table or not table[0]:
        return [int(flag) for flag in accepting]
    targets = np.array(table, dtype=np.int64)
    # What a state is told by is one number, a sum of its blocks times these.
    random = np.random.default_rng(targets.shape[1])
    factors = random.integers(1, 2**63, size=targets.shape[1] + 1, dtype=np.uint64) | np.uint64(1)
    final = np.array(accepting)
    block = np.append(final.astype(np.uint64), np.uint64(2))  # the last is that of DEAD
    count = len(np.unique(final))
    while True:
        told = block[targets] @ factors[1:] + block[:-1] * factors[0]
        _, firsts, refined = np.unique(told, return_index=True, return_inverse=True)
        if len(firsts) == count:
            break
        count = len(firsts)
        block[:-1] = refined
        block[-1] = count
    after = np.column_stack([final, block[:-1], block[targets]])
    if not (after == after[firsts][refined]).all():  # two states had one number by chance
        return _blocks_by_tuples(table, accepting)
    found: list[int] = block[:-1].tolist()
    return found


def _blocks_by_tuples(table: list[tuple[int, ...]], accepting: list[bool]) -> list[int]:
    """The same, slowly; also the reference."""
    block = [int(flag) for flag in accepting]
    count = len(set(block))
    while True:
        signatures: dict[tuple[int, ...], int] = {}
        refined = []
        for state, row in enumerate(table):
            key = (block[state], *(block[t] if t >= 0 else DEAD for t in row))
            refined.append(signatures.setdefault(key, len(signatures)))
        block = refined
        if len(signatures) == count:
            return block
        count = len(signatures)


def _merged(classes: list[CharSet], rows: list[tuple[int, ...]], accepting: list[bool]) -> Machine:
    columns: dict[tuple[int, ...], list[CharSet]] = {}
    for place, members in enumerate(classes):
        column = tuple(row[place] for row in rows)
        if any(target >= 0 for target in column):
            columns.setdefault(column, []).append(members)
    merged = [charset.union(*group) for group in columns.values()]
    table = [tuple(column[state] for column in columns) for state in range(len(rows))]
    return Machine(merged, table, accepting)


def alive_states(table: list[tuple[int, ...]], accepting: list[bool]) -> list[bool]:
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


def too_large(max_states: int = MAX_STATES) -> NoReturn:
    raise RequestError(
        "grammar",
        f"these conditions together need over {max_states} states; use smaller counts",
    )
