"""Arrays that satisfy items, counts, contains and uniqueness together; used by schema.py."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from . import json_text as text
from .expr import EMPTY, NEVER, Alt, Distinct, Expr, Ref, Repeat, alt, lit, optional, seq
from .schema_branch import Branch, Contained, Goal
from .schema_check import refuse
from .schema_single import NotSingleError

if TYPE_CHECKING:
    from .schema import SchemaBuilder

# Unique values come in any order up to this many, then in the order in which they are listed.
_MAX_PERMUTED = 6
_MAX_COUNTED = 4_000
# Of items that must all differ there are at most so many: each is compared with all before it.
_MAX_DISTINCT = 256


def array_expr(builder: SchemaBuilder, branch: Branch) -> Expr:
    low, high = branch.least, branch.most
    first = _places(builder, branch)
    rest = item_goal(builder, branch, len(first))
    if low > builder.limits.max_min_repeat:
        refuse(
            branch.size_pointer,
            f"at least {low} items is over the limit of {builder.limits.max_min_repeat}",
        )
    if builder.never(rest):
        high = len(first) if high is None else min(high, len(first))
    if high is not None and low > high:
        return NEVER
    if branch.unique is not None and (high is None or high > 1):
        if not first and not branch.contained:
            values = _listed(builder, rest)
            # For generating one order of many values is as good as any.
            if values is not None and (builder.closed or len(values) <= _MAX_PERMUTED):
                return _unique(builder, values, low, high)
            distinct = _distinct(builder, rest, low, high)
            if distinct is not None:
                return distinct
        builder.report.superset(
            branch.unique,
            "`uniqueItems` is enforced where no two alternatives of the items spell one value in "
            "two ways, and beside neither `prefixItems` nor `contains`",
        )
    if branch.contained:
        return _counted(builder, branch, first, rest, low, high)
    if not first:
        return text.separated(builder.value(rest), low, high, opening="[", closing="]")
    return _tuple(builder, first, rest, low, high)


def item_goal(builder: SchemaBuilder, branch: Branch, index: int) -> Goal:
    """What the item at a place must satisfy."""
    goal = set(branch.places.get(index, ()))
    for items in branch.items:
        if index < len(items.first):
            goal.add(items.first[index])
        elif items.rest is not None:
            goal.add(items.rest)
    for owner, literal, pointer in branch.rest:
        if branch.contained:
            builder.report.superset(pointer, "`unevaluatedItems` beside contains is not enforced")
        said = any(
            owner in items.owners and (index < len(items.first) or items.rest is not None)
            for items in branch.items
        )
        if not said:
            goal.add(literal)
    return frozenset(goal)


def _places(builder: SchemaBuilder, branch: Branch) -> list[Goal]:
    """The goals of the places that differ from those after them."""
    count = max(
        [
            *(len(items.first) for items in branch.items),
            *(place + 1 for place in branch.places),
            *(contained.start for contained in branch.contained),
        ],
        default=0,
    )
    if count > 2_000:
        refuse(branch.size_pointer, "over 2,000 items have schemas of their own")
    return [item_goal(builder, branch, index) for index in range(count)]


def _tuple(
    builder: SchemaBuilder, first: list[Goal], rest: Goal, low: int, high: int | None
) -> Expr:
    """The places as far as the bounds allow, then items of the rest."""
    count = len(first) if high is None else min(len(first), high)
    heads = [builder.value(goal) for goal in first[:count]]
    tail: Expr = EMPTY
    if high is None or high > count:
        more = seq(lit(","), builder.value(rest))
        most = None if high is None else high - count
        tail = Repeat(more, max(low - count, 0), most, counted_outside=True)
    for index in range(count - 1, -1, -1):
        tail = seq(lit(",") if index else EMPTY, heads[index], tail)
        if low <= index:
            tail = optional(tail)
    return seq(lit("["), tail, lit("]"))


def _counted(
    builder: SchemaBuilder,
    branch: Branch,
    first: list[Goal],
    rest: Goal,
    low: int,
    high: int | None,
) -> Expr:
    """Arrays in which so many items satisfy further schemas: a rule for every place and count.
    Past the last place or count that matters, rules stay the same."""
    kinds = branch.contained
    last = max(len(first), low, 0 if high is None else high + 1)
    caps = [one.low if one.high is None else one.high + 1 for one in kinds]
    size = last + 1
    for cap in caps:
        size *= cap + 1
    if size > _MAX_COUNTED:
        refuse(kinds[0].pointer, "counting these items needs too many states; use smaller counts")
    name = builder.fresh("items")

    def rule(index: int, counts: tuple[int, ...]) -> str:
        return f"{name} {index} {' '.join(map(str, counts))}"

    for index in range(last + 1):
        goal = first[index] if index < len(first) else rest
        for counts in product(*(range(cap + 1) for cap in caps)):
            options: list[Expr] = []
            enough = all(n >= one.low for n, one in zip(counts, kinds, strict=True))
            if index >= low and enough:
                options.append(EMPTY)
            if high is None or index < high:
                for chosen, added in _choices(kinds, counts, caps, index):
                    item = builder.value(goal | chosen)
                    after = Ref(rule(min(index + 1, last), added))
                    options.append(seq(lit(",") if index else EMPTY, item, after))
            builder.rules[rule(index, counts)] = alt(options)
    # Past the last place a comma always stands before an item.
    if last == 0:
        inner = builder.rules[rule(0, tuple(0 for _ in kinds))]
        first_rules = {}
        for counts in product(*(range(cap + 1) for cap in caps)):
            body = builder.rules[rule(0, counts)]
            first_rules[counts] = body
            builder.rules[rule(0, counts)] = _with_comma(body)
        return seq(lit("["), inner, lit("]"))
    return seq(lit("["), Ref(rule(0, tuple(0 for _ in kinds))), lit("]"))


def _with_comma(body: Expr) -> Expr:
    items = body.items if type(body).__name__ == "Alt" else (body,)  # type: ignore[union-attr]
    return alt(item if item is EMPTY else seq(lit(","), item) for item in items)


def _choices(
    kinds: list[Contained], counts: tuple[int, ...], caps: list[int], index: int
) -> list[tuple[frozenset[Any], tuple[int, ...]]]:
    """Which of the schemas the next item satisfies, with the counts after it. One whose number
    has no upper bound need not be denied: it may be satisfied without being counted."""
    found = []
    for chosen in product((True, False), repeat=len(kinds)):
        goal = set()
        after = []
        possible = True
        for yes, one, count, cap in zip(chosen, kinds, counts, caps, strict=True):
            if yes and (index < one.start or (one.high is None and count == cap)):
                possible = False
            if yes:
                goal.add(one.item)
                possible = possible and (one.high is None or count < one.high)
            elif one.high is not None and index >= one.start:
                goal.add(one.negated)
            after.append(min(count + yes, cap))
        if possible:
            found.append((frozenset(goal), tuple(after)))
    return found


def _listed(builder: SchemaBuilder, goal: Goal) -> list[Any] | None:
    """The values that items may have, where they are few."""
    values = builder.listed(goal)
    return values if values is not None and len(values) <= 64 else None


def _unique(builder: SchemaBuilder, values: list[Any], low: int, high: int | None) -> Expr:
    high = min(len(values), len(values) if high is None else high)
    if low > high:
        return NEVER
    if len(values) <= _MAX_PERMUTED:
        return _permuted(builder, values, low, high)
    # One rule for each number of values still to choose from and already chosen.
    name = builder.fresh("unique")
    for left in range(len(values) + 1):
        for chosen in range(len(values) - left + 1):
            options: list[Expr] = [EMPTY] if left == 0 and chosen >= low else []
            if left:
                value = values[len(values) - left]
                options.append(Ref(f"{name} {left - 1} {chosen}"))
                if chosen < high:
                    comma = "," if chosen else ""
                    options.append(
                        seq(
                            lit(comma + text.dumps(value)),
                            Ref(f"{name} {left - 1} {chosen + 1}"),
                        )
                    )
            builder.rules[f"{name} {left} {chosen}"] = alt(options)
    return seq(lit("["), Ref(f"{name} {len(values)} 0"), lit("]"))


def _distinct(builder: SchemaBuilder, rest: Goal, low: int, high: int | None) -> Expr | None:
    """Items of which no two are spelled alike; None where that does not mean that they differ."""
    most = _MAX_DISTINCT if high is None else min(high, _MAX_DISTINCT)
    if builder.has_free_space or low > most:
        return None
    if low > 1 and builder.single is not None:
        raise NotSingleError  # what so many of them need is not known before they are compared
    found = builder.spelled_once(rest)
    # Where a finished value is checked, it may as well be any.
    if found is None or (found[1] and builder.report.lenient and not builder.closed):
        return None
    if isinstance(found[0], Alt) and not found[0].items:
        return NEVER if low else lit("[]")
    filled = seq(lit("["), Distinct(found[0], lit(","), max(low, 1), most), lit("]"))
    return filled if low else alt([lit("[]"), filled])


def _permuted(builder: SchemaBuilder, values: list[Any], low: int, high: int) -> Expr:
    """Distinct values in any order: a rule for each set of values that are left."""
    name = builder.fresh("distinct")
    for taken in range(1 << len(values)):
        count = taken.bit_count()
        options: list[Expr] = [EMPTY] if count >= low else []
        if count < high:
            comma = "," if count else ""
            for index, value in enumerate(values):
                if not taken >> index & 1:
                    after = Ref(f"{name} {taken | 1 << index}")
                    options.append(seq(lit(comma + text.dumps(value)), after))
        builder.rules[f"{name} {taken}"] = alt(options)
    return seq(lit("["), Ref(f"{name} 0"), lit("]"))
