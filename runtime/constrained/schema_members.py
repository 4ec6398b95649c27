"""How the members of an object follow each other: declared ones in their order or in any, others
between them or behind, counted where there are bounds; used by schema_objects.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import json_text as text
from .expr import EMPTY, Distinct, Expr, Ref, Repeat, alt, lit, optional, seq
from .schema_branch import Branch
from .schema_check import refuse
from .schema_single import NotSingleError

if TYPE_CHECKING:
    from .schema import SchemaBuilder

# Objects with up to this many members may have them in any order, if asked for.
_MAX_PERMUTED = 4
_MAX_COUNTED = 4_000
# Names that must differ are compared with all before them.
_MAX_NAMES = 256


@dataclass(frozen=True, slots=True)
class Member:
    """`"name":value`, and whether it must be there."""

    expr: Expr
    required: bool


@dataclass(frozen=True, slots=True)
class Other:
    """A member that is not declared: its name, in quotes, and its value."""

    name: Expr
    value: Expr


def assembled(
    builder: SchemaBuilder,
    branch: Branch,
    members: list[Member],
    others: list[Other],
    last: list[Expr],
) -> Expr:
    extra = alt(seq(one.name, lit(":"), one.value) for one in others) if others else None
    certain = sum(member.required for member in members) + len(last)
    low = branch.least if branch.least > certain else 0
    high = branch.most
    if high is not None and high >= len(members) + len(last) and extra is None:
        high = None
    optionals = len(members) - sum(member.required for member in members)
    builder.count_optional(optionals, branch)
    permuted = builder.any_order and 1 < len(members) <= _MAX_PERMUTED
    if builder.single is not None and extra is not None and (low or high is not None):
        raise NotSingleError
    if low == 0 and high is None and not last and not permuted:
        return _plain(builder, members, extra)
    if 1 < low <= _MAX_NAMES and len(others) == 1 and not members and not last:
        return _with_names_apart(others[0], low, high)
    if low > len(members) + 1 and extra is not None and not (not members and low == 1):
        builder.report.superset(
            branch.size_pointer,
            "`minProperties` over the number of declared properties: further names may repeat",
        )
    return _stepwise(builder, branch, members, extra, last, low, high, permuted)


def _with_names_apart(other: Other, low: int, high: int | None) -> Expr:
    """At least so many members, none of them declared: no name comes twice."""
    most = _MAX_NAMES if high is None else min(high, _MAX_NAMES)
    between = seq(lit(":"), other.value, lit(","))
    names = Distinct(other.name, between, low, most)
    return seq(lit("{"), names, lit(":"), other.value, lit("}"))


def _plain(builder: SchemaBuilder, members: list[Member], extra: Expr | None) -> Expr:
    # Where each value is spelled once, only one other member may stand behind the declared ones.
    most = None if builder.single is None else 1
    if not members:
        if extra is None:
            return lit("{}")
        return text.separated(extra, 0, most, opening="{", closing="}")
    tail: Expr = EMPTY if extra is None else Repeat(seq(lit(","), extra), 0, most)
    after = _behind_each(builder, members, tail)
    options: list[Expr] = []
    if extra is not None and builder.any_order:
        options.append(seq(extra, after[0]))
    for index, member in enumerate(members):
        options.append(seq(member.expr, after[index + 1]))
        if member.required:
            return seq(lit("{"), alt(options), lit("}"))
    if extra is not None and not builder.any_order:
        options.append(seq(extra, tail) if most is None else extra)
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
