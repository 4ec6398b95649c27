"""Objects that satisfy properties, patterns, counts and dependencies together; used by schema.py.

Declared properties come first, in their order (or in any, where they are few and the caller asks
for it), then others. Members that a negation demands come last: of two members with one name,
readers take the later one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from . import automaton
from . import json_text as text
from .automaton import Automaton
from .automaton_parts import divided
from .expr import NEVER, Expr, alt, lit, seq
from .schema_branch import Branch, Goal, Members, Present
from .schema_check import refuse
from .schema_members import Member, Other, assembled
from .schema_single import NotSingleError

if TYPE_CHECKING:
    from .schema import SchemaBuilder

_MAX_CLASSES = 64


@dataclass(frozen=True, slots=True)
class Keys:
    """Names that are not declared, alike in which patterns match them. machine None: any name but
    the declared ones."""

    machine: Automaton | None
    matching: frozenset[str]


def object_expr(builder: SchemaBuilder, branch: Branch) -> Expr:
    return alt(_written(builder, variant) for variant in _variants(builder, branch))


def matching_patterns(builder: SchemaBuilder, branch: Branch, name: str) -> frozenset[str]:
    """Which of the branch's patterns are found in a name."""
    return frozenset(
        pattern
        for members in branch.members
        for pattern, pointer, _ in members.patterns
        if builder.pattern(pattern, pointer).accepts(name)
    )


def member_goal(
    builder: SchemaBuilder, branch: Branch, name: str | None, matching: frozenset[str]
) -> Goal:
    """What a member's value must satisfy; None for a name that is not declared."""
    key = "" if name is None else name
    goal = set() if name is None else set(branch.values.get(name, ()))
    for members in branch.members:
        covered = any(pattern in matching for pattern, _, _ in members.patterns)
        goal |= {value for pattern, _, value in members.patterns if pattern in matching}
        if name is not None and key in members.properties:
            goal.add(members.properties[key])
        elif not covered and members.additional is not None:
            goal.add(members.additional)
    for owner, literal, _ in branch.rest:
        if not any(
            owner in members.owners and _says(members, name, matching) for members in branch.members
        ):
            goal.add(literal)
    return frozenset(goal)


def _says(members: Members, name: str | None, matching: frozenset[str]) -> bool:
    """Whether a schema has evaluated a member."""
    if members.additional is not None:
        return True
    declared = name is not None and name in members.properties
    return declared or any(pattern in matching for pattern, _, _ in members.patterns)


# --- members that must exist ----------------------------------------------------------------------


def _variants(builder: SchemaBuilder, branch: Branch) -> list[Branch]:
    """The branch with every member that must exist placed: at a declared name, or among the
    others."""
    if not branch.present:
        return [branch]
    names = list(_declared(branch))
    found = []
    options = [[*_candidates(builder, branch, present, names), None] for present in branch.present]
    size = 1
    for some in options:
        size *= len(some)
    if size > _MAX_CLASSES:
        where = branch.present[0].pointer
        builder.report.superset(where, "too many properties may satisfy its negation")
        free = branch.copy()
        free.present = []
        return [free]
    for chosen in product(*options):
        variant = branch.copy()
        variant.present = []
        possible = True
        for name, present in zip(chosen, branch.present, strict=True):
            if name is None:
                variant.present.append(present)
                continue
            possible = possible and variant.require(name, present.pointer)
            if present.value is not None:
                variant.hold(name, present.value)
        if possible:
            found.append(variant)
    return found


def _candidates(
    builder: SchemaBuilder, branch: Branch, present: Present, names: list[str]
) -> list[str]:
    """The declared names that may be the member."""
    if present.pattern is not None:
        machine = builder.pattern(present.pattern, present.pointer)
        return [name for name in names if machine.accepts(name)]
    if present.beside is not None:
        known = present.beside
        patterns = [(p, builder.pattern(p, where)) for p, where, _ in known.patterns]
        return [
            name
            for name in names
            if name not in known.properties and not any(m.accepts(name) for _, m in patterns)
        ]
    assert present.name is not None
    goal = frozenset({present.name})
    return [name for name in names if builder.satisfied(goal, name)]


def _declared(branch: Branch) -> dict[str, None]:
    """Names that any schema of the branch speaks of: properties as they come in the document's
    text, whatever joins them, then what is only required."""
    names: dict[str, None] = {}
    for members in sorted(branch.members, key=lambda members: members.place):
        names |= dict.fromkeys(members.properties)
    names |= dict.fromkeys(branch.required)
    names |= dict.fromkeys(branch.values)
    return names


# --- writing --------------------------------------------------------------------------------------


def _written(builder: SchemaBuilder, branch: Branch) -> Expr:
    declared = _declared(branch)
    named = [name for name in declared if name not in branch.forbidden]
    members: list[Member] = []
    for name in named:
        required = name in branch.required
        goal = member_goal(builder, branch, name, matching_patterns(builder, branch, name))
        allowed = all(builder.satisfied(frozenset({n}), name) for n, _ in branch.names)
        if not allowed or builder.never(goal):
            if required:
                return NEVER
            continue
        members.append(Member(seq(_key(name), builder.value(goal)), required))
    taken = [*declared, *(name for name in branch.forbidden if name not in declared)]
    classes = _other_keys(builder, branch, taken)
    found = (_other(builder, branch, keys, taken) for keys in classes)
    others = [one for one in found if one is not None]
    last = [_last(builder, branch, classes, taken)] if branch.present else []
    if builder.single is not None:
        if last:
            raise NotSingleError
        builder.single.members(named, bool(others))
    return assembled(builder, branch, members, others, last)


def _key(name: str) -> Expr:
    try:
        return text.key(name)
    except UnicodeEncodeError:
        refuse("#", "a property name holds half a surrogate pair, which has no UTF-8 form")


def _other_keys(builder: SchemaBuilder, branch: Branch, taken: list[str]) -> list[Keys]:
    """Classes of the names that are not declared and may occur."""
    patterns = {p: where for members in branch.members for p, where, _ in members.patterns}
    closed = builder.closed and _closed(branch)
    if not patterns and not branch.names:
        return [] if closed else [Keys(None, frozenset())]
    asked = (frozenset(taken), frozenset(branch.names), tuple(patterns))
    classes = builder.classes_of_names.get(asked)
    if classes is None:
        classes = builder.classes_of_names[asked] = _classes(builder, branch, taken, patterns)
    return [keys for keys in classes if keys.matching] if closed else classes


def _classes(
    builder: SchemaBuilder, branch: Branch, taken: list[str], patterns: dict[str, str]
) -> list[Keys]:
    """The names that are not taken, by the patterns that match them."""
    machine = automaton.ANYTHING
    if taken:
        machine = automaton.without(machine, automaton.words(taken))
    for literal, pointer in sorted(branch.names, key=str):
        machine = automaton.both(machine, builder.names(frozenset({literal}), pointer))
    if machine.empty:
        return []
    sources = list(patterns)
    found = [builder.pattern(source, pointer) for source, pointer in patterns.items()]
    parts = divided(machine, found, _MAX_CLASSES)
    for index in sorted({*range(len(sources))} - {i for matching, _ in parts for i in matching}):
        # Nothing has it: either because it matches no name, or because it was left out.
        if not automaton.both(machine, found[index]).empty:
            what = "too many combinations of patterns match one name"
            builder.report.superset(patterns[sources[index]], what)
    return [Keys(one, frozenset(sources[i] for i in matching)) for matching, one in parts]


def _closed(branch: Branch) -> bool:
    """Whether names that no keyword speaks of are left out in a closed reading: something is
    declared, and nobody asks for others."""
    if any(members.additional is not None for members in branch.members):
        return False
    if branch.rest:
        return False
    speaks = any(members.properties or members.patterns for members in branch.members)
    return bool(speaks or branch.required)


def _other(builder: SchemaBuilder, branch: Branch, keys: Keys, taken: list[str]) -> Other | None:
    """Members with the names of a class."""
    goal = member_goal(builder, branch, None, keys.matching)
    if builder.never(goal):
        return None
    return Other(_key_expr(builder, keys, taken), builder.value(goal))


def _key_expr(builder: SchemaBuilder, keys: Keys, taken: list[str]) -> Expr:
    if keys.machine is not None:
        return text.quoted(builder.automaton_expr(keys.machine))
    if not taken:
        return text.ANY_STRING
    names = frozenset(taken)
    if names not in builder.other_names:
        builder.other_names[names] = text.string_except(taken)
    return builder.other_names[names]


def _last(builder: SchemaBuilder, branch: Branch, classes: list[Keys], taken: list[str]) -> Expr:
    """A member that must exist, among the names that are not declared. Where several must, one
    that is all of them: two could turn out as one member, of which the later counts."""
    options = []
    # What a negation demands exists even where a closed reading has no other members.
    for keys in classes or [Keys(None, frozenset())]:
        machine = keys.machine
        if machine is None:
            machine = automaton.without(automaton.ANYTHING, automaton.words(taken))
        goal = member_goal(builder, branch, None, keys.matching)
        for present in branch.present:
            machine = _named(builder, machine, present)
            if present.value is not None:
                goal |= {present.value}
        if not machine.empty and not builder.never(goal):
            key = text.quoted(builder.automaton_expr(machine))
            options.append(seq(key, lit(":"), builder.value(goal)))
    return alt(options)


def _named(builder: SchemaBuilder, machine: Automaton, present: Present) -> Automaton:
    """The names that such a member may have."""
    if present.pattern is not None:
        return automaton.both(machine, builder.pattern(present.pattern, present.pointer))
    if present.beside is None:
        assert present.name is not None
        found = builder.names(frozenset({present.name}), present.pointer)
        return automaton.both(machine, found)
    machine = automaton.without(machine, automaton.words(present.beside.properties))
    for pattern, where, _ in present.beside.patterns:
        machine = automaton.without(machine, builder.pattern(pattern, where))
    return machine
