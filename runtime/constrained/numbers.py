"""Numbers within bounds as grammar expressions; used by schema.py.

Bounded numbers are written without exponent. Their fractions are cut so short that reading them
as binary floating point cannot round them onto an exclusive bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from . import charset
from .expr import EMPTY, NEVER, Chars, Expr, Repeat, alt, lit, seq
from .json_text import MAX_DIGITS

_DIGITS = "0123456789"
_DOUBLE_DIGITS = 15


@dataclass(frozen=True, slots=True)
class Bound:
    """An end of a range."""

    value: Decimal
    exclusive: bool = False


def _digit(low: int, high: int) -> Expr:
    return Chars(charset.of(_DIGITS[low : high + 1])) if low <= high else NEVER


def _any_digits(low: int, high: int) -> Expr:
    return Repeat(_digit(0, 9), low, high) if high else EMPTY


def integers(low: int | None, high: int | None) -> Expr:
    """The integers from `low` to `high`, both included."""
    far = 10 ** max([MAX_DIGITS, *(len(str(abs(b))) + 1 for b in (low, high) if b is not None)]) - 1
    low = -far if low is None else low
    high = far if high is None else high
    options = []
    if low < 0 and low <= high:
        options.append(seq(lit("-"), _naturals(max(1, -high), -low)))
    if high >= 0 and low <= high:
        options.append(_naturals(max(0, low), high))
    return alt(options)


def _naturals(low: int, high: int) -> Expr:
    options = []
    for length in range(len(str(low)), len(str(high)) + 1):
        least = max(low, 10 ** (length - 1) if length > 1 else 0)
        most = min(high, 10**length - 1)
        if least <= most:
            options.append(_same_length(str(least), str(most)))
    return alt(options)


def _same_length(low: str, high: str) -> Expr:
    """Digit strings of one length from `low` to `high`."""
    if low == high:
        return lit(low)
    rest = len(low) - 1
    if low[0] == high[0]:
        return seq(lit(low[0]), _same_length(low[1:], high[1:]))
    first, last = int(low[0]), int(high[0])
    options = []
    if low[1:] != "0" * rest:
        options.append(seq(lit(low[0]), _same_length(low[1:], "9" * rest)))
        first += 1
    if high[1:] != "9" * rest:
        options.append(seq(lit(high[0]), _same_length("0" * rest, high[1:])))
        last -= 1
    if first <= last:
        options.append(seq(_digit(first, last), _any_digits(rest, rest)))
    return alt(options)


def decimals(low: Bound | None, high: Bound | None) -> Expr:
    """The decimal numbers within the bounds; without any, use json_text.NUMBER."""
    zero = Bound(Decimal(0))
    options = []
    if low is None or low.value < 0:
        # Below zero, mirrored; minus zero is left out.
        near = Bound(-high.value, high.exclusive) if high is not None and high.value <= 0 else None
        if near is None or near.value == 0:
            near = Bound(Decimal(0), True)
        far = Bound(-low.value, low.exclusive) if low is not None else None
        options.append(seq(lit("-"), _positive(near, far)))
    if high is None or high.value >= 0:
        start = low if low is not None and low.value >= 0 else zero
        options.append(_positive(start, high))
    return alt(options)


def _positive(low: Bound, high: Bound | None) -> Expr:
    whole_low, digits_low = _split(low.value)
    if high is None:
        size = max(MAX_DIGITS, len(str(whole_low)) + 1)
        high = Bound(Decimal(10) ** size, exclusive=True)
        places = _places(digits_low, "", whole_low)
    else:
        places = _places(digits_low, _split(high.value)[1], int(high.value))
    whole_high, digits_high = _split(high.value)
    if low.value > high.value:
        return NEVER
    if whole_low == whole_high:
        tail = _Fractions(digits_low, digits_high, low.exclusive, high.exclusive, places)
        return seq(lit(str(whole_low)), tail.expr(True, True))
    options = [
        seq(
            lit(str(whole_low)),
            _Fractions(digits_low, "", low.exclusive, False, places).expr(True, False),
        ),
        seq(
            lit(str(whole_high)),
            _Fractions("", digits_high, False, high.exclusive, places).expr(False, True),
        ),
    ]
    if whole_low + 1 < whole_high:
        free = _Fractions("", "", False, False, places).expr(False, False)
        options.append(seq(_naturals(whole_low + 1, whole_high - 1), free))
    return alt(options)


def _split(value: Decimal) -> tuple[int, str]:
    """Whole part and the digits after the point, without trailing zeros."""
    whole, _, digits = f"{value:f}".partition(".")
    return int(whole), digits.rstrip("0")


def _places(low: str, high: str, whole: int) -> int:
    """How many digits after the point are allowed."""
    return max(len(low), len(high), _DOUBLE_DIGITS - len(str(whole)), 1)


@dataclass(frozen=True, slots=True)
class _Fractions:
    """What may follow the whole part: nothing, or a point and digits, between two bounds."""

    low: str
    high: str
    low_exclusive: bool
    high_exclusive: bool
    places: int

    def expr(self, on_low: bool, on_high: bool) -> Expr:
        """on_low, on_high: whether the whole part equals that bound's."""
        options: list[Expr] = [EMPTY] if self._may_end(0, on_low, on_high) else []
        options.append(seq(lit("."), self._digits(0, on_low, on_high)))
        return alt(options)

    def _may_end(self, index: int, on_low: bool, on_high: bool) -> bool:
        if on_low and (self.low[index:] or self.low_exclusive):
            return False
        return not (on_high and self.high_exclusive and not self.high[index:])

    def _digits(self, index: int, on_low: bool, on_high: bool) -> Expr:
        """The digits from `index` on: at least one."""
        if index >= self.places:
            return NEVER
        if not on_low and not on_high:
            return _any_digits(1, self.places - index)
        low = int(self.low[index : index + 1] or "0") if on_low else 0
        high = int(self.high[index : index + 1] or "0") if on_high else 9
        options: list[Expr] = []
        first, last = low, high
        for digit, stays_low, stays_high in self._edges(low, high, on_low, on_high):
            options.append(seq(lit(str(digit)), self._tail(index + 1, stays_low, stays_high)))
            first = max(first, digit + 1) if stays_low else first
            last = min(last, digit - 1) if stays_high else last
        if first <= last:
            options.append(seq(_digit(first, last), self._tail(index + 1, False, False)))
        return alt(options)

    @staticmethod
    def _edges(low: int, high: int, on_low: bool, on_high: bool) -> list[tuple[int, bool, bool]]:
        if on_low and on_high and low == high:
            return [(low, True, True)]
        edges = []
        if low <= high:
            if on_low:
                edges.append((low, True, False))
            if on_high:
                edges.append((high, False, True))
        return edges

    def _tail(self, index: int, on_low: bool, on_high: bool) -> Expr:
        options: list[Expr] = [EMPTY] if self._may_end(index, on_low, on_high) else []
        more = self._digits(index, on_low, on_high)
        return alt([*options, more])
