"""The grammar expressions that every front end (choices, regex, JSON schema) builds.

They are read twice: `ebnf.py` writes them for xgrammar, `walker.py` runs them byte by byte. A
language is a root expression and named rules; an Alt of nothing matches nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .charset import CharSet
from .schema_report import Entry


@dataclass(frozen=True, slots=True, eq=False)
class Lit:
    """Exactly this text, as UTF-8."""

    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Chars:
    """One character of the set."""

    chars: CharSet


@dataclass(frozen=True, slots=True, eq=False)
class Seq:
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Alt:
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """`item` from `low` to `high` times (None: any number).

    counted_outside: the repetition is followed by something that `item` cannot start with, so
    that the upper bound may be left out of the compiled grammar and kept by the walker alone.
    """

    item: Expr
    low: int
    high: int | None
    counted_outside: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Distinct:
    """From `low` (at least 1) to `high` items with `between` between them, no two spelled alike."""

    item: Expr
    between: Expr
    low: int
    high: int


@dataclass(frozen=True, slots=True, eq=False)
class Ref:
    """The rule of that name."""

    name: str


Expr = Lit | Chars | Seq | Alt | Repeat | Distinct | Ref

EMPTY = Lit(b"")
NEVER = Alt(())


@dataclass(frozen=True, slots=True)
class Language:
    """A root expression with the rules that it refers to. report: for a schema, what became of
    its keywords."""

    root: Expr
    rules: dict[str, Expr] = field(default_factory=dict)
    report: tuple[Entry, ...] = ()


def lit(text: str) -> Expr:
    return Lit(text.encode())


def seq(*items: Expr) -> Expr:
    """One after the other; neighbouring literals become one (they are tokenized together)."""
    flat: list[Expr] = []
    for item in items:
        for part in item.items if isinstance(item, Seq) else (item,):
            if isinstance(part, Alt) and not part.items:
                return NEVER
            last = flat[-1] if flat else None
            if isinstance(part, Lit) and isinstance(last, Lit):
                flat[-1] = Lit(last.data + part.data)
            elif part is not EMPTY:
                flat.append(part)
    if not flat:
        return EMPTY
    return flat[0] if len(flat) == 1 else Seq(tuple(flat))


def alt(items: Iterable[Expr]) -> Expr:
    """Any of them; equal literals are kept once."""
    flat: list[Expr] = []
    seen: set[bytes] = set()
    for item in items:
        for part in item.items if isinstance(item, Alt) else (item,):
            if isinstance(part, Lit):
                if part.data in seen:
                    continue
                seen.add(part.data)
            flat.append(part)
    return flat[0] if len(flat) == 1 else Alt(tuple(flat))


def optional(item: Expr) -> Expr:
    return Repeat(item, 0, 1)


def chars(charset: CharSet) -> Expr:
    """One character of the set; a single one is a literal."""
    if not charset:
        return NEVER
    first, last = charset[0][0], charset[-1][1]
    return lit(chr(first)) if first == last else Chars(charset)
