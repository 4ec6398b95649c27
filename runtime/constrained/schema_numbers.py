"""Number schemas: bounds and multiples; used by schema.py."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from . import json_text as text
from .expr import NEVER, Expr, Lit, alt
from .numbers import Bound, decimals, integers
from .schema_check import pointer_to, refuse
from .schema_merge import Schema

_MAX_ENUMERATED = 4_096


def number_expr(schema: Schema, name: str, pointer: str) -> Expr:
    low = _bound(schema, "minimum", "exclusiveMinimum", pointer, max)
    high = _bound(schema, "maximum", "exclusiveMaximum", pointer, min)
    step = schema.get("multipleOf")
    if name == "number" and step is None:
        return text.NUMBER if low is None and high is None else decimals(low, high)
    if name == "number" and not _is_whole(step):
        refuse(
            pointer_to(pointer, "multipleOf"),
            "`multipleOf` a fraction cannot be enforced on binary numbers; use an integer of "
            "the smallest unit, or a string with a pattern",
        )
    least, most = _whole_bounds(low, high)
    if step is not None and step != 1:
        return _multiples(step, least, most, pointer)
    if least is None and most is None:
        return text.INTEGER
    return integers(least, most) if least is None or most is None or least <= most else NEVER


def _multiples(step: Any, least: int | None, most: int | None, pointer: str) -> Expr:
    where = pointer_to(pointer, "multipleOf")
    if not _is_whole(step) or step <= 0:
        refuse(where, "`multipleOf` of an integer must be a whole number above 0")
    step = int(step)
    if least is None or most is None or (most - least) // step > _MAX_ENUMERATED:
        refuse(
            where,
            f"`multipleOf` needs a minimum and a maximum with at most {_MAX_ENUMERATED} "
            "multiples between them",
        )
    first = -(-least // step) * step
    return alt(Lit(str(value).encode()) for value in range(first, most + 1, step))


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value)


def _bound(
    schema: Schema,
    inclusive: str,
    exclusive: str,
    pointer: str,
    tighter: Callable[..., Decimal],
) -> Bound | None:
    """The tighter of minimum and exclusiveMinimum (or of the maxima)."""
    found: list[Bound] = []
    for keyword in (inclusive, exclusive):
        value = schema.get(keyword)
        if value is None or isinstance(value, bool):
            continue
        if not isinstance(value, (int, float)):
            refuse(pointer_to(pointer, keyword), f"`{keyword}` must be a number")
        # Draft 4 says `exclusiveMinimum: true` beside `minimum`.
        sharp = keyword == exclusive or schema.get(exclusive) is True
        number = Decimal(repr(value))
        if abs(number) >= Decimal(10) ** 100 or number.as_tuple().exponent < -30:  # type: ignore[operator]
            refuse(pointer_to(pointer, keyword), f"`{keyword}` {value} is out of range")
        found.append(Bound(number, sharp))
    if not found:
        return None
    value = tighter(bound.value for bound in found)
    return Bound(value, any(bound.exclusive for bound in found if bound.value == value))


def _whole_bounds(low: Bound | None, high: Bound | None) -> tuple[int | None, int | None]:
    """The least and the greatest integer within the bounds."""
    least = most = None
    if low is not None:
        least = int(low.value.to_integral_value("ROUND_CEILING"))
        least += low.exclusive and least == low.value
    if high is not None:
        most = int(high.value.to_integral_value("ROUND_FLOOR"))
        most -= high.exclusive and most == high.value
    return least, most
