"""What the engine's loop and its watcher share in memory: the loop's heartbeat, and how many
commands were sent to it. Beaten by process.py, read and rung by server/supervisor.py.

Messages cannot tell a long step from a hang: the loop answers between steps. So it counts here,
once per turn and, for models whose steps take long, once per layer; kernels count each piece of
their work beside it, from threads of their own. ZeroMQ's own heartbeats would
not do: its I/O thread answers for a loop that hangs. And a loop that sees here that nothing was
sent need not ask its socket, which behind a step costs 10 to 40 microseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

Layer = Callable[..., Any]

# Three numbers of eight bytes: turns of the loop, commands, the kernels' pieces of work.
_SIZE: Final = 24
_WORK_AT: Final = 16


class Heartbeat:
    """The loop's end."""

    def __init__(self, path: Path) -> None:
        self._shared = _map(path)
        self._count = 0

    def beat(self) -> None:
        """The loop has got somewhere."""
        self._count += 1
        self._shared[0] = self._count

    def num_sent(self) -> int:
        """How many commands were sent so far; they arrive in a moment."""
        return self._shared[1]

    def work_address(self) -> int:
        """Of the number that the kernels raise; valid as long as this process lives."""
        number = ctypes.c_uint64.from_buffer(self._shared, _WORK_AT)
        # Their threads may go on for longer than whoever has this heartbeat.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(number))
        return ctypes.addressof(number)

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
        os.truncate(fd, _SIZE)
        os.close(fd)
        self._shared = _map(path)
        self._last = (0, 0)

    def moved(self) -> bool:
        """Whether the loop has got somewhere since the last look."""
        counts = self._shared[0], self._shared[2]
        moved = counts != self._last
        self._last = counts
        return moved

    def ring(self) -> None:
        """A command was sent."""
        self._shared[1] += 1

    def close(self) -> None:
        self._shared.release()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def _map(path: Path) -> memoryview[int]:
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), _SIZE)).cast("Q")
