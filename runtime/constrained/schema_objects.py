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
from .expr import EMPTY, NEVER, Expr, Ref, Repeat, alt, lit, optional, seq
from .schema_branch import Branch, Goal, Members, Present
from .schema_check import refuse

if TYPE_CHECKING:
    from .schema import SchemaBuilder

# Objects with up to this many members may have them in any order, if asked for.
MAX_PERMUTED = 4
_MAX_CLASSES = 64
_MAX_COUNTED = 4_000


@dataclass(frozen=True, slots=True)
class Member:
    """`"name":value`, and whether it must be there."""

    expr: Expr
    required: bool


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
    others = [_other(builder, branch, keys, taken) for keys in classes]
    extra = alt(one for one in others if one is not NEVER) if others else None
    if extra is NEVER:
        extra = None
    last = [_last(builder, branch, classes, taken)] if branch.present else []
    return _assembled(builder, branch, members, extra, last)


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
    machine = automaton.ANYTHING
    if taken:
        machine = automaton.without(machine, automaton.words(taken))
    for literal, pointer in sorted(branch.names, key=str):
        machine = automaton.both(machine, builder.names(frozenset({literal}), pointer))
    classes = [Keys(machine, frozenset())]
    for pattern, pointer in patterns.items():
        found = builder.pattern(pattern, pointer)
        parts = [
            part
            for keys in classes
            if keys.machine is not None
            for part in (
                Keys(automaton.both(keys.machine, found), keys.matching | {pattern}),
                Keys(automaton.without(keys.machine, found), keys.matching),
            )
            if part.machine is not None and not part.machine.empty
        ]
        if len(parts) <= _MAX_CLASSES:
            classes = parts
        else:
            builder.report.superset(pointer, "too many combinations of patterns match one name")
    if closed:
        classes = [keys for keys in classes if keys.matching]
    return [keys for keys in classes if keys.machine is not None and not keys.machine.empty]


def _closed(branch: Branch) -> bool:
    """Whether names that no keyword speaks of are left out in a closed reading: something is
    declared, and nobody asks for others."""
    if any(members.additional is not None for members in branch.members):
        return False
    if branch.rest:
        return False
    speaks = any(members.properties or members.patterns for members in branch.members)
    return bool(speaks or branch.required)


def _other(builder: SchemaBuilder, branch: Branch, keys: Keys, taken: list[str]) -> Expr:
    """`"name":value` for the names of a class."""
    goal = member_goal(builder, branch, None, keys.matching)
    if builder.never(goal):
        return NEVER
    return seq(_key_expr(builder, keys, taken), lit(":"), builder.value(goal))


def _key_expr(builder: SchemaBuilder, keys: Keys, taken: list[str]) -> Expr:
    if keys.machine is None:
        return text.key_except(taken) if taken else text.ANY_STRING
    return text.quoted(builder.automaton_expr(keys.machine))


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


def _assembled(
    builder: SchemaBuilder,
    branch: Branch,
    members: list[Member],
    extra: Expr | None,
    last: list[Expr],
) -> Expr:
    certain = sum(member.required for member in members) + len(last)
    low = branch.least if branch.least > certain else 0
    high = branch.most
    if high is not None and high >= len(members) + len(last) and extra is None:
        high = None
    optionals = len(members) - sum(member.required for member in members)
    builder.count_optional(optionals, branch)
    permuted = builder.any_order and 1 < len(members) <= MAX_PERMUTED
    if low == 0 and high is None and not last and not permuted:
        return _plain(builder, members, extra)
    if low > len(members) + 1 and extra is not None and not (not members and low == 1):
        builder.report.superset(
            branch.size_pointer,
            "`minProperties` over the number of declared properties: further names may repeat",
        )
    return _stepwise(builder, branch, members, extra, last, low, high, permuted)


def _plain(builder: SchemaBuilder, members: list[Member], extra: Expr | None) -> Expr:
    if not members:
        if extra is None:
            return lit("{}")
        return text.separated(extra, 0, None, opening="{", closing="}")
    tail: Expr = EMPTY if extra is None else Repeat(seq(lit(","), extra), 0, None)
    after = _behind_each(builder, members, tail)
    options: list[Expr] = []
    if extra is not None and builder.any_order:
        options.append(seq(extra, after[0]))
    for index, member in enumerate(members):
        options.append(seq(member.expr, after[index + 1]))
        if member.required:
            return seq(lit("{"), alt(options), lit("}"))
    if extra is not None and not builder.any_order:
        options.append(seq(extra, tail))
    return seq(lit("{"), alt([*options, EMPTY]), lit("}"))


def _behind_each(builder: SchemaBuilder, members: list[Member], tail: Expr) -> list[Expr]:
    """What may follow where members i and on are left and something stands before them. A rule
    each, so that the size stays linear in the number of members."""
    between = tail if builder.any_order else EMPTY
    # Others stand before the next declared member, never behind those that are skipped: each text
    # is read in one way.
    rest: Expr = EMPTY if builder.any_order else tail
    after = [tail]
    for member in reversed(members):
        item = seq(lit(","), member.expr)
        if member.required:
            rest = seq(item, after[-1])
        elif between is EMPTY:
            rest = seq(optional(item), after[-1])
        else:
            rest = alt([seq(item, after[-1]), rest])
        if len(members) > 1 and (not member.required or between is not EMPTY):
            name = builder.fresh("members")
            builder.rules[name] = rest
            rest = Ref(name)
        after.append(seq(between, rest))
    return after[::-1]


def _stepwise(
    builder: SchemaBuilder,
    branch: Branch,
    members: list[Member],
    extra: Expr | None,
    last: list[Expr],
    low: int,
    high: int | None,
    permuted: bool,
) -> Expr:
    """Members with their number counted: a rule for each place (or set of members that are
    through) and count. Past `cap` counts are alike."""
    cap = max(1, low, 0 if high is None else high + 1)
    places = 1 << len(members) if permuted else len(members) + 1
    if places * (cap + 1) > _MAX_COUNTED:
        refuse(branch.size_pointer, "counting these members needs too many states")
    name = builder.fresh("members")
    done = places - 1
    # Others stand before the next declared member, never behind those that are skipped.
    skipping = " skipped" if builder.any_order and extra is not None and not permuted else ""
    for place in range(places):
        for count in range(cap + 1):
            options: list[Expr] = []
            full = high is not None and count >= high
            comma = lit(",") if count else EMPTY
            for index, member in enumerate(members):
                if (permuted and place >> index & 1) or (not permuted and index != place):
                    continue
                after = place | 1 << index if permuted else place + 1
                if not full:
                    following = Ref(f"{name} {after} {min(count + 1, cap)}")
                    options.append(seq(comma, member.expr, following))
                if not permuted and not member.required:
                    options.append(Ref(f"{name} {after} {count}{skipping}"))
            left = [m for i, m in enumerate(members) if not place >> i & 1]
            through = not any(m.required for m in left) if permuted else place == done
            if through:
                options += _ending(count, comma, last, low, high, members)
            if skipping:
                builder.rules[f"{name} {place} {count}{skipping}"] = alt(options)
            if extra is not None and not full and (builder.any_order or through):
                # Names may repeat: another of them counts once only, towards the least number.
                counts = count + 1 if high is not None or count < low else count
                following = Ref(f"{name} {place} {max(min(counts, cap), 1)}")
                options.append(seq(comma, extra, following))
            builder.rules[f"{name} {place} {count}"] = alt(options)
    return seq(lit("{"), Ref(f"{name} 0 0"), lit("}"))


def _ending(
    count: int, comma: Expr, last: list[Expr], low: int, high: int | None, members: list[Member]
) -> list[Expr]:
    total = count + len(last)
    if total < low or (high is not None and total > high):
        return []
    pieces: list[Expr] = []
    for index, one in enumerate(last):
        pieces += [comma if index == 0 else lit(","), one]
    return [seq(*pieces)]
