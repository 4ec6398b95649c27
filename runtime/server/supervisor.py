"""One engine process: spawned, watched until it ends, and ended. Used by front.py."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import zmq

from ..engine.config import EngineConfig
from ..protocol import MAX_FRAME_BYTES, EngineCommand, EngineStop, encode

_HIGH_WATER_MARK: Final = 1_000_000


# libgomp's threads spin about a millisecond for their next piece of work. Where another process
# wants the core, that costs whole scheduler slices: a decode step of 1.4 ms takes 11 to 650 ms.
# Spinning some tens of microseconds keeps the speed of a quiet machine and yields on a busy one.
_SPIN_BRIEFLY = {"GOMP_SPINCOUNT": "20000"}


class EngineProcess:
    """An engine and the channel to it.

    Each engine gets a socket of its own: what was queued for a dead one never reaches the next.
    `on_exit` is called from another thread, once, when the process has ended for whatever reason.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        directory: Path,
        number: int,
        config: EngineConfig,
        on_exit: Callable[[EngineProcess], None],
    ) -> None:
        self._path = directory / f"engine-{number}.sock"
        self.channel = context.socket(zmq.PAIR)
        self.channel.setsockopt(zmq.LINGER, 0)
        self.channel.setsockopt(zmq.SNDHWM, _HIGH_WATER_MARK)
        self.channel.setsockopt(zmq.RCVHWM, _HIGH_WATER_MARK)
        self.channel.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
        address = f"ipc://{self._path}"
        self.channel.bind(address)
        self._process = subprocess.Popen(
            [
                sys.executable,
                # The working directory is no place to import from.
                "-P",
                "-m",
                "branchline.runtime.engine.process",
                f"--channel={address}",
                f"--parent-pid={os.getpid()}",
                f"--config={msgspec.json.encode(config).decode()}",
            ],
            stdin=subprocess.DEVNULL,
            env=_SPIN_BRIEFLY | os.environ,
            # A Ctrl-C in the terminal is the front's to handle.
            process_group=0,
        )
        self._exited = threading.Event()

        def wait() -> None:
            self._process.wait()
            self._exited.set()
            on_exit(self)

        threading.Thread(target=wait, name="engine-watch", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self._process.returncode if self._exited.is_set() else None

    def send(self, command: EngineCommand) -> bool:
        """Queue a command; False when the engine has stopped reading."""
        try:
            self.channel.send(encode(command), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def stop(self, timeout_s: float) -> None:
        """Ask it to leave its loop; kill it after `timeout_s`. Returns when it is gone."""
        if not self._exited.is_set() and timeout_s > 0:
            self.send(EngineStop())
            self._exited.wait(timeout_s)
        self.kill()
        self._exited.wait()

    def kill(self) -> None:
        """End it at once."""
        if not self._exited.is_set():
            self._process.kill()

    def close(self) -> None:
        """Release the channel and its socket file."""
        self.channel.close(linger=0)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
