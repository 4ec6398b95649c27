"""The nodes of a language as arrays, as the machine in src/ reads them; made in the worker process
(shaping.py), read in place by the engine's (machine_masks.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .nodes import Node

_KINDS: Final = {"bytes": 0, "set": 1, "seq": 2, "alt": 3, "repeat": 4, "words": 5, "distinct": 6}


@dataclass(frozen=True, slots=True)
class MachineTables:
    """Of node 0, the root, and all that it leads to. The fields are those of `Nodes` in
    src/machine.h, in their order."""

    kind: npt.NDArray[np.uint8]
    cost: npt.NDArray[np.int32]
    low: npt.NDArray[np.int32]
    high: npt.NDArray[np.int32]
    item_start: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]
    data_start: npt.NDArray[np.int64]
    data: npt.NDArray[np.uint8]
    cost_start: npt.NDArray[np.int64]
    costs: npt.NDArray[np.int32]
    word_start: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]

    @property
    def arrays(self) -> list[npt.NDArray[Any]]:
        return [getattr(self, name) for name in DTYPES]

    @property
    def num_bytes(self) -> int:
        return sum(array.nbytes for array in self.arrays)

    def encoded(self) -> list[bytes]:
        return [array.tobytes() for array in self.arrays]

    @classmethod
    def decoded(cls, pieces: Sequence[bytes]) -> MachineTables:
        names = zip(DTYPES.items(), pieces, strict=True)
        return cls(**{name: np.frombuffer(data, dtype) for (name, dtype), data in names})


DTYPES: Final[dict[str, type[np.generic]]] = {
    "kind": np.uint8,
    "cost": np.int32,
    "low": np.int32,
    "high": np.int32,
    "item_start": np.int64,
    "items": np.int32,
    "data_start": np.int64,
    "data": np.uint8,
    "cost_start": np.int64,
    "costs": np.int32,
    "word_start": np.int64,
    "words": np.int64,
}


def machine_tables(root: Node) -> MachineTables:
    """The arrays of a graph whose costs are settled."""
    places = {id(root): 0}
    order = [root]
    items: list[int] = []
    data: list[bytes] = []
    costs: list[int] = []
    words: list[int] = []
    starts: list[tuple[int, int, int, int]] = [(0, 0, 0, 0)]
    bounds: list[tuple[int, int]] = []
    num_bytes = 0
    for node in order:
        for item in node.items:
            place = places.get(id(item))
            if place is None:
                place = places[id(item)] = len(order)
                order.append(item)
            items.append(place)
        text, own, begins, low, high = _parts(node)
        data.append(text)
        num_bytes += len(text)
        costs += own
        words += begins
        bounds.append((low, high))
        starts.append((len(items), num_bytes, len(costs), len(words)))
    columns = np.array(starts, dtype=np.int64).T.copy()
    limits = np.array(bounds, dtype=np.int32).T.copy()
    return MachineTables(
        kind=np.array([_KINDS[node.kind] for node in order], dtype=np.uint8),
        cost=np.array([node.cost for node in order], dtype=np.int32),
        low=limits[0],
        high=limits[1],
        item_start=columns[0],
        items=np.array(items, dtype=np.int32),
        data_start=columns[1],
        data=np.frombuffer(b"".join(data), dtype=np.uint8),
        cost_start=columns[2],
        costs=np.array(costs, dtype=np.int32),
        word_start=columns[3],
        words=np.array(words, dtype=np.int64),
    )


_NOTHING: Final[list[int]] = []


def _parts(node: Node) -> tuple[bytes, list[int], list[int], int, int]:
    """The text of a node, what it costs from each place, where its words begin, its bounds."""
    if node.kind == "bytes":
        return node.data, node.suffix_costs, _NOTHING, 0, 0
    if node.kind == "set":
        return b"", _NOTHING, _NOTHING, node.data[0], node.data[-1]
    if node.words is not None:
        words = node.words
        return words.data, words.costs.tolist(), words.starts.tolist(), 0, words.count
    if node.kind == "distinct":
        assert node.high is not None
        return node.data, node.suffix_costs, _NOTHING, node.low, node.high
    return b"", _NOTHING, _NOTHING, node.low, -1 if node.high is None else node.high
