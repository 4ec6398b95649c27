"""Values of which each is spelled in one way, so that comparing texts compares values; asked for by
schema_arrays.py for items that must all differ, kept by schema.py while such items are written.

Strings, integers, constants and arrays are spelled once as it is. Numbers have no exponent and no
zeros at their end, and so few digits that no two are one in binary. Of objects the members have one
order, and at most one is not declared: two could change places, or be one member given twice. Where
values have several alternatives, all of them must agree on the order.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from . import charset
from . import json_text as text
from .expr import Chars, Expr, Ref, Repeat, alt, lit, optional, seq

_DIGITS = 7
_DIGIT, _NON_ZERO = Chars(charset.DIGIT), Chars(charset.of("123456789"))
_WHOLE = alt([lit("0"), seq(_NON_ZERO, Repeat(_DIGIT, 0, _DIGITS - 1))])
_FRACTION = seq(lit("."), Repeat(_DIGIT, 0, _DIGITS - 1), _NON_ZERO)
_NUMBER = alt([text.INTEGER, seq(optional(lit("-")), _WHOLE, _FRACTION)])
_ANY = "any value spelled once"


class NotSingleError(Exception):
    """Some value is spelled in several ways."""


class Single:
    """What is known of the items while they are written.

    narrowed: some values were left out, so that the others are spelled once.
    """

    def __init__(self) -> None:
        self.narrowed = False
        self._has_others = False
        self._has_choices = False
        self._orders: set[tuple[str, ...]] = set()

    @property
    def agrees(self) -> bool:
        """Whether alternatives cannot spell one value in two ways."""
        if not self._has_choices:
            return True
        before = {pair for order in self._orders for pair in combinations(order, 2)}
        return not self._has_others and not any((b, a) in before for a, b in before)

    def choices(self, count: int) -> None:
        """So many alternatives describe arrays, or objects, of one place."""
        self._has_choices = self._has_choices or count > 1

    def members(self, names: list[str], has_others: bool) -> None:
        """An object has these members, in this order, and maybe another one."""
        self._orders.add(tuple(names))
        self._has_others = self._has_others or has_others
        self.narrowed = self.narrowed or has_others

    def number(self) -> Expr:
        """Any number."""
        self.narrowed = True
        return _NUMBER

    def whole(self, kind: str, rules: dict[str, Expr]) -> Expr | None:
        """Any number, array or object; None of other kinds, which are spelled once as it is."""
        if kind == "number":
            return self.number()
        if kind not in ("array", "object"):
            return None
        self.narrowed = self._has_others = True
        array = text.separated(Ref(_ANY), 0, None, opening="[", closing="]")
        member = seq(text.ANY_STRING, lit(":"), Ref(_ANY))
        thing = text.separated(member, 0, 1, opening="{", closing="}")
        if _ANY not in rules:
            rules[_ANY] = alt([thing, array, text.ANY_STRING, _NUMBER, text.BOOLEAN, text.NULL])
        return array if kind == "array" else thing

    def constant(self, value: Any) -> None:
        """A value that stands as it is."""
        if isinstance(value, dict):
            self._orders.add(tuple(value))
            for inner in value.values():
                self.constant(inner)
        elif isinstance(value, list):
            for inner in value:
                self.constant(inner)
