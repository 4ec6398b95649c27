"""JSON text as grammar expressions: strings with their escapes, and values of any shape.

Every value has one spelling: no white space, characters as themselves, the short escapes where
JSON has them and `\\u00xx` for the other control characters. So lengths can be counted, constants
compared, and the model has no choice to make that does not matter. Used by schema.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from . import charset
from .charset import CharSet
from .expr import EMPTY, Chars, Expr, Ref, Repeat, alt, chars, lit, optional, seq

_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED: CharSet = charset.union(((0, 0x1F),), charset.of('"\\'))
_PLAIN: CharSet = charset.negate(_ESCAPED)

# A JSON number that every reader keeps finite and exact enough; see docs/decisions.md.
MAX_DIGITS = 18
_DIGIT = Chars(charset.DIGIT)
_NON_ZERO = Chars(charset.of("123456789"))


@lru_cache(maxsize=4_096)
def write_chars(chosen: CharSet) -> Expr:
    """One character of the set as it stands inside a JSON string; the same sets recur at every
    place of every key, and one expression for all of them is also compiled once."""
    plain = charset.intersect(chosen, _PLAIN)
    special = charset.intersect(chosen, _ESCAPED)
    escapes = [
        lit(_SHORT.get(chr(code), f"\\u{code:04x}"))
        for low, high in special
        for code in range(low, high + 1)
    ]
    if not escapes and plain and plain[0][0] == plain[-1][1]:
        return lit(chr(plain[0][0]))
    # A set that takes all control characters is written with shared prefixes: 34 literals at
    # each position of a string would be most of the grammar.
    if special == _ESCAPED:
        return alt([Chars(plain), *_ANY_ESCAPE])
    return alt([*([Chars(plain)] if plain else []), *escapes])


# Alternatives side by side: nested in each other they make xgrammar's masks 100 times slower.
_ANY_ESCAPE = (
    seq(lit("\\"), chars(charset.of('"\\bfnrt'))),
    # 08, 09, 0a, 0c and 0d have short forms.
    seq(lit("\\u000"), chars(charset.of("01234567bef"))),
    seq(lit("\\u001"), chars(charset.of("0123456789abcdef"))),
)
ANY_CHAR = write_chars(charset.ALL)
ANY_CHARS = Repeat(ANY_CHAR, 0, None)
ANY_STRING = seq(lit('"'), ANY_CHARS, lit('"'))


def string(low: int, high: int | None) -> Expr:
    """A string of `low` to `high` code points."""
    return seq(lit('"'), Repeat(ANY_CHAR, low, high, counted_outside=True), lit('"'))


def quoted(content: Expr) -> Expr:
    return seq(lit('"'), content, lit('"'))


def constant(value: Any) -> Expr:
    """Exactly this value."""
    return lit(dumps(value))


def dumps(value: Any) -> str:
    """The one spelling of a value; a number without a fraction has no point."""
    return json.dumps(_whole(value), ensure_ascii=False, separators=(",", ":"))


def _whole(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 10**MAX_DIGITS else value
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value


def key(name: str) -> Expr:
    """`"name":`"""
    return lit(dumps(name) + ":")


def string_except(names: Iterable[str]) -> Expr:
    """A quoted string that is none of `names`."""
    tree: dict[str, Any] = {}
    for name in names:
        node = tree
        for char in name:
            node = node.setdefault(char, {})
        node[""] = {}
    return seq(lit('"'), _tail_except(tree), lit('"'))


def _tail_except(tree: dict[str, Any]) -> Expr:
    children = {char: node for char, node in tree.items() if char}
    options: list[Expr] = [_other_than("".join(sorted(children)))]
    if "" not in tree:
        options.append(EMPTY)
    for char, node in children.items():
        options.append(seq(write_chars(charset.of(char)), _tail_except(node)))
    return alt(options)


@lru_cache(maxsize=4_096)
def _other_than(first: str) -> Expr:
    """Any text that begins with none of these characters."""
    return seq(write_chars(charset.negate(charset.of(first))), ANY_CHARS)


def separated(item: Expr, low: int, high: int | None, *, opening: str, closing: str) -> Expr:
    """`low` to `high` items between brackets, with commas."""
    if high == 0:
        return lit(opening + closing)
    rest = Repeat(
        seq(lit(","), item),
        max(low - 1, 0),
        None if high is None else high - 1,
        counted_outside=True,
    )
    filled = seq(lit(opening), item, rest, lit(closing))
    return filled if low else alt([lit(opening + closing), filled])


INTEGER = alt([lit("0"), seq(optional(lit("-")), _NON_ZERO, Repeat(_DIGIT, 0, MAX_DIGITS - 1))])
NUMBER = seq(
    optional(lit("-")),
    alt([lit("0"), seq(_NON_ZERO, Repeat(_DIGIT, 0, MAX_DIGITS - 1))]),
    optional(seq(lit("."), Repeat(_DIGIT, 1, MAX_DIGITS))),
    optional(seq(Chars(charset.of("eE")), optional(Chars(charset.of("+-"))), Repeat(_DIGIT, 1, 2))),
)
BOOLEAN = alt([lit("true"), lit("false")])
NULL = lit("null")

ANY_VALUE = Ref("any value")
ANY_OBJECT = separated(seq(ANY_STRING, lit(":"), ANY_VALUE), 0, None, opening="{", closing="}")
ANY_ARRAY = separated(ANY_VALUE, 0, None, opening="[", closing="]")
ANY_VALUE_RULES: dict[str, Expr] = {
    "any value": alt([ANY_OBJECT, ANY_ARRAY, ANY_STRING, NUMBER, BOOLEAN, NULL])
}
