"""String schemas: pattern, format and length; used by schema.py."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..errors import RequestError
from . import json_text as text
from .expr import NEVER, Expr
from .formats import PATTERNS, WITHOUT_RULES
from .limits import GrammarLimits
from .regex import Pattern, parse, search
from .schema_check import integer_of, pointer_to, refuse

# pydantic writes Decimal's pattern with lookaheads; this is the same language without.
_REWRITTEN = {
    r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$": r"^[+-]?(?:\d+(?:\.\d*)?|\.\d+)$",
}


def string_expr(schema: dict[str, Any], pointer: str, limits: GrammarLimits) -> Expr:
    """The quoted strings that the schema's string keywords allow."""
    low = integer_of(schema, "minLength", pointer) or 0
    high = integer_of(schema, "maxLength", pointer)
    if high is not None and low > high:
        return NEVER
    if low > limits.max_min_repeat:
        refuse(
            pointer_to(pointer, "minLength"),
            f"at least {low} characters is over the limit of {limits.max_min_repeat}",
        )
    source, keyword = schema.get("pattern"), "pattern"
    kind = schema.get("format")
    if kind is not None and kind not in WITHOUT_RULES:
        if kind not in PATTERNS:
            refuse(
                pointer_to(pointer, "format"),
                f"unknown format {kind!r}; known: {', '.join(sorted(PATTERNS))}; or use a pattern",
            )
        if source is not None:
            refuse(
                pointer_to(pointer, "format"),
                "`format` and `pattern` together cannot be enforced; write one pattern for both",
            )
        source, keyword = f"^{PATTERNS[kind]}$" if "|" not in kind else PATTERNS[kind], "format"
    if source is None:
        return text.string(low, high)
    if not isinstance(source, str):
        refuse(pointer_to(pointer, "pattern"), "`pattern` must be a string")
    return text.quoted(pattern_expr(source, low, high, pointer_to(pointer, keyword), limits))


def pattern_expr(
    source: str, low: int, high: int | None, pointer: str, limits: GrammarLimits
) -> Expr:
    """The contents of strings in which the pattern is found, `low` to `high` characters long."""
    try:
        if low == 0 and high is None:
            return _unbounded(source, limits)
        parsed = _with_length(_parsed(source, limits), low, high, pointer)
        return search(parsed, text.write_chars, text.ANY_CHARS, limits)
    except RequestError as error:
        refuse(pointer, error.message)


@lru_cache(maxsize=256)
def _unbounded(source: str, limits: GrammarLimits) -> Expr:
    """Kept, because dates and the like come up in many places of a schema and of many schemas:
    one expression for all of them is also compiled once."""
    return search(_parsed(source, limits), text.write_chars, text.ANY_CHARS, limits)


def _parsed(source: str, limits: GrammarLimits) -> Pattern:
    return parse(_REWRITTEN.get(source, source), limits)


def _with_length(parsed: Pattern, low: int, high: int | None, pointer: str) -> Pattern:
    """The pattern narrowed to a length: where it implies the length already, or is one repeated
    set of characters whose counts can be narrowed."""
    least, most = parsed.width()
    if least >= low and (high is None or (parsed.anchored and most <= high)):
        return parsed
    if parsed.anchored and len(parsed.branches) == 1 and len(parsed.branches[0][2]) == 1:
        (code, value) = parsed.branches[0][2][0]
        if str(code) == "MAX_REPEAT" and len(value[2]) == 1:
            inner = str(value[2][0][0])
            if inner in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
                bounds = (max(value[0], low), value[1] if high is None else min(value[1], high))
                if bounds[0] > bounds[1]:
                    refuse(pointer, "no string has both this pattern and this length")
                return Pattern(((True, True, ((code, (*bounds, value[2])),)),), parsed.flags)
    return refuse(
        pointer,
        "a pattern together with minLength or maxLength can be enforced only where the pattern "
        "implies the length, or is one repeated set such as ^[a-z]+$; put the length into the "
        "pattern, e.g. ^[a-z]{1,20}$",
    )
