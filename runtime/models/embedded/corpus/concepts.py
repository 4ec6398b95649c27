"""What describes a domain of documents: its concepts with their keys, wordings and questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from re import split

from .schema import Value
from .writer import Writer


@dataclass(frozen=True)
class Concept:
    """One thing that a domain's documents may state, and how."""

    keys: tuple[str, ...]
    kind: str
    make: Callable[[Writer], Value]
    clauses: tuple[str, ...]
    asks: tuple[str, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Domain:
    """A kind of document: how it may open, what it may state, what else it may say."""

    name: str
    openings: tuple[str, ...]
    concepts: tuple[Concept, ...]


@cache
def expanded(wordings: tuple[str, ...]) -> tuple[str, ...]:
    """The wordings with every choice of their `[a|b]` alternations."""
    return tuple(
        "".join(parts)
        for text in wordings
        for parts in product(
            *(
                part.split("|") if number % 2 else [part]
                for number, part in enumerate(split(r"\[([^\[\]]*\|[^\[\]]*)\]", text))
            )
        )
    )


def whole(low: int, high: int) -> Callable[[Writer], Value]:
    """Makes a whole number between two others."""
    return lambda w: w.rng.randint(low, high)


def one_of(*options: str) -> Callable[[Writer], Value]:
    """Makes one of the options."""
    return lambda w: w.pick(options)


def some_of(*options: str) -> Callable[[Writer], Value]:
    """Makes a list of one to four of the options."""
    return lambda w: list(w.some(options, 1, 4))
