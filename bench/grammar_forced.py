"""How many tokens of a value could be forced at most; called by bench.grammar_costs, beside how
many ours forces.

A token is nobody's to force where another valid text has the same tokens before it and another one
in its place, both spelled as the tokenizer spells them whole: who forces there makes one of the two
impossible. Such texts are looked for by way of other tokens that the grammar allows at the place,
each completed in the fewest tokens and tokenized from the beginning. Where none is found, the token
counts as one that could be forced. So the share is a bound from above, for every engine whose
output is what the tokenizer makes of the text.
"""

from __future__ import annotations

import numpy as np

from branchline.runtime.constrained.base import Grammar, Matcher
from branchline.runtime.tokenizer import Tokenizer

# Other tokens that are tried at a place, spread over those that are allowed.
_MOST_TRIED = 16


def num_forceable(tokenizer: Tokenizer, grammar: Grammar, ids: list[int]) -> int:
    """How many of a value's tokens might be forced."""
    search = _Search(tokenizer)
    matcher = grammar.matcher()
    count = 0
    for place, token in enumerate(ids):
        may_end = matcher.is_accepting  # another text is complete here
        count += not may_end and not search.has_other(matcher, ids[:place], token)
        matcher.accept(token)
    return count


class _Search:
    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._row = np.empty(-(-tokenizer.vocab_size // 32), np.int32)

    def has_other(self, matcher: Matcher, before: list[int], token: int) -> bool:
        """Whether some valid text has the tokens `before` first and then another one."""
        others = self._allowed(matcher, None)
        others = others[others != token]
        if len(others) > _MOST_TRIED:
            others = others[np.linspace(0, len(others) - 1, _MOST_TRIED).astype(np.int64)]
        for other in others.tolist():
            text = self._tokenizer.bytes_of([*before, other, *self._rest(matcher, other)])
            try:
                whole = self._tokenizer.encode_text(text.decode())
            except UnicodeDecodeError:
                continue
            if whole[: len(before)] == before and whole[len(before) :][:1] not in ([], [token]):
                return True
        return False

    def _rest(self, matcher: Matcher, token: int) -> list[int]:
        """The fewest tokens that complete the text after one more."""
        there = matcher.fork()
        there.accept(token)
        rest: list[int] = []
        while not there.is_accepting:
            rest.append(int(self._allowed(there, there.min_tokens_to_accept)[0]))
            there.accept(rest[-1])
        return rest

    def _allowed(self, matcher: Matcher, remaining: int | None) -> np.ndarray:
        matcher.fill_mask(self._row, remaining)
        bits = np.unpackbits(self._row.view(np.uint8), bitorder="little")
        bits[list(self._tokenizer.eos_ids)] = 0
        return np.flatnonzero(bits)
