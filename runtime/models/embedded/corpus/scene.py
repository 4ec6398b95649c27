"""A scene: a document together with the facts it states, from which every task over it is made."""

from __future__ import annotations

from dataclasses import dataclass, field

from .schema import Value
from .writer import Writer


@dataclass(frozen=True)
class Fact:
    """One thing a document states. `value` None: the document does not state it.

    keys: field names a schema may use for it; asks: questions it answers; options: for an enum,
    the label sets (each holds the value); parts: for items, the facts of each line, alike in shape.
    """

    keys: tuple[str, ...]
    kind: str
    value: Value
    asks: tuple[str, ...] = ()
    options: tuple[tuple[str, ...], ...] = ()
    parts: tuple[tuple[Fact, ...], ...] = ()


@dataclass
class Scene:
    """A document and its facts, in natural order; `facts` may hold absent ones (value None)."""

    domain: str
    text: str
    facts: list[Fact] = field(default_factory=list)


def join_sentences(w: Writer, sentences: list[str]) -> str:
    """Sentences as one to three paragraphs."""
    breaks = w.pick(("", "", "\n\n", "\n"))
    text = ""
    for index, sentence in enumerate(sentences):
        if index:
            text += breaks if breaks and w.chance(0.3) else " "
        text += sentence
    return text


def labelled(w: Writer, rows: list[tuple[str, str]]) -> str:
    """Rows of `label: value`, in one of several layouts."""
    gap, upper = w.pick((": ", ": ", ": ", " - ", ":\t", " = ")), w.chance(0.1)
    bullet = w.pick(("", "", "", "- ", "* "))
    join = w.pick(("\n", "\n", "\n", "\n", " | ", "; ")) if not bullet else "\n"
    return join.join(
        f"{bullet}{label.upper() if upper else label}{gap}{value}" for label, value in rows
    )
