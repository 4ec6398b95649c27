"""One engine process: spawned, watched until it ends, and ended. Used by front.py."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from ..channel import Channel
from ..engine.config import EngineConfig
from ..engine.heartbeat import Pulse
from ..engine_protocol import MAX_EVENT_BYTES, EngineCommand, EngineStop
from ..protocol import encode
from .watch import ThreadTimes

# Engines that may die within the window before the front gives up with them.
_RESTARTS_PER_WINDOW: Final = 5
_RESTART_WINDOW_S: Final = 60.0
_RESTART_PAUSE_S: Final = 0.5
# How often somebody who waits for an engine's end looks whether there is hurry.
_LOOK_S: Final = 0.05
# What a hung engine gets to write down its stack.
_DUMP_S: Final = 0.1
TOO_OFTEN: Final = f"more than {_RESTARTS_PER_WINDOW} times in {_RESTART_WINDOW_S:g} s"


# libgomp's threads spin some milliseconds for their next piece of work. Where another process
# wants the core, that costs whole scheduler slices: a decode step of 1.4 ms takes 11 to 650 ms.
# Spinning some tens of microseconds keeps the speed of a quiet machine and yields on a busy one.
SPIN_BRIEFLY = {"GOMP_SPINCOUNT": "2000"}


class EngineProcess:
    """An engine and the channel to it.

    Each engine gets a channel of its own: what was queued for a dead one never reaches the next.
    `on_exit` is called from another thread, once, when the process has ended for whatever reason.
    """

    def __init__(
        self,
        directory: Path,
        number: int,
        config: EngineConfig,
        on_exit: Callable[[EngineProcess], None],
    ) -> None:
        own, other = socket.socketpair()
        self.channel = Channel(own, MAX_EVENT_BYTES)
        self._pulse = Pulse(directory / f"engine-{number}.pulse")
        with other:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    # The working directory is no place to import from.
                    "-P",
                    "-m",
                    "branchline.runtime.engine.process",
                    f"--channel={other.fileno()}",
                    f"--parent-pid={os.getpid()}",
                    f"--heartbeat={self._pulse.path}",
                    f"--config={msgspec.json.encode(config).decode()}",
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=(other.fileno(),),
                env=SPIN_BRIEFLY | os.environ,
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

    def threads(self) -> dict[int, ThreadTimes]:
        """Its threads' times, by their numbers; none where the system does not tell."""
        times: dict[int, ThreadTimes] = {}
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{self._process.pid}/task").iterdir():
                with contextlib.suppress(OSError, ValueError, IndexError):  # it may have ended
                    # On a core, waiting for one, number of turns:
                    # Documentation/scheduler/sched-stats.
                    ran_ns, queued_ns, _ = (thread / "schedstat").read_text().split()
                    state = (thread / "stat").read_text().rpartition(")")[2].split()[0]
                    times[int(thread.name)] = ThreadTimes(
                        int(ran_ns) / 1e9, int(queued_ns) / 1e9, state == "R"
                    )
        return times

    def moved(self) -> bool:
        """Whether its loop has got somewhere since the last look."""
        return self._pulse.moved()

    def send(self, command: EngineCommand) -> bool:
        """Queue a command; False when the engine has stopped reading."""
        reads = self.channel.send(encode(command))
        self._pulse.ring()
        return reads

    def stop(self, timeout_s: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """Ask it to leave its loop; kill it after `timeout_s`, or when `hurry` says so. Returns
        when it is gone."""
        if not self._exited.is_set() and timeout_s > 0 and not hurry():
            self.send(EngineStop())
            until_s = time.monotonic() + timeout_s
            while not self._exited.wait(_LOOK_S) and time.monotonic() < until_s and not hurry():
                self.channel.flush()
        self.kill()
        self._exited.wait()

    def kill(self) -> None:
        """End it at once."""
        if not self._exited.is_set():
            self._process.kill()

    def kill_hung(self) -> None:
        """End it, once it has said on standard error where it hangs."""
        if not self._exited.is_set():
            self._process.send_signal(signal.SIGUSR1)
            threading.Timer(_DUMP_S, self.kill).start()

    def close(self) -> None:
        """Release the channel and the pulse's file."""
        self.channel.close()
        self._pulse.close()


class Restarts:
    """When an engine that died may be started again, if at all."""

    def __init__(self) -> None:
        self._starts_s: deque[float] = deque()

    def note(self, now_s: float, *, served: bool) -> float | None:
        """An engine has died: the pause before the next one; None when too many died lately.
        served: it had been ready, so that whatever ended it does not end every start."""
        while self._starts_s and self._starts_s[0] < now_s - _RESTART_WINDOW_S:
            self._starts_s.popleft()
        if len(self._starts_s) >= _RESTARTS_PER_WINDOW:
            return None
        self._starts_s.append(now_s)
        return 0.0 if served else _RESTART_PAUSE_S


def how_it_ended(status: int | None) -> str:
    """An exit status in words."""
    if status is None:
        return "no status"
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-status).name}"
    return f"exit status {status}"
