"""Incremental detokenization; used by the front process for chunks and the engine for stops."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tokenizer import Tokenizer


class StreamDecoder:
    """Text of a growing sequence: the pieces joined are `Tokenizer.decode` of all ids.

    A piece never ends inside a UTF-8 character; the bytes of an unfinished one wait for the next
    push or for `finish`. Cost is linear in the number of bytes, whatever they are.
    """

    def __init__(self, tokenizer: Tokenizer, skip_special_tokens: bool = True) -> None:
        self._tokenizer = tokenizer
        self._skip = skip_special_tokens
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, ids: Iterable[int]) -> str:
        """Text that became certain with these ids."""
        return self._utf8.decode(self._tokenizer.bytes_of(ids, self._skip))

    @property
    def waits(self) -> bool:
        """Whether the ids so far end inside a character."""
        return bool(self._utf8.getstate()[0])

    def finish(self) -> str:
        """What is left: a replacement character for a character that never became whole."""
        return self._utf8.decode(b"", True)
