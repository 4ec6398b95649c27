"""What the front process tells whoever started it: one line of JSON for a launcher's pipe, words
for a terminal. Used by __main__.py and front.py."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path


def report_ready(
    address: str, http_url: str | None, ready_fd: int | None, address_file: str | None
) -> None:
    """Say that requests are served at `address`, and over HTTP at `http_url`."""
    if address_file is not None:
        # Renamed into place: whoever sees the file sees all of it.
        temporary = Path(f"{address_file}.{os.getpid()}")
        temporary.write_text(address + "\n")
        temporary.replace(address_file)
    if ready_fd is not None:
        _tell(ready_fd, {"address": address} | ({"http": http_url} if http_url else {}))
    else:
        also = f" and {http_url}" if http_url else ""
        print(f"runtime ready at {address}{also}", flush=True)


def report_failure(message: str, ready_fd: int | None) -> None:
    """Say why the runtime does not serve."""
    if ready_fd is not None:
        _tell(ready_fd, {"error": message})
    else:
        print(f"error: {message}", file=sys.stderr, flush=True)


def log(text: str) -> None:
    """A line for whoever watches the runtime."""
    print(f"branchline: {text}", file=sys.stderr, flush=True)


def _tell(ready_fd: int, news: dict[str, str]) -> None:
    # The launcher may have given up and closed its end.
    with contextlib.suppress(BrokenPipeError), open(ready_fd, "w") as pipe:
        pipe.write(json.dumps(news) + "\n")
