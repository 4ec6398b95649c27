"""Single conditions, as functions that narrow a branch and say whether anything is left; made by
schema_plain.py and schema_facts.py."""

from __future__ import annotations

from .numbers import Bound
from .schema_branch import Branch, Contained, Item, Literal, Present


def negated(literal: Literal) -> Literal:
    return literal[0], not literal[1], None


def noted(typed: bool, implied: set[str]) -> Item:
    def note(branch: Branch) -> bool:
        branch.typed |= typed
        branch.implied |= implied
        return True

    return note


def bounded(bound: Bound, upper: bool) -> Item:
    return (lambda b: b.below(bound)) if upper else (lambda b: b.above(bound))


def at_least(count: int, pointer: str) -> Item:
    return lambda branch: branch.at_least(count, pointer)


def at_most(count: int, pointer: str) -> Item:
    return lambda branch: branch.at_most(count, pointer)


def of_pattern(source: str, pointer: str, holds: bool) -> Item:
    return lambda branch: branch.patterns.append((source, pointer, holds)) or True  # type: ignore[func-returns-value]


def of_format(name: str, pointer: str, holds: bool) -> Item:
    return lambda branch: branch.formats.append((name, pointer, holds)) or True  # type: ignore[func-returns-value]


def some(contained: Contained) -> Item:
    return lambda branch: branch.contained.append(contained) or True  # type: ignore[func-returns-value]


def present(present: Present) -> Item:
    return lambda branch: branch.present.append(present) or True  # type: ignore[func-returns-value]


def at_place(index: int, value: Literal) -> Item:
    return lambda branch: branch.places.setdefault(index, set()).add(value) or True  # type: ignore[func-returns-value]


def unevaluated(owner: int, value: Literal, pointer: str) -> Item:
    return lambda branch: branch.rest.append((owner, value, pointer)) or True  # type: ignore[func-returns-value]


def requires(name: str, pointer: str) -> Item:
    return lambda branch: branch.require(name, pointer)


def forbid(name: str) -> Item:
    return lambda branch: branch.forbid(name)


def holding(name: str, value: Literal) -> Item:
    return lambda branch: branch.hold(name, value)
