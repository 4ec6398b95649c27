"""Many automata side by side: the texts of one by which of the others take them; used by
schema_objects.py for names and the patterns that match them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from ..errors import RequestError
from .automaton import Automaton, both, trimmed, without
from .determinise import DEAD, MAX_STATES, partition, too_large

# So many are quicker cut at once than one after the other.
_MANY = 4

Parts = list[tuple[frozenset[int], Automaton]]


def divided(base: Automaton, others: Sequence[Automaton], most: int) -> Parts:
    """The texts of `base` by which of the others accept them, as far as there are any. Those of the
    others that would make it over `most` parts are left out."""
    if len(others) >= _MANY:
        with suppress(RequestError):  # too many places at once; one by one there may be few
            return cut_at_once(base, others, most)
    return cut_in_turn(base, others, most)


def cut_in_turn(base: Automaton, others: Sequence[Automaton], most: int) -> Parts:
    """`divided`, where each of the others cuts every part anew; also the reference."""
    parts: Parts = [(frozenset(), base)]
    for index, other in enumerate(others):
        cut = [
            part
            for matching, machine in parts
            for part in (
                (matching | {index}, both(machine, other)),
                (matching, without(machine, other)),
            )
            if not part[1].empty
        ]
        if len(cut) <= most:
            parts = cut
    return parts


def cut_at_once(base: Automaton, others: Sequence[Automaton], most: int) -> Parts:
    """`divided`, by one walk through all of them."""
    walk = _Walk([base, *others])
    kinds = list(dict.fromkeys(told for told in walk.told if told[0]))
    parts = [0] * len(kinds)  # the part that each kind of text falls into
    matching: list[frozenset[int]] = [frozenset()]
    for index in range(len(others)):
        cut = [(part, kind[index + 1]) for part, kind in zip(parts, kinds, strict=True)]
        numbers = {pair: number for number, pair in enumerate(dict.fromkeys(cut))}
        if len(numbers) <= most:
            parts = [numbers[pair] for pair in cut]
            matching = [
                matching[part] | {index} if yes else matching[part] for part, yes in numbers
            ]
    part_of = dict(zip(kinds, parts, strict=True))
    reached = [part_of.get(told) for told in walk.told]
    return [
        (found, trimmed(walk.classes, walk.table, [part == number for part in reached]))
        for number, found in enumerate(matching)
    ]


class _Walk:
    """Several automata side by side: the table of all that is reached, and for each state which of
    them accept (`told`). An automaton that has failed is in a state of its own, its last; where
    the first has, the walk ends."""

    def __init__(self, machines: Sequence[Automaton]) -> None:
        self.classes = partition([members for machine in machines for members in machine.classes])
        codes = np.array([members[0][0] for members in self.classes], dtype=np.int64)
        tables = [_over(machine, codes) for machine in machines]
        failed = len(tables[0]) - 1
        level = np.zeros((1, len(machines)), dtype=np.int32)
        numbers = {level.tobytes(): 0}
        levels: list[npt.NDArray[np.int32]] = []
        self.table: list[tuple[int, ...]] = []
        while len(level):
            levels.append(level)
            after = np.stack([table[level[:, i]] for i, table in enumerate(tables)], axis=2)
            places = after.reshape(-1, len(machines))
            rows = np.full(len(places), DEAD, dtype=np.int64)
            kept = np.flatnonzero(places[:, 0] != failed)
            met, which = np.unique(places[kept], axis=0, return_inverse=True)
            fresh = []
            found = np.empty(len(met), dtype=np.int64)
            for index, place in enumerate(met):
                key = place.tobytes()
                if key not in numbers:
                    numbers[key] = len(numbers)
                    fresh.append(index)
                found[index] = numbers[key]
            if len(numbers) > MAX_STATES:
                too_large()
            rows[kept] = found[which.reshape(-1)]
            self.table += map(tuple, rows.reshape(len(level), len(codes)).tolist())
            level = met[fresh]
        states = np.concatenate(levels)
        accepting = [
            np.array([*machine.accepting, False])[states[:, i]].tolist()
            for i, machine in enumerate(machines)
        ]
        self.told = list(zip(*accepting, strict=True))


def _over(automaton: Automaton, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """The table with a column for each character; its last state is that of having failed."""
    failed, width = len(automaton.table), len(automaton.classes)
    table = np.full((failed + 1, width + 1), failed, dtype=np.int32)
    if width:
        inner = np.array(automaton.table, dtype=np.int32)
        table[:-1, :-1] = np.where(inner == DEAD, failed, inner)
    return table[:, _columns(automaton, codes)]


def _columns(automaton: Automaton, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Which class each character is of, DEAD for none."""
    ranges = sorted(
        (low, high, column) for column, one in enumerate(automaton.classes) for low, high in one
    )
    if not ranges:
        return np.full(len(codes), DEAD)
    lows, highs, columns = np.array(ranges, dtype=np.int64).T
    place = np.maximum(np.searchsorted(lows, codes, side="right") - 1, 0)
    inside = (lows[place] <= codes) & (codes <= highs[place])
    return np.where(inside, columns[place], DEAD)
