"""How JSON is laid out: separators, indentation, white space that the model may choose. Used by
schema.py, whose languages are of compact JSON until they come through here.

Compact JSON says by itself which commas, colons and brackets are structure, so a layout is a
transducer that reads it byte by byte. Applied to an expression it gives the expression of the
laid-out texts. What it does depends on where it is (`_Spot`), so a rule is written once for each
place in which it is used; brackets are balanced within every rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..errors import RequestError
from . import charset
from .expr import (
    EMPTY,
    NEVER,
    Alt,
    Chars,
    Distinct,
    Expr,
    Language,
    Lit,
    Ref,
    Repeat,
    Seq,
    alt,
    lit,
    seq,
)
from .left_recursion import nullable_rules
from .limits import GrammarLimits

MAX_INDENTED = 8
"""What nests deeper is indented like this level, so that a layout of values that nest without end
has an end."""

_SPACE = Chars(charset.of(" \n\t"))
_QUOTE, _BACKSLASH, _COMMA, _COLON = b'"\\,:'
_OPENING, _CLOSING = b"{[", b"}]"


@dataclass(frozen=True)
class Layout:
    """separators: as `json.dumps` takes them; None is (",", ":"), and (",", ": ") with `indent`.
    indent: spaces per level, each member and item on a line of its own; None is one line.
    max_whitespace: instead of both, so many characters of white space may stand behind an opening
    bracket, a comma or a colon, and before a closing bracket.
    """

    separators: tuple[str, str] | None = None
    indent: int | None = None
    max_whitespace: int = 0

    def __post_init__(self) -> None:
        if self.max_whitespace and (self.separators is not None or self.indent is not None):
            raise RequestError(
                "grammar",
                "max_whitespace leaves white space to the model; give it without separators and "
                "indent",
                pointer="/constraint/max_whitespace",
            )

    @property
    def is_compact(self) -> bool:
        return self.separators in (None, (",", ":")) and not self._has_gaps

    @property
    def _has_gaps(self) -> bool:
        return self.indent is not None or self.max_whitespace > 0

    def laid_out(self, language: Language, limits: GrammarLimits) -> Language:
        """The language with every text in this layout. Raises RequestError("grammar") where it
        becomes too large."""
        if self.is_compact:
            return language
        writer = _Writer(self, language, limits)
        return Language(writer.root, writer.rules, language.report)

    def gap(self, depth: int) -> Expr:
        """What stands between brackets and what they hold, and behind commas."""
        if self.max_whitespace:
            return self._free
        if self.indent is None:
            return EMPTY
        return lit("\n" + " " * self.indent * min(depth, MAX_INDENTED))

    @cached_property
    def comma(self) -> str:
        return "," if self.separators is None else self.separators[0]

    @cached_property
    def colon(self) -> Expr:
        if self.max_whitespace:
            return seq(lit(":"), self._free)
        if self.separators is not None:
            return lit(self.separators[1])
        return lit(":" if self.indent is None else ": ")

    @cached_property
    def _free(self) -> Expr:
        return Repeat(_SPACE, 0, self.max_whitespace)


class _Spot(NamedTuple):
    """Between two bytes of compact JSON. opened: behind an opening bracket, whose gap depends on
    whether the closing one follows. depth: of brackets, where the layout depends on it."""

    where: str = "outside"  # or "string", or "escape" behind a backslash
    depth: int = 0
    opened: bool = False


class _Writer:
    """Lays out one language."""

    def __init__(self, layout: Layout, language: Language, limits: GrammarLimits) -> None:
        self._layout = layout
        self._source = language.rules
        self._limits = limits
        self._done: dict[tuple[int, _Spot], dict[_Spot, Expr]] = {}
        self._empty = nullable_rules(language.rules)
        self.rules: dict[str, Expr] = {}
        found = self._lay(language.root, _Spot())
        self.root = alt(found.values())

    def _lay(self, expr: Expr, spot: _Spot) -> dict[_Spot, Expr]:
        """Where an expression leads from a spot, with the laid-out texts that lead there."""
        key = (id(expr), spot)
        if key not in self._done:
            if len(self._done) >= self._limits.max_nodes:
                raise RequestError(
                    "grammar",
                    f"in this layout the schema expands to over {self._limits.max_nodes} parts; "
                    "leave out indent",
                    pointer="/constraint",
                )
            self._done[key] = self._found(expr, spot)
        return self._done[key]

    def _found(self, expr: Expr, spot: _Spot) -> dict[_Spot, Expr]:
        match expr:
            case Lit(data):
                return self._literal(expr, data, spot)
            case Chars():
                if spot.where == "escape":
                    return {spot._replace(where="string"): expr}
                # Outside of strings these are the characters of numbers.
                return {spot._replace(opened=False): self._behind(spot, expr)}
            case Seq(items):
                return self._sequence(expr, items, spot)
            case Alt(items):
                found: dict[_Spot, list[Expr]] = {}
                for item in items:
                    for after, text in self._lay(item, spot).items():
                        found.setdefault(after, []).append(text)
                return {
                    after: expr if _same(texts, items) else alt(texts)
                    for after, texts in found.items()
                }
            case Repeat(item, low, high, counted_outside):
                return self._repeat(expr, item, low, high, counted_outside, spot)
            case Distinct(item, between, low, high):
                after = spot._replace(opened=False)
                # Spelled alike wherever they stand: the gap behind a bracket is no part of them.
                parts = [self._lay(part, after).get(after, NEVER) for part in (item, between)]
                return {after: self._behind(spot, Distinct(parts[0], parts[1], low, high))}
            case Ref(name):
                return self._reference(name, spot)

    def _literal(self, expr: Expr, data: bytes, spot: _Spot) -> dict[_Spot, Expr]:
        pieces: list[Expr] = []
        for byte in data:
            piece, spot = self._byte(byte, spot)
            pieces.append(piece)
        text = seq(*pieces)
        return {spot: expr if isinstance(text, Lit) and text.data == data else text}

    def _byte(self, byte: int, spot: _Spot) -> tuple[Expr, _Spot]:
        one = Lit(bytes([byte]))
        if spot.where == "escape":
            return one, spot._replace(where="string")
        if spot.where == "string":
            where = {_QUOTE: "outside", _BACKSLASH: "escape"}.get(byte, "string")
            return one, spot._replace(where=where)
        layout, depth = self._layout, spot.depth
        if byte == _COLON:
            return layout.colon, spot
        if byte == _COMMA:
            return seq(lit(layout.comma), layout.gap(depth)), spot
        step = layout.indent is not None
        if byte in _CLOSING:
            after = spot._replace(depth=depth - step, opened=False)
            return (one if spot.opened else seq(layout.gap(depth - 1), one)), after
        text = self._behind(spot, one)
        if byte in _OPENING:
            return text, spot._replace(depth=depth + step, opened=layout._has_gaps)
        where = "string" if byte == _QUOTE else "outside"
        return text, spot._replace(where=where, opened=False)

    def _behind(self, spot: _Spot, text: Expr) -> Expr:
        return seq(self._layout.gap(spot.depth), text) if spot.opened else text

    def _sequence(self, expr: Expr, items: tuple[Expr, ...], spot: _Spot) -> dict[_Spot, Expr]:
        ways: dict[_Spot, list[list[Expr]]] = {spot: [[]]}
        for item in items:
            following: dict[_Spot, list[list[Expr]]] = {}
            for before, texts in ways.items():
                for after, text in self._lay(item, before).items():
                    # What leads to one spot goes on as one expression, or it would double.
                    head = texts[0] if len(texts) == 1 else [alt(seq(*one) for one in texts)]
                    following.setdefault(after, []).append([*head, text])
            ways = following
        return {
            after: expr
            if len(texts) == 1 and _same(texts[0], items)
            else alt(seq(*one) for one in texts)
            for after, texts in ways.items()
        }

    def _repeat(
        self, expr: Expr, item: Expr, low: int, high: int | None, counted: bool, spot: _Spot
    ) -> dict[_Spot, Expr]:
        first = self._lay(item, spot)
        if not spot.opened:
            text = first.get(spot, NEVER)
            return {spot: expr if text is item else Repeat(text, low, high, counted)}
        found: dict[_Spot, Expr] = {spot: EMPTY} if low == 0 or spot in first else {}
        after = spot._replace(opened=False)
        if after in first:
            rest = self._lay(item, after)[after]
            most = None if high is None else high - 1
            more = Repeat(rest, max(low - 1, 0), most, counted) if most != 0 else EMPTY
            found[after] = seq(first[after], more)
        return found

    def _reference(self, name: str, spot: _Spot) -> dict[_Spot, Expr]:
        level = min(spot.depth, MAX_INDENTED + 1) if spot.where == "outside" else 0
        inner = spot._replace(depth=level)
        laid = f"{name} laid out {inner.where} {level}{' opened' if spot.opened else ''}"
        if laid not in self.rules:
            self.rules[laid] = NEVER  # what a circle meets
            body = self._lay(self._source[name], inner)
            self.rules[laid] = body.get(inner._replace(opened=False), NEVER)
        found: dict[_Spot, Expr] = {spot._replace(opened=False): Ref(laid)}
        if spot.opened and name in self._empty:
            found[spot] = EMPTY
        return found


def _same(texts: list[Expr], items: tuple[Expr, ...]) -> bool:
    return len(texts) == len(items) and all(a is b for a, b in zip(texts, items, strict=True))
