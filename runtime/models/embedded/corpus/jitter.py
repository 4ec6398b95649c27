"""Small random changes of wording, so that a model does not learn sentences by heart."""

# fmt: off
from __future__ import annotations

import re

from .scene import Fact, Scene
from .writer import Writer

_DROPPABLE = frozenset(
    [
        "the",
        "a",
        "an",
        "please",
        "our",
        "my",
        "your",
        "it",
        "is",
        "was",
        "are",
        "here",
        "this",
        "just",
    ]
)
_INSERTED = [
    "then",
    "also",
    "now",
    "really",
    "still",
    "again",
    "finally",
    "perhaps",
    "indeed",
    "soon",
    "already",
    "therefore",
    "however",
    "gladly",
    "usually",
    "exactly",
    "clearly",
    "simply",
    "only",
    "even",
    "kindly",
    "once",
    "maybe",
    "today",
    "always",
    "quickly",
    "directly",
]
_PHRASES = (
    "as agreed", "as you know", "of course", "by the way", "as always", "for our records",
        "in fact",
    "if I remember well", "after all", "for your information", "as far as we know", "so to speak",
)
# fmt: on
_PIECES = re.compile(r"( +)")


def _texts(fact: Fact) -> list[str]:
    values = fact.value if isinstance(fact.value, list) else [fact.value]
    texts = [str(value) for value in values if value is not None]
    return texts + [text for part in fact.parts for piece in part for text in _texts(piece)]


def jitter(w: Writer, scene: Scene) -> str:
    """The scene's text with words dropped and put in, except inside of its values."""
    values = sorted({t for f in scene.facts for t in _texts(f) if t}, key=len, reverse=True)
    if not values:
        return scene.text
    protected = re.compile("(" + "|".join(map(re.escape, values)) + ")")
    return "".join(
        piece if index % 2 else _change(w, piece)
        for index, piece in enumerate(protected.split(scene.text))
    )


def _change(w: Writer, text: str) -> str:
    pieces = _PIECES.split(text)
    changed: list[str] = []
    for index, piece in enumerate(pieces):
        inner = 0 < index < len(pieces) - 1
        if inner and piece in _DROPPABLE and w.chance(0.08):
            changed.pop()
            continue
        changed.append(piece)
        between_words = piece == " " and inner and pieces[index - 1].isalpha()
        if between_words and pieces[index + 1].islower() and w.chance(0.05):
            changed.append(f"{w.pick(_INSERTED)} " if w.chance(0.75) else f"({w.pick(_PHRASES)}) ")
    return "".join(changed)
