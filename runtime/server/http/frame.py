"""An event of which nothing changes but a text. Used by completions.py and chat_answer.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

_encode: Final = msgspec.json.Encoder().encode
# Nothing else in an event is this text: no argument, path or HTTP header can hold it.
_MARK: Final = "\0"


class TextFrame:
    """What stands before and behind the text, encoded once: encoding the whole event for each token
    takes three times as long.

    event: encodes it whole.
    """

    __slots__ = ("_after", "_before")

    def __init__(self, event: Callable[[str], bytes]) -> None:
        self._before, _, self._after = event(_MARK).partition(_encode(_MARK))

    def around(self, text: str) -> bytes:
        """The event with this text."""
        return self._before + _encode(text) + self._after
