"""The engine loop's heartbeat in shared memory: beaten by process.py, read by server/supervisor.py.

Messages cannot tell a long step from a hang: the loop answers between steps. So it counts here,
once per turn and, for models whose steps take long, once per layer. ZeroMQ's own heartbeats would
not do: its I/O thread answers for a loop that hangs.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

Layer = Callable[..., Any]

_COUNT: Final = struct.Struct("=Q")


class Heartbeat:
    """The loop's end: `beat` costs a tenth of a microsecond."""

    def __init__(self, path: Path) -> None:
        self._memory = _map(path)
        self._count = 0

    def beat(self) -> None:
        """The loop has got somewhere."""
        self._count += 1
        _COUNT.pack_into(self._memory, 0, self._count)

    def follow(self, layers: list[Layer]) -> None:
        """Beat before each of a model's layers, too."""
        layers[:] = [self._beating(layer) for layer in layers]

    def _beating(self, layer: Layer) -> Layer:
        def run(*arguments: Any) -> Any:
            self.beat()
            return layer(*arguments)

        return run


class Pulse:
    """The watcher's end; makes the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.truncate(fd, _COUNT.size)
        os.close(fd)
        self._memory = _map(path)
        self._last = 0

    def moved(self) -> bool:
        """Whether the loop has got somewhere since the last look."""
        (count,) = _COUNT.unpack_from(self._memory, 0)
        moved = count != self._last
        self._last = count
        return bool(moved)

    def close(self) -> None:
        self._memory.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def _map(path: Path) -> mmap.mmap:
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), _COUNT.size)
