"""From bytes that must follow to the tokens that the tokenizer would give the whole text; used by
the matcher.

Forced bytes tokenized by themselves would not be the tokens that the same text has elsewhere: they
join what stands before them, and what comes behind may join them. So the end of the text is
tokenized again together with them, and only the tokens before a settled place are taken: one that
no token of the vocabulary can reach across, whatever follows. There a text falls into parts that
are tokenized independently, by merging as well as by likelihood.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from itertools import accumulate
from typing import Generic, Protocol, TypeVar

from .base import NOTHING_FORCED, Forced
from .vocabulary import Vocabulary

REJOINED_TOKENS = 8
"""So much of the text is tokenized again."""
_MAX_KEPT = 512
_KEPT_BYTES = 640
_END_BYTES = 320
# Tokens that are tried at a place, at about 1 us each; more are taken to reach on.
_MAX_TRIED = 256


State = TypeVar("State", bound=Hashable)


class Walks(Protocol[State]):
    """What a text is followed along: a walker, or a machine."""

    def walk(self, state: State, data: bytes, /) -> State | None: ...
    def forced(self, state: State, /) -> bytes: ...
    def cost(self, state: State, /) -> int: ...
    def ends(self, state: State, /) -> bool: ...


class Speller(Generic[State]):
    """Spells what a grammar forces. Shared by its matchers, which meet the same places again."""

    def __init__(
        self,
        walks: Walks[State],
        vocabulary: Vocabulary,
        encode_text: Callable[[str], list[int]],
    ) -> None:
        self.walks = walks
        self._vocabulary = vocabulary
        self._bytes_of = vocabulary.bytes_of
        self._encode = encode_text
        self._kept: OrderedDict[tuple[State, tuple[int, ...], int], Forced] = OrderedDict()
        self._settled_ends: OrderedDict[tuple[State, bytes], bool] = OrderedDict()

    @property
    def num_bytes(self) -> int:
        """What is kept, by what it takes on average."""
        return _KEPT_BYTES * len(self._kept) + _END_BYTES * len(self._settled_ends)

    def forced(
        self, states: Sequence[State], tokens: list[int], remaining: int | None, respell: int
    ) -> Forced:
        """What must follow behind `tokens`, as of `Matcher.forced`. states: at the start and after
        each token."""
        data = self.walks.forced(states[-1])
        if not data:
            return NOTHING_FORCED
        tail = tuple(tokens[-REJOINED_TOKENS:])
        key = (states[-1], tail, min(respell, len(tail)))
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = self._spell(states[-1], data, list(tail), key[2])
            if len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)
        if remaining is None or not found.token_ids:
            return found
        start = states[-1 - found.num_respelled]
        return self._affordable(found, start, remaining + found.num_respelled)

    def _affordable(self, forced: Forced, state: State, budget: int) -> Forced:
        """As many of the tokens, from `state` on, as leave enough of `budget` tokens to finish."""
        here: State | None = state
        for count, token_id in enumerate(forced.token_ids, start=1):
            here = self.walks.walk(here, self._bytes_of(token_id)) if here is not None else None
            if here is None or self.walks.cost(here) > budget - count:
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
        first, stop = bounds.index(joint), len(ids)
        while bounds[stop] > ends[-1]:
            place = bounds[stop]
            # What is taken must be text by itself, whatever the tokens are.
            if _is_text(text[joint:place]) and self._settled(state, text, len(before), place):
                end = self.walks.walk(state, text[len(before) : place])
                complete = end is not None and self.walks.ends(end)
                likely = ids[stop] if stop < len(ids) else None
                return Forced(ids[first:stop], num_respelled, likely, complete)
            stop -= 1
        return Forced([], likely=ids[first] if joint == ends[-1] else None)

    def _settled(self, state: State, text: bytes, start: int, place: int) -> bool:
        """Whether no token can reach across a place in a text of which `text[start:]` is what must
        follow in `state`."""
        starts, holds = self._vocabulary.starts, self._vocabulary.holds
        if place == len(text):
            end = self.walks.walk(state, text[start:])
            return end is not None and self._settled_end(end, text)
        most = self._vocabulary.max_length
        for begin in range(max(0, place - most + 1), place):
            if not starts(text[begin : place + 1]):
                continue
            ends = range(place + 1, min(len(text), begin + most) + 1)
            if starts(text[begin:]) or any(holds(text[begin:end]) for end in ends):
                return False
        return True

    def _settled_end(self, state: State, text: bytes) -> bool:
        """Whether no token can begin within `text` and reach into what may follow in `state`."""
        longer = self._vocabulary.longer
        begins = range(max(0, len(text) - self._vocabulary.max_length + 1), len(text))
        suffix = next((text[begin:] for begin in begins if longer(text[begin:])), b"")
        key = (state, suffix)
        settled = self._settled_ends.get(key)
        if settled is None:
            settled = self._settled_ends[key] = self._ends_tokens(suffix, state)
            if len(self._settled_ends) > _MAX_KEPT:
                self._settled_ends.popitem(last=False)
        return settled

    def _ends_tokens(self, suffix: bytes, state: State) -> bool:
        """Whether no token that begins within `suffix` may go on as the text does in `state`."""
        left = _MAX_TRIED
        for begin in range(len(suffix)):
            tokens = self._vocabulary.longer(suffix[begin:])
            left -= len(tokens)
            if left < 0:
                return False
            reach = len(suffix) - begin
            if any(self.walks.walk(state, token[reach:]) is not None for token in tokens):
                return False
        return True


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
