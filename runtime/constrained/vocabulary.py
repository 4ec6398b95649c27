"""The vocabulary as bytes: how few tokens spell a text, and its tokens in order; used by
walker.py, budget.py and the engine."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from copy import copy
from functools import cached_property

import numpy as np
import numpy.typing as npt

INFINITE = 1 << 30

# Bytes that are a character of their own and mean nothing in JSON or in most patterns.
PLAIN_BYTES = bytes(byte for byte in range(0x20, 0x7F) if chr(byte) not in '"\\')


class Vocabulary:
    """Bytes of each token, empty for tokens that a grammar never allows.

    lengths, plain, text: per token the number of its bytes, whether all of them are plain, and
    whether it is whole characters that are plain or beyond ASCII. order: the ids in the order of
    their bytes. max_length: of a token, in bytes.
    """

    token_bytes: list[bytes]
    max_length: int
    lengths: npt.NDArray[np.int32]
    order: npt.NDArray[np.int64]
    plain: npt.NDArray[np.bool_]
    text: npt.NDArray[np.bool_]

    def __init__(self, token_bytes: list[bytes]) -> None:
        self.token_bytes = tokens = token_bytes
        self.lengths = np.array(list(map(len, tokens)), dtype=np.int32)
        self.max_length = int(self.lengths.max(initial=0))
        order = sorted(range(len(tokens)), key=tokens.__getitem__)
        self.order = np.array(order, dtype=np.int64)
        self.plain = np.array(list(map(_is_plain, tokens)), dtype=np.bool_)
        self.text = np.array(list(map(_is_text, tokens)), dtype=np.bool_)

    def changed(self, changes: Mapping[int, bytes]) -> Vocabulary:
        """With other bytes for some tokens. It costs a copy of the arrays and work for these."""
        other = copy(self)
        other.__dict__.pop("_known", None)
        other.__dict__.pop("_sorted", None)
        other.__dict__.pop("_lengths", None)
        other.token_bytes = tokens = self.token_bytes.copy()
        other.lengths, other.plain = self.lengths.copy(), self.plain.copy()
        other.text = self.text.copy()
        for index, data in changes.items():
            tokens[index] = data
            other.lengths[index] = len(data)
            other.plain[index], other.text[index] = _is_plain(data), _is_text(data)
        other.max_length = int(other.lengths.max(initial=0))
        kept = self.order[~np.isin(self.order, list(changes))]

        def place(index: int) -> tuple[bytes, int]:
            return tokens[index], index

        moved = sorted(changes, key=place)
        places = [bisect_left(kept, place(index), key=place) for index in moved]
        other.order = np.insert(kept, places, moved)
        return other

    def prepare(self) -> None:
        """Load what tokens are looked up in where text is forced: a moment of a large vocabulary,
        which is not to come between two steps."""
        _ = self._known, self._sorted

    @cached_property
    def _known(self) -> frozenset[bytes]:
        return frozenset(filter(None, self.token_bytes))

    @cached_property
    def _lengths(self) -> dict[bytes, list[int]]:
        """How long the tokens are that begin with these two bytes, or are this one."""
        found: dict[bytes, set[int]] = {}
        for data in self._known:
            found.setdefault(data[:2], set()).add(len(data))
        return {beginning: sorted(lengths) for beginning, lengths in found.items()}

    @cached_property
    def _sorted(self) -> list[bytes]:
        return [data for data in map(self.token_bytes.__getitem__, self.order.tolist()) if data]

    def suffix_costs(self, data: bytes) -> list[int]:
        """For each position of `data`, the least tokens that spell the rest from there;
        INFINITE where none do."""
        known, lengths, nothing = self._known, self._lengths, list[int]()
        # Behind the end, where no token may reach.
        costs = [0] * (len(data) + 1) + [INFINITE] * self.max_length
        for start in range(len(data) - 1, -1, -1):
            best = INFINITE
            if costs[start + 1] < best and data[start : start + 1] in known:
                best = costs[start + 1] + 1
            for length in lengths.get(data[start : start + 2], nothing):
                cost = costs[start + length] + 1
                if cost < best and data[start : start + length] in known:
                    best = cost
            costs[start] = best
        return costs[: len(data) + 1]

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


def _is_plain(data: bytes) -> bool:
    return bool(data) and not data.translate(None, PLAIN_BYTES)


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
