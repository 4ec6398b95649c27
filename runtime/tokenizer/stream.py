"""Incremental detokenization; used by the front process for chunks and the engine for stops."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .tokenizer import Tokenizer

# 10 MB of short texts.
_MOST_KNOWN: Final = 131_072


class StreamDecoder:
    """Text of a growing sequence: the pieces joined are `Tokenizer.decode` of all ids.

    A piece never ends inside a UTF-8 character; the bytes of an unfinished one wait for the next
    push or for `finish`. Cost is linear in the number of bytes, whatever they are.
    """

    def __init__(self, tokenizer: Tokenizer, skip_special_tokens: bool = True) -> None:
        self._tokenizer = tokenizer
        self._skip = skip_special_tokens
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._whole_texts = tokenizer.whole_texts[skip_special_tokens]
        # Whether the ids so far end inside a character.
        self.waits = False

    def push(self, ids: Iterable[int]) -> str:
        """Text that became certain with these ids."""
        text = self._utf8.decode(self._tokenizer.bytes_of(ids, self._skip))
        self.waits = bool(self._utf8.getstate()[0])
        return text

    def push_one(self, token_id: int) -> str:
        """The same for one id. Most tokens are whole characters: what they say is known."""
        if self.waits:
            return self.push((token_id,))
        text = self._whole_texts.get(token_id)
        if text is None:
            text = self.push((token_id,))
            if not self.waits and len(self._whole_texts) < _MOST_KNOWN:
                self._whole_texts[token_id] = text
        return text

    def finish(self) -> str:
        """What is left: a replacement character for a character that never became whole."""
        return self._utf8.decode(b"", True)
