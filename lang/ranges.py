"""Ranges of numbers and dates as patterns of their digits. Called by pydantic_schema.py.

A number with so many places is a whole number of its smallest unit, and a date is one of eight
digits. A range of them is cut into rectangles: 7 to 25 is `[7-9]`, `1\\d`, `2[0-5]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from itertools import groupby
from typing import Final

# How many places a number in bounds has at most where nothing else says so.
MAX_PLACES: Final = 8

# What a digit may be, from and to.
_Digit = tuple[int, int]
_EXACT: Final = Context(prec=1_000)


def decimal_pattern(
    bounds: Mapping[str, Sequence[Decimal]], places: Iterable[int], max_digits: int | None
) -> str | None:
    """The texts of the numbers within all bounds ("ge", "gt", "le", "lt"), with as many places as
    one of `places` says (none above `max_digits`) and at most `max_digits` digits. None where there
    are none."""
    written = []
    for count in places:
        low = [_units(x, count, ROUND_CEILING) for x in bounds.get("ge", ())]
        low += [_units(x, count, ROUND_FLOOR) + 1 for x in bounds.get("gt", ())]
        high = [_units(x, count, ROUND_FLOOR) for x in bounds.get("le", ())]
        high += [_units(x, count, ROUND_CEILING) - 1 for x in bounds.get("lt", ())]
        if max_digits is not None:
            low.append(1 - 10**max_digits)
            high.append(10**max_digits - 1)
        least, most = max(low, default=None), min(high, default=None)
        positive = list(_between(max(least or 0, 0), most, count))
        negative: list[str] = []
        if least is None or least < 0:
            negative += _between(max(-(most or 0), 0), None if least is None else -least, count)
        if positive and positive == negative:
            written.append(f"-?(?:{'|'.join(positive)})")
        else:
            written += [*positive, *(f"-{one}" for one in negative)]
    return f"^(?:{'|'.join(written)})$" if written else None


def date_pattern(first: date, last: date) -> str:
    """The texts of the dates from first to a later last; days that no month has are among them."""
    texts = (
        "-".join(map(_classes, (digits[:4], digits[4:6], digits[6:])))
        for digits in _rectangles(f"{first:%Y%m%d}".zfill(8), f"{last:%Y%m%d}".zfill(8))
    )
    return f"^(?:{'|'.join(texts)})$"


def _units(value: Decimal, places: int, rounding: str) -> int:
    return int(value.scaleb(places, _EXACT).to_integral_value(rounding))


def _between(low: int, high: int | None, places: int) -> Iterator[str]:
    """The whole numbers from low on, written with a point before their last `places` digits."""
    if high is not None and low > high:
        return
    shortest = places + 1
    low_text = str(low).zfill(shortest)
    longest = None if high is None else len(str(high).zfill(shortest))
    if longest == len(low_text):
        for digits in _rectangles(low_text, str(high).zfill(shortest)):
            yield _written(digits, places)
        return
    for digits in _rectangles(low_text, "9" * len(low_text)):
        yield _written(digits, places)
    fraction = _written(((0, 9),) * shortest, places).removeprefix(r"\d")
    # Longer ones by a digit or more; the longest of all end at the bound.
    more, most = len(low_text) - places, "" if longest is None else longest - places - 2
    if most == "" or int(most) >= more:
        yield rf"[1-9]\d{{{more},{most}}}{fraction}"
    if longest is not None:
        for digits in _rectangles("1" + "0" * (longest - 1), str(high)):
            yield _written(digits, places)


def _rectangles(low: str, high: str) -> Iterator[tuple[_Digit, ...]]:
    """The texts of digits from low to high, both of one length."""
    if not low:
        yield ()
        return
    first, last, rest = int(low[0]), int(high[0]), len(low) - 1
    if first == last:
        yield from (((first, first), *digits) for digits in _rectangles(low[1:], high[1:]))
        return
    if low[1:].strip("0"):
        yield from (((first, first), *digits) for digits in _rectangles(low[1:], "9" * rest))
        first += 1
    cut = high[1:].strip("9") != ""
    if first <= last - cut:
        yield ((first, last - cut), *((0, 9),) * rest)
    if cut:
        yield from (((last, last), *digits) for digits in _rectangles("0" * rest, high[1:]))


def _written(digits: tuple[_Digit, ...], places: int) -> str:
    point = len(digits) - places
    fraction = rf"\.{_classes(digits[point:])}" if places else ""
    return _classes(digits[:point]) + fraction


def _classes(digits: tuple[_Digit, ...]) -> str:
    texts = []
    for (low, high), run in groupby(digits):
        count = len(list(run))
        one = r"\d" if (low, high) == (0, 9) else f"{low}" if low == high else f"[{low}-{high}]"
        texts.append(one if count == 1 else f"{one}{{{count}}}")
    return "".join(texts)
