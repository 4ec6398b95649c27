"""Masks that were found, kept for the states that are met again; used by native_masks.py and
machine_masks.py."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from itertools import count

import numpy as np
import numpy.typing as npt

Row = npt.NDArray[np.int32]

# What it takes to find a row by one more key, and to hold one more.
_KEY_BYTES = 320
_ROW_BYTES = 320
# A dictionary that has become too small moves all it holds at once: 3 ms of forty thousand keys.
_MAX_KEYS = 10_000


class Rows:
    """Rows by owner and state, those asked for last, up to so many bytes; equal ones are held
    once, whose ever they are: the inside of a string is the same in most grammars. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._owners = count()
        self._rows: OrderedDict[Hashable, tuple[Row, int]] = OrderedDict()
        self._shared: dict[bytes, tuple[Row, int]] = {}  # with the number of keys
        self._row_bytes = 0

    @property
    def num_bytes(self) -> int:
        return self._row_bytes + _KEY_BYTES * len(self._rows) + _ROW_BYTES * len(self._shared)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def _is_full(self) -> bool:
        return self.num_bytes > self._max_bytes or len(self._rows) > _MAX_KEYS

    def owner(self) -> int:
        """A number that nobody else has, to begin keys with."""
        return next(self._owners)

    def get(self, key: Hashable) -> tuple[Row, int] | None:
        """What was kept: a row, not to be written, and the number beside it."""
        try:
            found = self._rows[key]
            self._rows.move_to_end(key)
        except KeyError:  # also where another thread dropped it meanwhile
            return None
        return found

    def keep(self, key: Hashable, row: Row, number: int = 0) -> Row:
        """Keep a row and a number; the row that is held from now on."""
        data = row.tobytes()
        with self._lock:
            if key in self._rows:
                return self._rows[key][0]
            kept, users = self._shared.get(data, (None, 0))
            if kept is None:
                kept = np.frombuffer(data, np.int32)
                self._row_bytes += kept.nbytes
            self._hold(key, kept, users + 1, number)
            return kept

    def share(self, key: Hashable, other: Hashable) -> tuple[Row, int] | None:
        """Keep for a key what is kept for another one; None where it no longer is."""
        with self._lock:
            found = self._rows.get(other)
            if found is not None and key not in self._rows:
                row, number = found
                self._hold(key, row, self._shared[_data(row)][1] + 1, number)
            return found

    def _hold(self, key: Hashable, row: Row, users: int, number: int) -> None:
        self._shared[_data(row)] = (row, users)
        self._rows[key] = (row, number)
        while self._is_full and len(self._rows) > 1:
            self._drop(self._rows.popitem(last=False)[1][0])

    def _drop(self, row: Row) -> None:
        kept, users = self._shared.pop(_data(row))
        if users > 1:
            self._shared[_data(row)] = (kept, users - 1)
        else:
            self._row_bytes -= kept.nbytes


def _data(row: Row) -> bytes:
    """The very key of a row, which knows its hash: to hash a row takes 10 us."""
    data = row.base
    assert isinstance(data, bytes)
    return data
