"""The vocabulary as bytes: how few tokens spell a text, and its tokens in order; used by
walker.py, budget.py and the engine."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

INFINITE = 1 << 30

# Bytes that are a character of their own and mean nothing in JSON or in most patterns.
PLAIN_BYTES = bytes(byte for byte in range(0x20, 0x7F) if chr(byte) not in '"\\')


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Bytes of each token, empty for tokens that a grammar never allows.

    lengths, plain, text: per token the number of its bytes, whether all of them are plain, and
    whether it is whole characters that are plain or beyond ASCII. order: the ids in the order of
    their bytes.
    """

    token_bytes: list[bytes]
    max_length: int = field(init=False)
    lengths: npt.NDArray[np.int32] = field(init=False)
    order: npt.NDArray[np.int64] = field(init=False)
    plain: npt.NDArray[np.bool_] = field(init=False)
    text: npt.NDArray[np.bool_] = field(init=False)
    _known: frozenset[bytes] = field(init=False)
    _sorted: list[bytes] = field(init=False)

    def __post_init__(self) -> None:
        tokens = self.token_bytes
        order = sorted(range(len(tokens)), key=tokens.__getitem__)
        plain = [bool(data) and not data.translate(None, PLAIN_BYTES) for data in tokens]
        for name, value in (
            ("lengths", np.array([len(data) for data in tokens], dtype=np.int32)),
            ("order", np.array(order, dtype=np.int64)),
            ("plain", np.array(plain, dtype=np.bool_)),
            ("text", np.array(list(map(_is_text, tokens)), dtype=np.bool_)),
            ("_known", frozenset(data for data in tokens if data)),
            ("_sorted", [tokens[index] for index in order if tokens[index]]),
            ("max_length", max(map(len, tokens), default=0)),
        ):
            object.__setattr__(self, name, value)

    def suffix_costs(self, data: bytes) -> list[int]:
        """For each position of `data`, the least tokens that spell the rest from there;
        INFINITE where none do."""
        costs = [0] * (len(data) + 1)
        for start in range(len(data) - 1, -1, -1):
            best = INFINITE
            for end in range(start + 1, min(len(data), start + self.max_length) + 1):
                if costs[end] + 1 < best and data[start:end] in self._known:
                    best = costs[end] + 1
            costs[start] = best
        return costs

    def has_byte(self, byte: int) -> bool:
        return bytes([byte]) in self._known

    def starts(self, data: bytes) -> bool:
        """Whether some token begins with `data`."""
        place = bisect_left(self._sorted, data)
        return place < len(self._sorted) and self._sorted[place].startswith(data)

    def holds(self, data: bytes) -> bool:
        """Whether `data` is a token."""
        return data in self._known

    def longer(self, data: bytes) -> list[bytes]:
        """The tokens that begin with `data` and go on."""
        low = bisect_right(self._sorted, data)
        high = bisect_right(self._sorted, data + b"\xff" * self.max_length, low)
        return self._sorted[low:high]

    def bytes_of(self, token_id: int) -> bytes:
        """Empty for ids beyond the vocabulary too."""
        return self.token_bytes[token_id] if 0 <= token_id < len(self.token_bytes) else b""


def _is_text(data: bytes) -> bool:
    rest = data.translate(None, PLAIN_BYTES)
    # What is left must be beyond ASCII, and characters as they stand.
    if not data or (rest and min(rest) < 0x80):
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
