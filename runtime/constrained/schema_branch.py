"""What is known of one value of one type: the conditions that hold together in one alternative of
a schema. Filled by schema_facts.py, written as grammar by schema_numbers.py, schema_strings.py,
schema_arrays.py and schema_objects.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .numbers import Bound

# A schema by its number, whether it must hold or must not, and the schema with `unevaluated...`
# that it is a part of (None outside of such).
Literal = tuple[int, bool, int | None]
Goal = frozenset[Literal]
"""Schemas that all hold (or fail) for one value."""


@dataclass(frozen=True, slots=True)
class Members:
    """properties, patternProperties and additionalProperties of one schema. place: where that
    stands in the document's text."""

    properties: dict[str, Literal]
    patterns: tuple[tuple[str, str, Literal], ...]  # pattern, pointer, schema
    additional: Literal | None
    owners: frozenset[int] = frozenset()
    place: int = 0

    def covers(self, name: str, matching: frozenset[str]) -> bool:
        """Whether properties or patterns speak of a name, given the patterns that match it."""
        return name in self.properties or any(p in matching for p, _, _ in self.patterns)


@dataclass(frozen=True, slots=True)
class Items:
    """items and prefixItems of one schema. rest None: nothing is said."""

    first: tuple[Literal, ...]
    rest: Literal | None
    owners: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Contained:
    """So many items, from a place on, satisfy a schema."""

    item: Literal
    negated: Literal
    start: int
    low: int
    high: int | None
    pointer: str


@dataclass(frozen=True, slots=True)
class Present:
    """Some member satisfies a schema: one whose name matches `pattern`, or one that `beside` says
    nothing of, or with neither one whose name fails `name`."""

    value: Literal | None
    pattern: str | None = None
    beside: Members | None = None
    name: Literal | None = None
    pointer: str = "#"


@dataclass(slots=True)
class Branch:
    """Conditions on a value of type `kind`; "number" stands for integers too."""

    kind: str
    # Where no condition names a type, a closed reading takes the types that keywords speak of.
    typed: bool = False
    implied: set[str] = field(default_factory=set)
    constants: list[Any] | None = None
    excluded: list[tuple[Any, str]] = field(default_factory=list)

    low: Bound | None = None
    high: Bound | None = None
    integer: bool = False
    fraction: str | None = None  # where it says that the number is no integer
    steps: list[tuple[Any, str]] = field(default_factory=list)
    no_steps: list[tuple[Any, str]] = field(default_factory=list)

    # Lengths of strings, arrays and objects.
    least: int = 0
    most: int | None = None
    size_pointer: str = "#"
    patterns: list[tuple[str, str, bool]] = field(default_factory=list)
    formats: list[tuple[str, str, bool]] = field(default_factory=list)

    items: list[Items] = field(default_factory=list)
    places: dict[int, set[Literal]] = field(default_factory=dict)
    contained: list[Contained] = field(default_factory=list)
    unique: str | None = None

    members: list[Members] = field(default_factory=list)
    required: dict[str, str] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    values: dict[str, set[Literal]] = field(default_factory=dict)
    names: set[tuple[Literal, str]] = field(default_factory=set)
    present: list[Present] = field(default_factory=list)
    # unevaluatedProperties and unevaluatedItems: owner, schema, pointer.
    rest: list[tuple[int, Literal, str]] = field(default_factory=list)

    def copy(self) -> Branch:
        # Made tens of thousands of times for a schema with many choices.
        made = object.__new__(Branch)
        for name in _PLAIN:
            setattr(made, name, getattr(self, name))
        for name in _CONTAINERS:
            setattr(made, name, getattr(self, name).copy())
        made.constants = None if self.constants is None else self.constants.copy()
        made.places = {place: set(goal) for place, goal in self.places.items()}
        made.values = {name: set(goal) for name, goal in self.values.items()}
        return made

    # --- narrowing; each says whether anything can still satisfy the branch -------------------

    def at_least(self, count: int, pointer: str) -> bool:
        if count > self.least:
            self.least, self.size_pointer = count, pointer
        return self.most is None or self.least <= self.most

    def at_most(self, count: int, pointer: str) -> bool:
        if count < 0:
            return False
        if self.most is None or count < self.most:
            self.most, self.size_pointer = count, pointer
        return self.least <= self.most

    def above(self, bound: Bound) -> bool:
        if self.low is None or (bound.value, bound.exclusive) > (
            self.low.value,
            self.low.exclusive,
        ):
            self.low = bound
        return self._has_room()

    def below(self, bound: Bound) -> bool:
        if self.high is None or (-bound.value, bound.exclusive) > (
            -self.high.value,
            self.high.exclusive,
        ):
            self.high = bound
        return self._has_room()

    def _has_room(self) -> bool:
        if self.low is None or self.high is None:
            return True
        if self.low.value == self.high.value:
            return not (self.low.exclusive or self.high.exclusive)
        return self.low.value < self.high.value

    def whole(self) -> bool:
        self.integer = True
        return self.fraction is None

    def broken(self, pointer: str) -> bool:
        self.fraction = pointer
        return not self.integer

    def only(self, values: list[Any]) -> bool:
        if self.constants is not None:
            kept = {exact(value) for value in values}
            values = [value for value in self.constants if exact(value) in kept]
        self.constants = values
        return bool(values)

    def require(self, name: str, pointer: str) -> bool:
        self.required.setdefault(name, pointer)
        return name not in self.forbidden

    def forbid(self, name: str) -> bool:
        self.forbidden.add(name)
        return name not in self.required

    def hold(self, name: str, value: Literal) -> bool:
        self.values.setdefault(name, set()).add(value)
        return True


_CONTAINERS = (
    *("implied", "excluded", "steps", "no_steps", "patterns", "formats", "items", "contained"),
    *("members", "required", "forbidden", "names", "present", "rest"),
)
_PLAIN = tuple(
    name for name in Branch.__slots__ if name not in (*_CONTAINERS, "constants", "places", "values")
)

Item = Literal | Callable[[Branch], bool]
Alternatives = list[list[Item]]
"""Any of these lists of conditions."""


def exact(value: Any) -> str:
    """A text that is the same for values that JSON Schema counts as equal: 1 and 1.0 are, 1 and
    true are not, the order of properties does not matter."""
    if isinstance(value, dict):
        parts = (f"{name!r}:{exact(value[name])}" for name in sorted(value))
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(exact, value)) + "]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return repr(value)


def type_of(value: Any) -> str:
    """The kind of branch that a JSON value belongs to."""
    if value is None:
        return "null"
    for kind, types in (
        ("boolean", bool),
        ("number", (int, float)),
        ("string", str),
        ("array", list),
    ):
        if isinstance(value, types):
            return kind
    return "object"
