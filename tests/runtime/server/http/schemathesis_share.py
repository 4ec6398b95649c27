"""Keeps one of so many cases that schemathesis makes, and the first of every route. Loaded by
schemathesis itself, for test_schemathesis.py, which says how many in the environment."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any, Final

import schemathesis

ONE_OF: Final = int(os.environ["BRANCHLINE_TESTS_ONE_OF"])
_numbers: Counter[str] = Counter()


@schemathesis.hook  # type: ignore[untyped-decorator]
def filter_case(context: Any, case: Any) -> bool:
    number = _numbers[case.operation.label]
    _numbers[case.operation.label] += 1
    return number % ONE_OF == 0
