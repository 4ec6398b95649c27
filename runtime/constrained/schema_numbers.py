"""Numbers that satisfy bounds, multiples and exclusions together; used by schema.py."""

from __future__ import annotations

from decimal import Decimal
from math import lcm
from typing import TYPE_CHECKING

from . import automaton
from . import json_text as text
from .automaton import Automaton
from .charset import CharSet
from .expr import NEVER, Expr, Lit, alt, chars
from .numbers import Bound, decimals, integers
from .schema_branch import Branch
from .schema_single import NotSingleError

if TYPE_CHECKING:
    from .schema import SchemaBuilder

_MAX_ENUMERATED = 4_096
_MAX_REMAINDERS = 1_500
_Range = tuple[Bound | None, Bound | None]


def number_expr(builder: SchemaBuilder, branch: Branch) -> Expr:
    ranges = _ranges(branch)
    if branch.integer:
        return alt(_integers(builder, branch, *_whole_bounds(low, high)) for low, high in ranges)
    if builder.single is not None:
        if ranges == [(None, None)] and not (branch.fraction or branch.steps or branch.no_steps):
            return builder.single.number()
        raise NotSingleError  # 1.5 is 1.50
    if branch.fraction is None and not branch.steps and not branch.no_steps:
        if ranges == [(None, None)]:
            return text.NUMBER
        return alt(decimals(low, high) for low, high in ranges)
    return alt(_fractions(builder, branch, low, high) for low, high in ranges)


def _ranges(branch: Branch) -> list[_Range]:
    """The bounds, cut at the values that are left out."""
    ranges: list[_Range] = [(branch.low, branch.high)]
    for value in sorted({Decimal(repr(value)) for value, _ in branch.excluded}):
        low, high = ranges[-1]
        inside = (low is None or low.value <= value) and (high is None or value <= high.value)
        if inside:
            ranges[-1:] = [(low, Bound(value, True)), (Bound(value, True), high)]
    return [pair for pair in ranges if _any_between(*pair)]


def _any_between(low: Bound | None, high: Bound | None) -> bool:
    if low is None or high is None or low.value < high.value:
        return True
    return low.value == high.value and not (low.exclusive or high.exclusive)


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


def _integers(builder: SchemaBuilder, branch: Branch, least: int | None, most: int | None) -> Expr:
    if least is not None and most is not None and least > most:
        return NEVER
    # A multiple of p/q (in lowest terms) that is an integer is a multiple of p.
    step = lcm(*(Decimal(s).as_integer_ratio()[0] for s, _ in branch.steps))
    if step == 1 and not branch.no_steps:
        return text.INTEGER if least is None and most is None else integers(least, most)
    few = least is not None and most is not None and (most - least) // step <= _MAX_ENUMERATED
    if few and not branch.no_steps:
        assert least is not None
        assert most is not None
        first = -(-least // step) * step
        return alt(Lit(str(value).encode()) for value in range(first, most + 1, step))
    machine = automaton.from_expr(
        text.INTEGER if least is None and most is None else integers(least, most)
    )
    return builder.automaton_expr(_stepped(builder, branch, machine), chars)


def _fractions(
    builder: SchemaBuilder, branch: Branch, low: Bound | None, high: Bound | None
) -> Expr:
    """Numbers without exponent, by an automaton."""
    for step, pointer in branch.steps:
        if step != step.to_integral_value():
            builder.report.superset(
                pointer,
                "multiples of a fraction are exact as decimals only, and validators that divide "
                "binary numbers refuse some of them",
            )
    if low is None and high is None:
        far = Bound(Decimal(10) ** text.MAX_DIGITS, exclusive=True)
        low, high = Bound(-far.value, exclusive=True), far
    machine = _stepped(builder, branch, automaton.from_expr(decimals(low, high)))
    if branch.fraction is not None:
        machine = automaton.without(machine, _multiples(Decimal(1)))
    return builder.automaton_expr(machine, chars)


def _stepped(builder: SchemaBuilder, branch: Branch, machine: Automaton) -> Automaton:
    for steps, combine in (
        (branch.steps, automaton.both),
        (branch.no_steps, automaton.without),
    ):
        for step, pointer in steps:
            digits = -min(int(step.as_tuple().exponent), 0)
            if int(step.scaleb(digits)) * (digits + 2) > _MAX_REMAINDERS:
                builder.report.superset(pointer, f"multiples of {step} need too many states")
                continue
            machine = combine(machine, _multiples(step))
    return machine


def _multiples(step: Decimal) -> Automaton:
    """Decimal numerals without exponent of the multiples of `step`, by long division: a state is
    the number of digits after the point (-1 before it) and the remainder so far."""
    digits = -min(int(step.as_tuple().exponent), 0)
    modulus = int(step.scaleb(digits))
    zero, start = (-1, -1), (-2, -1)
    numbers: dict[tuple[int, int], int] = {start: 0}
    order = [start]
    columns: list[CharSet] = [((code, code),) for code in b"0123456789"]
    columns += [((ord("."), ord(".")),), ((ord("-"), ord("-")),)]
    table = []
    for place, rest in order:
        row: list[tuple[int, int] | None] = []
        for digit in range(10):
            value = 10 * max(rest, 0) + digit
            if place < 0:
                row.append((-1, value % modulus))
            elif place < digits:
                row.append((place + 1, value % modulus))
            else:  # further digits must be zeros
                row.append((place, rest) if digit == 0 else None)
        row.append((0, rest) if place == -1 and rest >= 0 else None)
        row.append(zero if (place, rest) == start else None)
        for target in row:
            if target is not None and target not in numbers:
                numbers[target] = len(order)
                order.append(target)
        table.append(tuple(-1 if target is None else numbers[target] for target in row))
    accepting = [
        rest >= 0 and rest * 10 ** (digits - max(place, 0)) % modulus == 0 for place, rest in order
    ]
    return automaton.trimmed(columns, table, accepting)
