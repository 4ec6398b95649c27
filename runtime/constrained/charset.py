"""Sets of characters as sorted ranges of code points; used by every grammar front end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

Range = tuple[int, int]
CharSet = tuple[Range, ...]

MAX_CODE_POINT = 0x10FFFF
# Every character that has a UTF-8 form: all code points but the surrogates.
ALL: CharSet = ((0, 0xD7FF), (0xE000, MAX_CODE_POINT))


def normalise(ranges: Iterable[Range]) -> CharSet:
    """Sorted, merged, without surrogates."""
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(_cut(merged, ALL))


def of(text: str) -> CharSet:
    """The characters of a string."""
    return normalise((ord(char), ord(char)) for char in text)


def union(*sets: CharSet) -> CharSet:
    return normalise(item for chars in sets for item in chars)


def negate(chars: CharSet) -> CharSet:
    """Every other character."""
    gaps: list[Range] = []
    start = 0
    for low, high in chars:
        if low > start:
            gaps.append((start, low - 1))
        start = high + 1
    if start <= MAX_CODE_POINT:
        gaps.append((start, MAX_CODE_POINT))
    return normalise(gaps)


def intersect(left: CharSet, right: CharSet) -> CharSet:
    return tuple(_cut(left, right))


def _cut(left: Iterable[Range], right: CharSet) -> Iterator[Range]:
    for low, high in left:
        for start, end in right:
            if start <= high and low <= end:
                yield max(low, start), min(high, end)


def contains(chars: CharSet, code_point: int) -> bool:
    return any(low <= code_point <= high for low, high in chars)


DIGIT: CharSet = of("0123456789")
WORD: CharSet = normalise([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
SPACE: CharSet = of(" \t\n\r\f\v")


@lru_cache(maxsize=1)
def unicode_classes() -> tuple[CharSet, CharSet, CharSet]:
    """What Python's re calls digits, word characters and white space (some 50 ms, once)."""
    import numpy as np  # the front process goes without

    found: list[list[Range]] = [[], [], []]
    for low, high in ALL:
        text = np.arange(low, high + 1, dtype="<u4").tobytes().decode("utf-32-le")
        for pattern, ranges in zip((r"\d+", r"\w+", r"\s+"), found, strict=True):
            runs = (match.span() for match in re.finditer(pattern, text))
            ranges += [(low + start, low + end - 1) for start, end in runs]
    digit, word, space = found
    # ECMAScript counts the byte order mark as white space, Python does not.
    return normalise(digit), normalise(word), normalise([*space, (0xFEFF, 0xFEFF)])


def utf8_sequences(chars: CharSet) -> Iterator[tuple[Range, ...]]:
    """The set as sequences of byte ranges (the construction of Rust's utf8-ranges)."""
    for low, high in chars:
        yield from _split(low, high)


def _split(low: int, high: int) -> Iterator[tuple[Range, ...]]:
    for limit in (0x7F, 0x7FF, 0xFFFF):
        if low <= limit < high:
            yield from _split(low, limit)
            yield from _split(limit + 1, high)
            return
    if high <= 0x7F:
        yield ((low, high),)
        return
    # Cut where a whole block of continuation bytes begins or ends, so that each byte is a range.
    for bits in (6, 12, 18):
        block = (1 << bits) - 1
        if low & ~block != high & ~block:
            if low & block:
                yield from _split(low, low | block)
                yield from _split((low | block) + 1, high)
                return
            if high & block != block:
                yield from _split(low, (high & ~block) - 1)
                yield from _split(high & ~block, high)
                return
    yield tuple(zip(chr(low).encode(), chr(high).encode(), strict=True))
