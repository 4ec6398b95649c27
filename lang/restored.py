"""A finished state that came from a file and not from a run. Made by checkpoint.py."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import InvalidRequest
from .executor import StreamExecutor
from .op_queue import Op


class RestoredExecutor(StreamExecutor):
    """Holds what a run left behind. Its prompt's tokens are gone, so it cannot go on."""

    def enqueue(self, ops: Sequence[Op]) -> None:
        raise InvalidRequest(
            f"this state of {self.program!r} came from a checkpoint: it can be read, not continued"
        )
