"""Judges an answer against the gold answer, in parts; called by the evaluation and by the demo."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar of a JSON value with its JSON pointer; an empty array counts as one field."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}/{key}")
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}/{index}")
    else:
        yield path, value


def score_record(record: Any, gold: Any) -> tuple[int, int]:
    """Fields right and fields in question: those of either side, so that a line item too many or
    too few counts as wrong."""
    given, wanted = dict(leaves(record)), dict(leaves(gold))
    right = sum(path in given and given[path] == value for path, value in wanted.items())
    return right, len(given.keys() | wanted.keys())


def score_calls(answer: str, gold: str) -> tuple[int, int]:
    """Tool calls right, name and arguments, and calls in question; without calls, the text."""
    wanted = [json.loads(text) for text in _CALL.findall(gold)]
    if not wanted:
        return int(answer == gold), 1
    try:
        given = [json.loads(text) for text in _CALL.findall(answer)]
    except ValueError:
        given = []
    right = sum(call == other for call, other in zip(wanted, given, strict=False))
    return right, max(len(wanted), len(given))
