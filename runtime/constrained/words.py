"""Many texts as alternatives, told apart byte by byte; made by nodes.py, walked by walker.py.

Ten thousand constants as ten thousand places would be looked at one by one with every byte. Sorted,
those that go on alike are a range, and a byte makes it a smaller one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .nodes import Node

Ints = npt.NDArray[np.int64]


class Words:
    """Texts in the order of their bytes, each once, none empty.

    data: all of them behind each other; starts: int64 [texts + 1], where each begins. costs: of
    each text, for every position and its end, the least tokens that spell the rest.
    """

    def __init__(self, data: bytes, starts: Ints, costs: Ints) -> None:
        self.data = data
        self.starts = starts
        self.costs = costs
        self.nodes: dict[tuple[int, int, int], Node] = {}

    @classmethod
    def of(cls, texts: dict[bytes, list[int]]) -> Words:
        """texts: with their costs."""
        ordered = sorted(texts)
        starts = np.array([0, *accumulate(map(len, ordered))], dtype=np.int64)
        costs = np.array([cost for text in ordered for cost in texts[text]], dtype=np.int64)
        return cls(b"".join(ordered), starts, costs)

    @property
    def count(self) -> int:
        return len(self.starts) - 1

    def text(self, index: int) -> bytes:
        return self.data[self.starts[index] : self.starts[index + 1]]

    def costs_of(self, index: int) -> list[int]:
        first = int(self.starts[index]) + index
        costs: list[int] = self.costs[first : int(self.starts[index + 1]) + index + 1].tolist()
        return costs

    def least_cost(self, depth: int, low: int, high: int) -> int:
        """Of the texts `low` to `high` (without), from position `depth` on."""
        places = self.starts[low:high] + np.arange(low, high) + depth
        return int(self.costs[places].min())

    def after(self, depth: int, low: int, high: int, byte: int) -> tuple[int, int, bool]:
        """The range of those that have a byte at `depth` and go on behind it, and whether one ends
        there."""

        def byte_of(index: int) -> int:
            return self.data[int(self.starts[index]) + depth]

        places = range(high)
        first = bisect_left(places, byte, low, high, key=byte_of)
        last = bisect_right(places, byte, first, high, key=byte_of)
        ends = first < last and int(self.starts[first + 1] - self.starts[first]) == depth + 1
        return first + ends, last, ends

    def has(self, depth: int, low: int, high: int, byte: int) -> bool:
        """Whether one of them has a byte at `depth`."""
        first, last, ends = self.after(depth, low, high, byte)
        return ends or first < last

    def next_byte(self, depth: int, low: int, high: int) -> int:
        """The byte that all of them have at `depth`; -1 where they differ."""
        first = self.data[int(self.starts[low]) + depth]
        return first if first == self.data[int(self.starts[high - 1]) + depth] else -1
