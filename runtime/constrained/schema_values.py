"""Whether a given value satisfies a goal, and which values do where all are listed; used by
schema.py for enum, const and property names. It reads the same branches as the grammar."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .formats import format_pattern
from .schema_arrays import item_goal
from .schema_branch import Branch, Contained, Goal, Present, exact, type_of
from .schema_facts import KINDS
from .schema_objects import matching_patterns, member_goal

if TYPE_CHECKING:
    from .schema import SchemaBuilder

# All values of the kinds that have few.
_FEW: dict[str, list[Any]] = {"null": [None], "boolean": [True, False]}


class Values:
    def __init__(self, builder: SchemaBuilder) -> None:
        self._builder = builder

    def satisfied(self, goal: Goal, value: Any) -> bool:
        if not goal:
            return True
        self._builder.facts.spend()
        branches = self._builder.facts.branches(goal, type_of(value))
        return any(self.holds(branch, value) for branch in branches)

    def constants(self, branch: Branch) -> list[Any] | None:
        """The values that satisfy a branch which lists them; None where it does not."""
        if branch.constants is None:
            return None
        denied = {exact(other) for other, _ in branch.excluded}
        return [
            value
            for value in branch.constants
            if exact(value) not in denied and self._fits(branch, value)
        ]

    def listed(self, goal: Goal) -> list[Any] | None:
        """All values that satisfy a goal, each once; None where they are not listed."""
        found: dict[str, Any] = {}
        for kind in KINDS:
            for branch in self._builder.branches(goal, kind):
                values = self.constants(branch)
                if values is None and kind in _FEW:
                    values = [value for value in _FEW[kind] if self.holds(branch, value)]
                if values is None:
                    return None
                for value in values:
                    found.setdefault(exact(value), value)
        return list(found.values())

    def holds(self, branch: Branch, value: Any) -> bool:
        """Whether a value of the branch's kind satisfies it."""
        listed = branch.constants
        if listed is not None and exact(value) not in {exact(one) for one in listed}:
            return False
        if any(exact(value) == exact(other) for other, _ in branch.excluded):
            return False
        return self._fits(branch, value)

    def _fits(self, branch: Branch, value: Any) -> bool:
        """Whether a value satisfies the conditions of its kind."""
        if branch.kind == "number":
            return _number(branch, value)
        if branch.kind == "string":
            return self._size(branch, len(value)) and self._string(branch, value)
        if branch.kind == "array":
            return self._size(branch, len(value)) and self._array(branch, value)
        if branch.kind == "object":
            return self._size(branch, len(value)) and self._object(branch, value)
        return True

    @staticmethod
    def _size(branch: Branch, size: int) -> bool:
        return branch.least <= size and (branch.most is None or size <= branch.most)

    def _string(self, branch: Branch, value: str) -> bool:
        conditions = [(source, pointer, holds) for source, pointer, holds in branch.patterns]
        conditions += [
            (pattern, pointer, holds)
            for name, pointer, holds in branch.formats
            if (pattern := format_pattern(name, self._builder.closed)) is not None
        ]
        return all(
            self._builder.pattern(source, pointer).accepts(value) is holds
            for source, pointer, holds in conditions
        )

    def _array(self, branch: Branch, value: list[Any]) -> bool:
        if branch.unique is not None and len({exact(item) for item in value}) < len(value):
            return False
        for index, item in enumerate(value):
            if not self.satisfied(item_goal(self._builder, branch, index), item):
                return False
        return all(self._contains(one, value) for one in branch.contained)

    def _contains(self, one: Contained, value: list[Any]) -> bool:
        goal = frozenset({one.item})
        count = sum(self.satisfied(goal, item) for item in value[one.start :])
        return one.low <= count and (one.high is None or count <= one.high)

    def _object(self, branch: Branch, value: dict[str, Any]) -> bool:
        if not branch.required.keys() <= value.keys() or branch.forbidden & value.keys():
            return False
        for name, inner in value.items():
            matching = matching_patterns(self._builder, branch, name)
            if not self.satisfied(member_goal(self._builder, branch, name, matching), inner):
                return False
            if not all(self.satisfied(frozenset({n}), name) for n, _ in branch.names):
                return False
        return all(
            any(self._is(present, name, inner) for name, inner in value.items())
            for present in branch.present
        )

    def _is(self, present: Present, name: str, value: Any) -> bool:
        if present.value is not None and not self.satisfied(frozenset({present.value}), value):
            return False
        if present.pattern is not None:
            return self._builder.pattern(present.pattern, present.pointer).accepts(name)
        if present.beside is not None:
            known = present.beside
            return name not in known.properties and not any(
                self._builder.pattern(p, where).accepts(name) for p, where, _ in known.patterns
            )
        assert present.name is not None
        return self.satisfied(frozenset({present.name}), name)


def _number(branch: Branch, value: int | float) -> bool:
    number = Decimal(repr(value))
    low, high = branch.low, branch.high
    if low is not None and (number < low.value or (low.exclusive and number == low.value)):
        return False
    if high is not None and (number > high.value or (high.exclusive and number == high.value)):
        return False
    whole = number == number.to_integral_value()
    if (branch.integer and not whole) or (branch.fraction is not None and whole):
        return False
    return all(number % step == 0 for step, _ in branch.steps) and not any(
        number % step == 0 for step, _ in branch.no_steps
    )
