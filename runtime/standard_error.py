"""Standard error that no write can fail on. Set up by the front and the engine process: a disk that
is full, or a reader of the log that is gone, must not end a server."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDERR: Final = 2


class _Unfailing(io.FileIO):
    """What cannot be written is lost."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


def unfailing_stderr() -> None:
    """From now on whatever is written to `sys.stderr` is written or lost, and raises nothing."""
    # Started with standard error closed, a process has None here, and the number may be anything.
    if sys.stderr is None:
        return
    raw = io.BufferedWriter(_Unfailing(_STDERR, "w", closefd=False))
    sys.stderr = io.TextIOWrapper(
        raw, encoding="utf-8", errors="backslashreplace", line_buffering=True
    )
