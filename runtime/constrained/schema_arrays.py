"""Array schemas: items, prefixItems, counts and unique values; used by schema.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import json_text as text
from .expr import EMPTY, NEVER, Expr, Ref, Repeat, alt, lit, optional, seq
from .schema_check import integer_of, list_of, listed, pointer_to, refuse
from .schema_disjoint import whole
from .schema_merge import Schema, constraints

if TYPE_CHECKING:
    from .schema import SchemaBuilder


def array_expr(builder: SchemaBuilder, schema: Schema, pointer: str) -> Expr:
    low = integer_of(schema, "minItems", pointer) or 0
    high = integer_of(schema, "maxItems", pointer)
    items, where = schema.get("items", True), "items"
    first = list_of(schema, "prefixItems", pointer)
    if isinstance(items, list):  # drafts before 2020-12
        first, items, where = items, schema.get("additionalItems", True), "additionalItems"
    if items is False and not first:
        high = 0
    if low > builder.limits.max_min_repeat:
        refuse(
            pointer_to(pointer, "minItems"),
            f"at least {low} items is over the limit of {builder.limits.max_min_repeat}",
        )
    if high is not None and low > high:
        return NEVER
    if schema.get("uniqueItems") and (high is None or high > 1):
        return _unique(builder, items if not first else True, low, high, pointer)
    if not first:
        item = builder.convert(items, pointer_to(pointer, where))
        return text.separated(item, low, high, opening="[", closing="]")
    return _tuple(builder, first, items, low, high, pointer)


def _tuple(
    builder: SchemaBuilder, first: list[Any], rest: Any, low: int, high: int | None, pointer: str
) -> Expr:
    """prefixItems: as many of them as the bounds allow, then items of the rest."""
    count = len(first) if high is None else min(len(first), high)
    heads = [
        builder.convert(item, pointer_to(pointer, "prefixItems", index))
        for index, item in enumerate(first[:count])
    ]
    tail: Expr = EMPTY
    if rest is not False and (high is None or high > count):
        more = seq(lit(","), builder.convert(rest, pointer_to(pointer, "items")))
        most = None if high is None else high - count
        tail = Repeat(more, max(low - count, 0), most, counted_outside=True)
    elif low > count:
        return NEVER
    for index in range(count - 1, -1, -1):
        tail = seq(lit(",") if index else EMPTY, heads[index], tail)
        if low <= index:
            tail = optional(tail)
    return seq(lit("["), tail, lit("]"))


def _unique(builder: SchemaBuilder, items: Any, low: int, high: int | None, pointer: str) -> Expr:
    """uniqueItems over listed values: some of them, in the order in which they are listed."""
    items = whole(builder, items, pointer)
    values = listed(items) if isinstance(items, dict) else None
    if values is None or len(values) > 64:
        refuse(
            pointer_to(pointer, "uniqueItems"),
            "`uniqueItems` can be enforced for items with at most 64 `enum` values only; "
            "leave it out and remove duplicates afterwards (a list instead of a set)",
        )
    rest = {key: value for key, value in items.items() if key not in ("enum", "const")}
    values = [value for value in values if not constraints(rest) or builder.satisfies(value, rest)]
    values = [value for i, value in enumerate(values) if value not in values[:i]]
    high = min(len(values), len(values) if high is None else high)
    # One rule for each number of values still to choose from and already chosen.
    name = f"unique {len(builder.rules)}"
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
