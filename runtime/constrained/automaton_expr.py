"""Automata written as grammar expressions; used by schema.py, which puts them into rules."""

from __future__ import annotations

from collections.abc import Callable

from . import charset
from .automaton import Automaton
from .charset import CharSet
from .expr import EMPTY, NEVER, Expr, Ref, Repeat, alt, seq

# Deeper ones become rules: what reads expressions recurses.
_MAX_NESTED = 40


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
