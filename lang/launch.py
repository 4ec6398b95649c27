"""Start and stop a runtime process from Python; used by `bl.Runtime` and the command line."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from .errors import RuntimeUnavailable

_STOP_S: Final = 10.0


class RuntimeProcess:
    """A runtime of one's own, running when the constructor returns.

    model_path: directory of a Hugging Face checkpoint, a hub id, or "embedded".
    bind: "ipc" (a private socket), ipc:///path or tcp://127.0.0.1:PORT.
    start_timeout_s: how long loading the model may take.
    options: of `branchline serve`, with underscores: `dtype="float32"`, `kv_slots=4096`, ...

    Raises TypeError for an option that there is not, and RuntimeUnavailable with the runtime's own
    words when it cannot start. `close`, the end
    of a `with` block, the end of this process (even by kill -9) and Ctrl-C all end the runtime.
    """

    def __init__(
        self,
        model_path: str = "embedded",
        *,
        bind: str = "ipc",
        start_timeout_s: float = 600.0,
        **options: str | int | float | None,
    ) -> None:
        ready_out, ready_in = os.pipe()
        arguments = [f"--model={model_path}", f"--bind={bind}"]
        arguments += _flags(options)
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    # The working directory is no place to import from.
                    "-P",
                    "-m",
                    "branchline.runtime.server",
                    *arguments,
                    f"--ready-fd={ready_in}",
                    f"--parent-pid={os.getpid()}",
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=(ready_in,),
                # Ctrl-C reaches this process alone: its program ends first, then the runtime.
                process_group=0,
            )
        finally:
            os.close(ready_in)
        try:
            news = self._wait_ready(ready_out, start_timeout_s)
        except BaseException:
            _end(self._process, "", os.getpid())
            raise
        finally:
            os.close(ready_out)
        self.address: str = news["address"]
        # Where HTTP is served, with the option `http`.
        self.http_url: str | None = news.get("http")
        # Also runs when this object is forgotten, and at the interpreter's exit.
        self._end = weakref.finalize(self, _end, self._process, self.address, os.getpid())

    @property
    def pid(self) -> int:
        """The front process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self._process.poll()

    def close(self) -> None:
        """End the runtime and wait until it is gone. Calling it again does nothing."""
        self._end()

    def __enter__(self) -> RuntimeProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _wait_ready(self, ready_out: int, timeout_s: float) -> dict[str, Any]:
        """The news from the runtime's one line; it ends the pipe in any case when it dies."""
        deadline_s = time.monotonic() + timeout_s
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(ready_out, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or not selector.select(left_s):
                    raise RuntimeUnavailable(
                        f"the runtime was not ready within {timeout_s:g} s; raise start_timeout_s "
                        f"if the model needs longer to load"
                    )
                chunk = os.read(ready_out, 65_536)
                if not chunk:
                    status = self._process.wait()
                    raise RuntimeUnavailable(
                        f"the runtime ended while starting (exit status {status}); its messages "
                        f"are on standard error"
                    )
                line += chunk
        news: dict[str, Any] = json.loads(line)
        if "error" in news:
            # It is ending by itself; a signal would only disturb its tidying up.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
            if "unknown" in news:
                raise TypeError(_unknown_options(news["unknown"], news["known"]))
            raise RuntimeUnavailable(news["error"])
        return news


def _unknown_options(unknown: list[str], known: list[str]) -> str:
    """Of flags that the runtime does not know, under the names that Python has for them."""
    given, allowed = (
        [name.replace("-", "_") for name in names if name != "model"] for names in (unknown, known)
    )
    return f"Runtime: no option {', '.join(given)}; known: {', '.join(['model_path', *allowed])}"


def _flags(options: Mapping[str, str | int | float | None]) -> list[str]:
    """`branchline serve`'s flags; what is None or False is left out."""
    flags = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            flags.append(flag)
        elif value is not None and value is not False:
            flags.append(f"{flag}={value}")
    return flags


def _end(process: subprocess.Popen[bytes], address: str, pid: int) -> None:
    """End a runtime, politely if it can be, and tidy up after one that could not."""
    # In a forked child of its owner the runtime is nobody's to end.
    if pid != os.getpid():
        return
    try:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_S)
            except BaseException as error:
                process.kill()
                process.wait()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
    finally:
        folder = Path(address.removeprefix("ipc://")).parent
        if address.startswith("ipc://") and folder.name.startswith("branchline-"):
            shutil.rmtree(folder, ignore_errors=True)
