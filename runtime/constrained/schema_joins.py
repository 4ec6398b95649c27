"""The keywords that join schemas, as alternatives, and their opposites; used by schema_facts.py."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING

from .schema_branch import Alternatives, Item, Literal
from .schema_check import list_of
from .schema_document import At

if TYPE_CHECKING:
    from .schema_facts import Facts

# Branches of anyOf that are told apart by which of them hold, where a schema asks for it.
_MAX_SUBSETS = 4


def references(facts: Facts, at: At) -> Iterator[Alternatives]:
    for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
        if keyword in at.schema:
            yield [[facts.target(at, keyword)]]


def not_references(facts: Facts, at: At) -> Alternatives:
    return [
        [facts.target(at, keyword, holds=False)]
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef")
        if keyword in at.schema
    ]


def parts_of(facts: Facts, at: At, keyword: str, holds: bool = True) -> list[Literal]:
    return [
        facts.inner(at, part, keyword, index, holds=holds)
        for index, part in enumerate(list_of(at.schema, keyword, at.place.pointer))
    ]


def all_of(facts: Facts, at: At) -> Iterator[Alternatives]:
    yield [[*parts_of(facts, at, "allOf")]]


def extends(facts: Facts, at: At) -> Iterator[Alternatives]:
    given = at.schema["extends"]
    parts = given if isinstance(given, list) else [given]
    yield [[facts.inner(at, part, "extends", i) for i, part in enumerate(parts)]]


def any_of(facts: Facts, at: At) -> Iterator[Alternatives]:
    parts = parts_of(facts, at, "anyOf")
    sizes = [1]
    if at.owner is not None and len(parts) <= _MAX_SUBSETS:
        # Each branch that holds says which members it has evaluated.
        sizes = [*range(len(parts), 0, -1)]
    yield [[*chosen] for size in sizes for chosen in combinations(parts, size)]


def one_of(facts: Facts, at: At) -> Iterator[Alternatives]:
    parts = parts_of(facts, at, "oneOf")
    alternatives: Alternatives = []
    for index, part in enumerate(parts):
        others = [other for i, other in enumerate(parts) if i != index]
        rivals = [] if facts.loose else [o for o in others if not facts.disjoint(part, o, at.kind)]
        alternatives.append([part, *((other[0], False, None) for other in rivals)])
    yield alternatives


def not_one_of(facts: Facts, at: At) -> Alternatives:
    parts = parts_of(facts, at, "oneOf") if "oneOf" in at.schema else []
    if not parts:
        return []
    none: list[Item] = [(part[0], False, None) for part in parts]
    two: Alternatives = [[one, other] for one, other in combinations(parts, 2)]
    return [none, *two]


def negation(facts: Facts, at: At) -> Iterator[Alternatives]:
    yield [[facts.inner(at, at.schema["not"], "not", holds=False)]]


def disallow(facts: Facts, at: At) -> Iterator[Alternatives]:
    made = {"type": at.schema["disallow"]}
    yield [[facts.inner(at, made, "disallow", holds=False)]]


def condition(facts: Facts, at: At) -> Iterator[Alternatives]:
    holds = facts.inner(at, at.schema["if"], "if")
    then = facts.inner(at, at.schema.get("then", True), "then")
    other = facts.inner(at, at.schema.get("else", True), "else")
    yield [[holds, then], [(holds[0], False, None), other]]


def not_condition(facts: Facts, at: At) -> Alternatives:
    if "if" not in at.schema:
        return []
    holds = facts.inner(at, at.schema["if"], "if")
    then = facts.inner(at, at.schema.get("then", True), "then", holds=False)
    other = facts.inner(at, at.schema.get("else", True), "else", holds=False)
    return [[holds, then], [(holds[0], False, None), other]]
