"""The prompt of a branch while it grows: ids that stay, and the text behind them that is tokenized
together with whatever follows. Used by instance.py; a Speller is shared by many instances."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from ..protocol import Part, Text, Tokens
from ..tokenizer import Tokenizer

# Longer stretches go to the service as text, which tokenizes them beside its loop.
MAX_CHARS: Final = 8_192


class Speller:
    """Tokenizes stretches of text. The texts that a program's instances share come again and
    again: those are spelled once."""

    def __init__(self, tokenizer: Tokenizer, max_stretches: int = 1_024) -> None:
        self._tokenizer = tokenizer
        self._max_stretches = max_stretches
        self._known: OrderedDict[tuple[bool, tuple[Text, ...]], list[int]] = OrderedDict()

    def spell(self, stretch: list[Text], *, at_start: bool) -> list[int]:
        """The ids of neighbouring texts: `Tokenizer.encode` of them at the start of a prompt, or
        behind tokens. May raise RequestError."""
        # A Tokens part in front says that this is no start.
        before: list[Part] = [] if at_start else [Tokens([])]
        key = at_start, tuple(stretch)
        ids = self._known.get(key)
        if ids is None:
            ids = self._known[key] = self._tokenizer.encode([*before, *stretch])
            if len(self._known) > self._max_stretches:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return ids


class Prompt:
    """What a branch has so far. `fresh`: something was appended that no call has computed yet."""

    def __init__(self, speller: Speller) -> None:
        self.fresh = False
        self._speller = speller
        # What stays as it is: tokens, and texts too long to be spelled here.
        self._closed: list[Part] = []
        self._open: list[Text] = []
        self._added: list[Part] = []
        # What `tokens` has found, until more is appended.
        self._spelled: list[Part] | None = None

    def branch(self) -> Prompt:
        """A copy that grows on its own; `added()` of it tells what it adds from here on."""
        copy = Prompt(self._speller)
        copy.fresh, copy._closed, copy._open = self.fresh, list(self._closed), list(self._open)
        return copy

    def append(self, part: Part) -> None:
        if isinstance(part, Tokens):
            if not part.ids:
                return
            self._closed, self._open = _joined([*self.tokens(), part]), []
        else:
            if not part.text:
                return
            self._open.append(part)
            self.fresh = True
        self._added.append(part)
        self._spelled = None

    def extend(self, parts: Iterable[Part]) -> None:
        for part in parts:
            self.append(part)

    def added(self) -> list[Part]:
        """What was appended since this prompt branched off."""
        return list(self._added)

    def parts(self) -> list[Part]:
        """The prompt with its last text still open, for choices that go on with it."""
        return [*self._closed, *self._open]

    def tokens(self) -> list[Part]:
        """The prompt as ids, but for texts so long that they are better tokenized elsewhere."""
        if self._spelled is None:
            self._spelled = self.parts()
            if self._open and sum(len(part.text) for part in self._open) <= MAX_CHARS:
                ids = self._speller.spell(self._open, at_start=not self._closed)
                self._spelled = _joined([*self._closed, Tokens(ids)])
        return self._spelled


def _joined(parts: list[Part]) -> list[Part]:
    """The same with neighbouring tokens in one part."""
    last = parts[-2:]
    if len(last) == 2 and isinstance(last[0], Tokens) and isinstance(last[1], Tokens):
        return [*parts[:-2], Tokens(last[0].ids + last[1].ids)]
    return parts
