"""Ranges as patterns, against numbers and dates that are compared as such."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from branchline.lang.ranges import date_pattern, decimal_pattern

NUMBERS = st.decimals(-3_000, 3_000, places=2) | st.integers(-20, 20).map(Decimal)
NAMES = ("ge", "gt", "le", "lt")
WITHIN = {"ge": Decimal.__ge__, "gt": Decimal.__gt__, "le": Decimal.__le__, "lt": Decimal.__lt__}


@given(
    st.dictionaries(st.sampled_from(NAMES), NUMBERS),
    st.integers(0, 3),
    st.integers(3, 5) | st.none(),
    st.lists(NUMBERS, max_size=20),
)
def test_a_pattern_matches_the_numbers_within_the_bounds(bounds, places, max_digits, numbers):
    pattern = decimal_pattern({name: [x] for name, x in bounds.items()}, [places], max_digits)
    near = [bound + step for bound in bounds.values() for step in (Decimal("0.01"), 0, -1)]
    for number in numbers + near:
        text = f"{number:.{places}f}"
        number = Decimal(text)
        wanted = all(WITHIN[name](number, bound) for name, bound in bounds.items())
        if max_digits is not None:
            wanted = wanted and abs(number.scaleb(places)) < 10**max_digits
        if number or not text.startswith("-"):
            assert wanted == (pattern is not None and re.search(pattern, text) is not None)


@given(st.dates(), st.dates(), st.lists(st.dates(), max_size=20))
def test_a_pattern_matches_the_dates_from_first_to_last(one, other, dates):
    first, last = sorted((one, other))
    pattern = date_pattern(first, last)
    day = datetime.timedelta(1)
    for date in [*dates, first, last, *([first - day] if first > datetime.date.min else [])]:
        assert (first <= date <= last) == (re.search(pattern, date.isoformat()) is not None)
