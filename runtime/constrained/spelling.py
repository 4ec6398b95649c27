"""From bytes that must follow to the tokens that the tokenizer would give the whole text; used by
the matcher.

Forced bytes tokenized by themselves would not be the tokens that the same text has elsewhere: they
join what stands before them, and what comes behind may join them. So the end of the text is
tokenized again together with them, and their last token stays open.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import accumulate

from .base import NOTHING_FORCED, Forced
from .vocabulary import Vocabulary
from .walker import State, Walker

REJOINED_TOKENS = 8
"""So much of the text is tokenized again."""
_MAX_KEPT = 512


class Speller:
    """Spells what a grammar forces. Shared by its matchers, which meet the same places again."""

    def __init__(
        self, walker: Walker, vocabulary: Vocabulary, encode_text: Callable[[str], list[int]]
    ) -> None:
        self._walker = walker
        self._bytes_of = vocabulary.bytes_of
        self._encode = encode_text
        # With the state, whose id would be given to another one once it is gone.
        self._kept: OrderedDict[tuple[int, tuple[int, ...], int], tuple[State, Forced]] = (
            OrderedDict()
        )

    def forced(self, state: State, tail: tuple[int, ...], respell: int) -> Forced:
        """What must follow in `state`, to which the tokens `tail` led last; the last `respell` of
        them may be replaced."""
        data = self._walker.forced(state)
        if not data:
            return NOTHING_FORCED
        key = (id(state), tail, respell)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = (state, self._spell(state, data, list(tail), respell))
            if len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)
        return kept[1]

    def affordable(self, forced: Forced, state: State, budget: int) -> Forced:
        """As many of the tokens, from `state` on, as leave enough of `budget` tokens to finish."""
        here: State | None = state
        for count, token_id in enumerate(forced.token_ids, start=1):
            here = self._walker.walk(here, self._bytes_of(token_id))
            if here is None or here.cost > budget - count:
                # Cut short, a new spelling might not reach the end of what it replaces.
                return (
                    NOTHING_FORCED
                    if forced.num_respelled
                    else Forced(forced.token_ids[: count - 1])
                )
        return forced

    def _spell(self, state: State, data: bytes, tail: list[int], respell: int) -> Forced:
        # What is tokenized again begins with a whole character.
        while tail and b"\x80" <= self._bytes_of(tail[0])[:1] < b"\xc0":
            del tail[0]
        ends = [0, *accumulate(len(self._bytes_of(token_id)) for token_id in tail)]
        before = b"".join(map(self._bytes_of, tail))
        text = _whole_characters(before + data)
        if len(text) <= len(before):
            return NOTHING_FORCED
        ids = self._encode(text.decode())
        if b"".join(map(self._bytes_of, ids)) != text:
            return NOTHING_FORCED  # a tokenizer that changes what it spells
        bounds = [0, *accumulate(len(self._bytes_of(token_id)) for token_id in ids)]
        for num_respelled in range(min(respell, len(tail)) + 1):
            # Where a token begins in both spellings, the tokens from there on are the text's own.
            joint = ends[len(tail) - num_respelled]
            if joint in bounds:
                break
        else:
            return NOTHING_FORCED
        ids = ids[bounds.index(joint) :]
        end = self._walker.walk(state, text[len(before) :])
        complete = end is not None and end.accepting and not end.frames
        likely = None if complete else ids.pop()
        # What is taken must be text by itself, whatever the tokens are.
        while ids and not _is_text(b"".join(map(self._bytes_of, ids))):
            likely = ids.pop()
            complete = False
        if sum(len(self._bytes_of(token_id)) for token_id in ids) <= ends[-1] - joint:
            return Forced([], likely=likely if joint == ends[-1] else None)
        return Forced(ids, num_respelled, likely, complete)


def _whole_characters(data: bytes) -> bytes:
    """Without the character that is not complete at the end; nothing where it is no text."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if error.end < len(data) or error.reason != "unexpected end of data":
            return b""
        return data[: error.start]
    return data


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
