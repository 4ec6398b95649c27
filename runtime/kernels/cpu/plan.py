"""A step's plan in the library's memory; `attention.py` makes it, `stack.py` runs layers by it."""

from __future__ import annotations

from typing import Final

from ...engine.batch import ForwardBatch

EVERYTHING: Final = 2**63 - 1  # the window of attention that has none


class CpuPlan:
    """A step's work in the library's own memory, and the batch whose slots it reads."""

    __slots__ = ("batch", "handle", "handles")

    def __init__(self, batch: ForwardBatch, handle: int, handles: list[int]) -> None:
        self.batch = batch
        self.handle = handle
        self.handles = handles

    def __del__(self) -> None:
        self.handles.append(self.handle)
