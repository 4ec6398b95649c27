"""Takes schemas apart: which alternatives of conditions a value of one type may satisfy; used by
schema.py.

A goal is a set of schemas that must hold or must not. For one type of value most keywords are
plain conditions, and the others (allOf, anyOf, oneOf, not, if, dependent..., $ref) join schemas,
so that a goal becomes alternatives (`Branch`) without any of them being merged as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from . import schema_joins as joins
from . import schema_plain as plain
from . import schema_plain_arrays as of_arrays
from . import schema_plain_objects as of_objects
from .limits import GrammarLimits
from .schema_branch import (
    Alternatives,
    Branch,
    Goal,
    Item,
    Literal,
    exact,
)
from .schema_check import (
    BY_TYPE,
    TYPES,
    refuse,
)
from .schema_conditions import noted
from .schema_document import At, Document, Place
from .schema_report import Report

KINDS = ("null", "boolean", "number", "string", "array", "object")
_MAX_BRANCHES = 400
_MAX_STEPS = 4_000
_MIN_STEPS = 250
_MAX_LOOSE = 32


class _TooManyError(Exception):
    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer
        self.message = message


class Facts:
    """The alternatives of goals, kept once found."""

    def __init__(self, document: Document, limits: GrammarLimits, report: Report) -> None:
        self.document = document
        self.limits = limits
        self.report = report
        self._branches: dict[tuple[Goal, str], list[Branch]] = {}
        self._clauses: dict[tuple[Literal, str], list[Alternatives]] = {}
        self._parents: dict[int, int | None] = {}
        self._said: dict[int, _Said] = {}
        self._named_kinds: dict[int, frozenset[str] | None] = {}
        self._disjoint: dict[tuple[int, int, str], bool] = {}
        self._opened: set[Goal] = set()
        self.loose = False
        self._loose_clauses: dict[tuple[Literal, str], list[Alternatives]] = {}
        self._max_steps = _MAX_STEPS
        self._spent = 0

    def spend(self) -> None:
        """Count a piece of work: references shared by many branches multiply it."""
        self._spent += 1
        if self._spent > self.limits.max_nodes:
            refuse("#", f"the schema expands to over {self.limits.max_nodes} parts")

    def owners(self, owner: int | None) -> frozenset[int]:
        found = set()
        while owner is not None:
            found.add(owner)
            owner = self._parents[owner]
        return frozenset(found)

    def literal(self, schema: Any, pointer: str, place: Place | None = None) -> Literal:
        return self.document.number(schema, pointer, place), True, None

    def branches(self, goal: Goal, kind: str) -> list[Branch]:
        """The alternatives of a goal for values of a kind; none where no value can satisfy it."""
        key = (goal, kind)
        if key not in self._branches:
            if self._excluded(goal, kind):
                self._branches[key] = []
                return []
            try:
                self._branches[key] = list(self._expanded(goal, kind))
            except _TooManyError as error:
                self.report.superset(error.pointer, error.message)
                self._branches[key] = self._loosely(goal, kind)
        return self._branches[key]

    def _excluded(self, goal: Goal, kind: str) -> bool:
        """Whether one of the schemas names types, and not this one, as it is for most of them: seen
        without taking it apart."""
        for number, holds, _ in goal:
            if holds:
                if number not in self._named_kinds:
                    self._named_kinds[number] = self._kinds_of(self.document.places[number])
                kinds = self._named_kinds[number]
                if kinds is not None and kind not in kinds:
                    return True
        return False

    def _kinds_of(self, place: Place) -> frozenset[str] | None:
        """The types that a schema names; None where it names none, or it takes more to tell."""
        schema = place.schema
        if not isinstance(schema, dict) or ("$ref" in schema and not place.siblings):
            return None
        names = schema.get("type")
        known: list[Any] = names if isinstance(names, list) else [names]
        if not all(isinstance(name, str) and name in TYPES for name in known):
            return None
        self.report.visit(place.pointer, schema)
        return frozenset("number" if name == "integer" else name for name in known)

    def _loosely(self, goal: Goal, kind: str) -> list[Branch]:
        """The alternatives when oneOf is taken for anyOf, and where that does not help when
        conditions past the first few choices are left out."""
        # One such goal is rarely alone: the next are given less time.
        self._max_steps = max(_MIN_STEPS, self._max_steps // 2)
        before, kept = self.loose, self._clauses
        self.loose, self._clauses = True, self._loose_clauses
        try:
            return list(self._expanded(goal, kind))
        except _TooManyError:
            return list(self._expanded(goal, kind, most=_MAX_LOOSE))
        finally:
            self.loose, self._clauses = before, kept

    def _expanded(self, goal: Goal, kind: str, most: int | None = None) -> Iterator[Branch]:
        """most: with so many alternatives no further choice is made, and what it asks is left
        out."""
        start = Branch(kind)
        work: list[tuple[list[Item], Branch, set[Literal], list[Alternatives]]] = [
            (sorted(goal, key=str, reverse=True), start, set(), [])
        ]
        found = steps = 0
        while work:
            steps += 1
            if steps > self._max_steps and most is None:
                self._too_many(goal)
            pending, branch, seen, choices = work.pop()
            if not self._settle(pending, branch, seen, choices, kind):
                continue
            if (choices or kind == "object") and self._contradicts(branch):
                continue
            if choices and (most is None or len(work) + found < most):
                choice = choices.pop(min(range(len(choices)), key=lambda i: len(choices[i])))
                work += [
                    (items[::-1], branch.copy(), set(seen), list(choices))
                    for items in reversed(choice)
                ]
                if len(work) > _MAX_BRANCHES and most is None:
                    self._too_many(goal)
                continue
            if branch.constants is not None and branch.excluded:
                denied = {exact(value) for value, _ in branch.excluded}
                branch.constants = [v for v in branch.constants if exact(v) not in denied]
                if not branch.constants:
                    continue
            found += 1
            if found > _MAX_BRANCHES and most is None:
                self._too_many(goal)
            yield branch

    def _contradicts(self, branch: Branch) -> bool:
        """Whether a required member has conditions that exclude each other. Seen early, this keeps
        chains of if/then over one property from doubling at each link."""
        for name in branch.required:
            goal = self.member_goal(branch, name, None)
            if len(goal) > 1 and goal not in self._opened:
                self._opened.add(goal)
                try:
                    if not any(self.branches(goal, kind) for kind in KINDS):
                        return True
                finally:
                    self._opened.discard(goal)
        return False

    def _too_many(self, goal: Goal) -> None:
        pointer = self.document.places[min(goal)[0]].pointer
        raise _TooManyError(pointer, f"conditions combine to over {_MAX_BRANCHES} alternatives")

    def _settle(
        self,
        pending: list[Item],
        branch: Branch,
        seen: set[Literal],
        choices: list[Alternatives],
        kind: str,
    ) -> bool:
        """Take in all conditions that leave no choice; False where they contradict each other."""
        while pending:
            item = pending.pop()
            if not isinstance(item, tuple):
                if not item(branch):
                    return False
                continue
            if item in seen:
                continue
            if (item[0], not item[1], None) in seen:
                return False
            seen.add(item)
            for alternatives in self._clauses_of(item, kind):
                if not alternatives:
                    return False
                if len(alternatives) == 1:
                    pending += reversed(alternatives[0])
                else:
                    choices.append(alternatives)
        return True

    # --- schemas ------------------------------------------------------------------------------

    def _clauses_of(self, literal: Literal, kind: str) -> list[Alternatives]:
        """Lists of alternatives of which one each must hold."""
        key = (literal, kind)
        if key not in self._clauses:
            self.spend()
            self._clauses[key] = list(self._found(literal, kind))
        return self._clauses[key]

    def _found(self, literal: Literal, kind: str) -> Iterator[Alternatives]:
        number, holds, owner = literal
        place = self.document.places[number]
        schema = place.schema
        if isinstance(schema, bool):
            if schema is not holds:
                yield []
            return
        at = At(schema, place, owner if holds else None, kind)
        if holds:
            yield from self._positive(at, number)
        else:
            # One of the keywords must fail.
            if "$ref" in schema and not at.place.siblings:
                yield joins.not_references(self, at)
                return
            yield [items for keyword in _NEGATIVE for items in _NEGATIVE[keyword](self, at)]

    def inner(self, at: At, schema: Any, *names: str | int, holds: bool = True) -> Literal:
        """A schema that applies to the same value."""
        number = self.document.number(schema, at.pointer(*names), at.place)
        return number, holds, at.owner if holds else None

    def below(self, at: At, schema: Any, *names: str | int, holds: bool = True) -> Literal:
        """A schema that applies to a part of the value."""
        return self.document.number(schema, at.pointer(*names), at.place), holds, None

    def _positive(self, at: At, number: int) -> Iterator[Alternatives]:
        schema = at.schema
        if "$ref" in schema and not at.place.siblings:
            yield [[self.target(at, "$ref")]]
            return
        said = self._said.get(number)
        if said is None:
            # Asked for each type of value, told once.
            self.report.visit(at.place.pointer, schema)
            said = self._said[number] = _said_by(schema)
        if "unevaluatedProperties" in schema or "unevaluatedItems" in schema:
            self._parents.setdefault(number, at.owner)
            at = At(schema, at.place, number, at.kind)
        if said.typed or said.implied:
            yield [[noted(said.typed, said.implied)]]
        for rule in said.rules:
            yield from rule(self, at)

    def target(self, at: At, keyword: str, holds: bool = True) -> Literal:
        """What a reference names, following references that are nothing else."""
        place, seen = at.place, set[int]()
        while True:
            number = self.document.target(place, keyword)
            place = self.document.places[number]
            pure = isinstance(place.schema, dict) and keyword in place.schema
            if not pure or (place.siblings and len(place.schema) > 1):
                return number, holds, at.owner if holds else None
            if number in seen:
                # It refers to nothing but itself: no value satisfies it.
                return self.document.number(False, place.pointer), holds, None
            seen.add(number)

    # --- what cannot be ---

    def disjoint(self, one: Literal, other: Literal, kind: str) -> bool:
        """Whether surely no value of a kind satisfies both."""
        key = (min(one[0], other[0]), max(one[0], other[0]), kind)
        if key not in self._disjoint:
            self._disjoint[key] = False  # what a circle meets
            goal = frozenset({(one[0], True, None), (other[0], True, None)})
            self._disjoint[key] = self._impossible_as(kind, goal, 3)
        return self._disjoint[key]

    def impossible(self, goal: Goal, depth: int) -> bool:
        """Whether surely no value satisfies a goal; looked at `depth` levels into objects."""
        if depth == 0 or not goal:
            return False
        return all(self._impossible_as(kind, goal, depth) for kind in KINDS)

    def _impossible_as(self, kind: str, goal: Goal, depth: int) -> bool:
        for branch in self.branches(goal, kind):
            self.spend()
            if kind != "object" or branch.constants is not None:
                return False
            if not any(
                self.impossible(self.member_goal(branch, name, None), depth - 1)
                for name in branch.required
            ):
                return False
        return True

    def member_goal(self, branch: Branch, name: str, matching: frozenset[str] | None) -> Goal:
        """What the value of a property must satisfy. matching: the patterns that match the name;
        None leaves patterns out."""
        goal = set(branch.values.get(name, ()))
        known = matching or frozenset()
        for members in branch.members:
            if name in members.properties:
                goal.add(members.properties[name])
            goal |= {value for pattern, _, value in members.patterns if pattern in known}
            others = members.additional
            if others is not None and matching is not None and not members.covers(name, known):
                goal.add(others)
        return frozenset(goal)


class _Said(NamedTuple):
    """What the keywords of one schema come to."""

    typed: bool
    implied: set[str]
    rules: list[Callable[[Facts, At], Iterator[Alternatives]]]


def _said_by(schema: dict[str, Any]) -> _Said:
    typed = not _TYPING.isdisjoint(schema)
    implied = {name for name, words in BY_TYPE.items() if not words.isdisjoint(schema)}
    return _Said(typed, implied, [rule for word, rule in _POSITIVE.items() if word in schema])


_TYPING = frozenset({"type", "enum", "const", "disallow"})


def _once(rule: Callable[..., Iterator[Alternatives]], *words: str) -> dict[str, Any]:
    """A rule that reads several keywords, run at the first of them that a schema has."""

    def run(facts: Facts, at: At, word: str) -> Iterator[Alternatives]:
        if next(name for name in words if name in at.schema) == word:
            yield from rule(facts, at)

    return {word: (lambda facts, at, word=word: run(facts, at, word)) for word in words}


_POSITIVE: dict[str, Callable[[Facts, At], Iterator[Alternatives]]] = {
    "type": plain.types,
    "disallow": joins.disallow,
    **_once(plain.constants, "enum", "const"),
    **_once(joins.references, "$ref", "$dynamicRef", "$recursiveRef"),
    "allOf": joins.all_of,
    "extends": joins.extends,
    "anyOf": joins.any_of,
    "oneOf": joins.one_of,
    "not": joins.negation,
    "if": joins.condition,
    **_once(plain.numbers, *sorted(BY_TYPE["number"])),
    **_once(plain.strings, *sorted(BY_TYPE["string"])),
    **_once(of_arrays.arrays, *sorted(BY_TYPE["array"])),
    **_once(of_objects.objects, *sorted(BY_TYPE["object"])),
}

_NEGATIVE: dict[str, Callable[[Facts, At], Alternatives]] = {
    "type": plain.not_types,
    "enum": plain.not_constants,
    "$ref": joins.not_references,
    "allOf": lambda facts, at: [[part] for part in joins.parts_of(facts, at, "allOf", False)],
    "anyOf": lambda facts, at: (
        [[*joins.parts_of(facts, at, "anyOf", False)]] if "anyOf" in at.schema else []
    ),
    "oneOf": joins.not_one_of,
    "not": lambda facts, at: (
        [[facts.inner(at, at.schema["not"], "not")]] if "not" in at.schema else []
    ),
    "if": joins.not_condition,
    "minimum": plain.not_numbers,
    "minLength": plain.not_strings,
    "items": of_arrays.not_arrays,
    "properties": of_objects.not_objects,
}
