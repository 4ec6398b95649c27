"""The writer: one seeded source of wordings and randomness that every generator here takes.

A list of wordings is split by a hash of each text: about 15 % are *held out*, never used in
training, and are the only ones used when the writer is made with `heldout=True`. A wording never
becomes held out because others are added to its list.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TypeVar

T = TypeVar("T")
HELDOUT_SHARE = 0.15
MIN_WORDINGS_TO_SPLIT = 6
_ALTERNATION = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")


@cache
def split_wordings(wordings: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (training, held-out) wordings, disjoint; short lists are not split and serve both."""
    distinct = tuple(dict.fromkeys(wordings))
    if len(distinct) < MIN_WORDINGS_TO_SPLIT:
        return distinct, distinct
    hashes = {text: zlib.crc32(text.encode()) for text in distinct if text}
    bound = max(HELDOUT_SHARE * 2**32, min(hashes.values()))
    heldout = {text for text, of_text in hashes.items() if of_text <= bound}
    # Saying nothing is no wording: both sides may.
    return (
        tuple(text for text in distinct if text not in heldout),
        tuple(text for text in distinct if text in heldout or not text),
    )


def capital(text: str) -> str:
    """The text with its first letter raised."""
    return text[:1].upper() + text[1:]


def reads_like(text: str, wordings: Iterable[str]) -> bool:
    """Whether the text is one of the wordings but for case and the marks at its end."""
    bare = text.lower().rstrip(".?!")
    return any(bare == wording.lower().rstrip(".?!") for wording in wordings)


class Writer:
    """Random choices of one sample; `heldout` decides which half of the wordings may be said."""

    def __init__(self, seed: int | str, heldout: bool = False) -> None:
        self.rng = random.Random(f"{'heldout' if heldout else 'train'}:{seed}")
        self.heldout = heldout

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.rng.random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, from both halves: for values, keys and layouts."""
        return self.rng.choice(options)

    def some(self, options: Sequence[T], low: int, high: int) -> list[T]:
        """Between low and high distinct options in random order."""
        count = min(len(options), self.rng.randint(low, high))
        return self.rng.sample(list(options), count)

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """The options in random order."""
        return self.rng.sample(list(options), len(options))

    def say(self, wordings: tuple[str, ...], **values: object) -> str:
        """One wording of the writer's half, `[a|b]` alternations and `{value}` slots filled."""
        return self.template(wordings).format(**values)

    def template(self, wordings: tuple[str, ...]) -> str:
        """One wording of the writer's half with its `{value}` slots still open."""
        training, heldout = split_wordings(wordings)
        template = self.rng.choice(heldout if self.heldout else training)
        while _ALTERNATION.search(template):
            template = _ALTERNATION.sub(self._alternative, template)
        return template

    def _alternative(self, match: re.Match[str]) -> str:
        chosen: str = self.rng.choice(match.group(1).split("|"))
        return chosen
