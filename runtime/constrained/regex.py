"""Python regular expressions as grammar expressions; used for Regex specs and JSON patterns.

`re`'s own parser reads the pattern, so the syntax is exactly Python's. `\\d`, `\\w` and `\\s` stand
for the characters on which Python and ECMAScript agree, in either sense: the ASCII ones where
they allow, everything outside Unicode's where they exclude.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import RequestError
from . import charset
from .charset import CharSet
from .expr import EMPTY, Chars, Expr, Repeat, alt, chars, seq
from .limits import GrammarLimits

# The parser has no public name; it has been stable since Python 2 (`sre_parse`).
_parser = importlib.import_module("re._parser")
_constants = importlib.import_module("re._constants")

_REFUSED = {
    "ASSERT": "lookahead and lookbehind",
    "ASSERT_NOT": "negative lookahead and lookbehind",
    "GROUPREF": "backreferences",
    "GROUPREF_EXISTS": "conditional groups",
    "ATOMIC_GROUP": "atomic groups",
    "POSSESSIVE_REPEAT": "possessive repetition",
}
_BEGINNING = {"AT_BEGINNING", "AT_BEGINNING_STRING"}
_END = {"AT_END", "AT_END_STRING"}
_MAX_NESTED_COUNT = 4_096
# Letters with more than two case variants (Python's re, IGNORECASE): s and long s, k and kelvin.
_EXTRA_CASE = {"s": "ſ", "k": "\u212a", "i": "İı"}
_ANYTHING = Repeat(Chars(charset.ALL), 0, None)

Item = tuple[Any, Any]
CharWriter = Callable[[CharSet], Expr]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern: top-level alternatives with what anchors each of them."""

    branches: tuple[tuple[bool, bool, tuple[Item, ...]], ...]
    flags: int

    def width(self) -> tuple[int, int]:
        """Least and most characters that the alternatives themselves match."""
        state = _parser.State()
        widths = [
            _parser.SubPattern(state, list(items)).getwidth() for _, _, items in self.branches
        ]
        return min(low for low, _ in widths), max(high for _, high in widths)

    @property
    def anchored(self) -> bool:
        """Whether every alternative is anchored at both ends."""
        return all(left and right for left, right, _ in self.branches)


def parse(pattern: str, limits: GrammarLimits) -> Pattern:
    """Parse, or raise RequestError("grammar") naming what is wrong."""
    if _nesting(pattern) > limits.max_depth:
        raise RequestError("grammar", f"the pattern nests deeper than {limits.max_depth} groups")
    try:
        parsed = _parser.parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise RequestError("grammar", f"invalid regular expression: {error}") from None
    branches = tuple(_anchored(list(parsed)))
    return Pattern(branches, parsed.state.flags)


def fullmatch(pattern: str, limits: GrammarLimits) -> Expr:
    """The strings for which `re.fullmatch` succeeds."""
    parsed = parse(pattern, limits)
    convert = _Converter(chars, parsed.flags, limits)
    return alt(convert.sequence(list(items)) for _, _, items in parsed.branches)


def search(parsed: Pattern, write: CharWriter, anything: Expr, limits: GrammarLimits) -> Expr:
    """The strings in which the pattern is found (JSON Schema's meaning of `pattern`).

    write: spells a set of characters; anything: any string. Both in the target's own spelling.
    """
    convert = _Converter(write, parsed.flags, limits)
    return alt(
        seq(
            EMPTY if left else anything,
            convert.sequence(list(items)),
            EMPTY if right else anything,
        )
        for left, right, items in parsed.branches
    )


Branch = tuple[bool, bool, tuple[Item, ...]]


def lookaheads(branch: Branch) -> tuple[list[tuple[bool, tuple[Branch, ...]]], Branch]:
    """Take the lookaheads off the beginning of an alternative that is anchored there: they are
    conditions on the whole text. Each with whether it must be found, as alternatives."""
    left, right, items = branch
    found: list[tuple[bool, tuple[Branch, ...]]] = []
    while left and items and str(items[0][0]) in ("ASSERT", "ASSERT_NOT") and items[0][1][0] == 1:
        inner = [(True, end, rest) for _, end, rest in _anchored(list(items[0][1][1]))]
        found.append((str(items[0][0]) == "ASSERT", tuple(inner)))
        items = items[1:]
        while items and _is_anchor(items[0], _BEGINNING):
            items = items[1:]
    return found, (left, right, items)


def _nesting(pattern: str) -> int:
    depth = deepest = 0
    in_class = escaped = False
    for char in pattern:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
        elif char == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif char == ")":
            depth -= 1
    return deepest


def _is_anchor(item: Item, names: set[str]) -> bool:
    return str(item[0]) == "AT" and str(item[1]) in names


def _has_anchor(item: Item) -> bool:
    code, value = str(item[0]), item[1]
    if code == "AT":
        return True
    if code == "SUBPATTERN":
        return any(map(_has_anchor, value[3]))
    if code == "BRANCH":
        return any(_has_anchor(inner) for branch in value[1] for inner in branch)
    return False


def _alternatives(item: Item) -> list[list[Item]] | None:
    """The branches of a group that can be taken apart without changing its meaning."""
    code, value = str(item[0]), item[1]
    if code == "BRANCH":
        return [list(branch) for branch in value[1]]
    if code == "SUBPATTERN" and not value[1] and not value[2]:
        return [list(value[3])]
    return None


def _anchored(items: list[Item]) -> Iterator[tuple[bool, bool, tuple[Item, ...]]]:
    """Alternatives with their anchors taken off the edges; groups at an edge that hold anchors
    are distributed over what stands beside them."""
    pending = [(False, False, items)]
    produced = 0
    while pending:
        left, right, rest = pending.pop(0)
        while rest and _is_anchor(rest[0], _BEGINNING):
            left, rest = True, rest[1:]
        while rest and _is_anchor(rest[-1], _END):
            right, rest = True, rest[:-1]
        edges = [index for index in (0, len(rest) - 1) if rest and _has_anchor(rest[index])]
        for index in edges:
            branches = _alternatives(rest[index])
            if branches is not None:
                pending = [
                    (left, right, [*rest[:index], *branch, *rest[index + 1 :]])
                    for branch in branches
                ] + pending
                break
        else:
            produced += 1
            yield left, right, tuple(rest)
        if produced + len(pending) > 1_000:
            raise RequestError("grammar", "the pattern's anchors make over 1,000 alternatives")


class _Converter:
    """Walks the parser's items; one per pattern."""

    def __init__(self, write: CharWriter, flags: int, limits: GrammarLimits) -> None:
        self._write = write
        self._flags = flags
        self._limits = limits
        self._nodes = 0
        self._count = 1

    def sequence(self, items: list[Item]) -> Expr:
        return seq(*[self._item(str(code), value) for code, value in items])

    def _item(self, code: str, value: Any) -> Expr:
        self._nodes += 1
        if self._nodes > self._limits.max_nodes:
            raise RequestError("grammar", f"the pattern has over {self._limits.max_nodes} parts")
        if code in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            return self._write(self._set(code, value))
        if code == "BRANCH":
            return alt(self.sequence(list(branch)) for branch in value[1])
        if code == "SUBPATTERN":
            return self._group(*value[1:])
        if code in ("MAX_REPEAT", "MIN_REPEAT"):
            return self._repeat(*value)
        if code == "AT":
            name = str(value)
            if name in _BEGINNING | _END:
                what = "^ or $ that is not at an edge of the pattern"
            else:
                what = r"\b and \B"
        else:
            what = _REFUSED.get(code, code.lower())
        raise RequestError(
            "grammar", f"{what} cannot be enforced while generating; rewrite the pattern without"
        )

    def _group(self, add: int, remove: int, inner: Any) -> Expr:
        before = self._flags
        self._flags = (before | add) & ~remove
        expr = self.sequence(list(inner))
        self._flags = before
        return expr

    def _repeat(self, low: int, high: Any, inner: Any) -> Expr:
        most = None if high is _constants.MAXREPEAT else int(high)
        if low > self._limits.max_min_repeat:
            raise RequestError(
                "grammar",
                f"a repetition of at least {low} is over the limit of "
                f"{self._limits.max_min_repeat}",
            )
        before = self._count
        self._count *= max(1, low if most is None else most)
        item = self.sequence(list(inner))
        if self._count > _MAX_NESTED_COUNT and self._count != (low if most is None else most):
            raise RequestError(
                "grammar",
                f"nested repetitions of up to {self._count} times are over the limit of "
                f"{_MAX_NESTED_COUNT}; use an unbounded repetition",
            )
        self._count = before
        return EMPTY if most == 0 else Repeat(item, low, most)

    def _set(self, code: str, value: Any) -> CharSet:
        if code == "ANY":
            dot_all = self._flags & re.DOTALL
            return charset.ALL if dot_all else charset.negate(charset.of("\n"))
        if code in ("LITERAL", "NOT_LITERAL"):
            negated = code == "NOT_LITERAL"
            result = self._cased(((value, value),), negated)
        else:
            negated = bool(value) and str(value[0][0]) == "NEGATE"
            members = [
                self._member(str(kind), item, negated) for kind, item in value[int(negated) :]
            ]
            result = self._cased(charset.union(*members), negated)
        return charset.negate(result) if negated else charset.normalise(result)

    def _member(self, kind: str, item: Any, negated: bool) -> CharSet:
        if kind == "LITERAL":
            return ((item, item),)
        if kind == "RANGE":
            return (tuple(item),)
        return _category(str(item), widest=negated)

    def _cased(self, chars: CharSet, negated: bool) -> CharSet:
        """Add the other case. A set that excludes gets every variant there is."""
        if not self._flags & re.IGNORECASE:
            return chars
        added: list[tuple[int, int]] = list(chars)
        for low, high in chars:
            for code in range(low, min(high, low + 0x3000) + 1):
                char = chr(code)
                for other in (char.lower(), char.upper()):
                    if len(other) == 1:
                        added.append((ord(other), ord(other)))
                if negated:
                    extra = _EXTRA_CASE.get(char.lower(), "")
                    added += [(ord(other), ord(other)) for other in extra]
        return charset.union(tuple(added))


def _category(name: str, *, widest: bool) -> CharSet:
    """The characters of `\\d` and its like: the fewest that every engine agrees on, or with
    `widest` all that some engine takes."""
    negative = "_NOT_" in name
    kind = name.rsplit("_", 1)[-1]
    index = ("DIGIT", "WORD", "SPACE").index(kind)
    if widest != negative:
        chars = charset.unicode_classes()[index]
    else:
        chars = (charset.DIGIT, charset.WORD, charset.SPACE)[index]
    return charset.negate(chars) if negative else chars
