"""What the front process tells whoever started it: one line of JSON for a launcher's pipe, words
for a terminal. Used by __main__.py and front.py."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path


def report_ready(
    address: str,
    http_url: str | None,
    ready_fd: int | None,
    address_file: str | None,
    facts: Mapping[str, str] | None = None,
) -> None:
    """Say that requests are served at `address`, and over HTTP at `http_url`.

    facts: what is served and how, a table for a terminal.
    """
    if address_file is not None:
        # Renamed into place: whoever sees the file sees all of it.
        temporary = Path(f"{address_file}.{os.getpid()}")
        temporary.write_text(address + "\n")
        temporary.replace(address_file)
    if ready_fd is not None:
        _tell(ready_fd, {"address": address} | ({"http": http_url} if http_url else {}))
    else:
        if facts:
            _show({**facts, "address": address, **_http_facts(http_url)})
        also = f" and {http_url}" if http_url else ""
        print(f"runtime ready at {address}{also}", flush=True)


def _http_facts(url: str | None) -> dict[str, str]:
    if url is None:
        return {"HTTP": "off; --http 127.0.0.1:8000 turns it on"}
    return {"HTTP": f"{url}/v1", "web page": f"{url}/ui"}


def _show(facts: Mapping[str, str]) -> None:
    """A table on standard error: standard output is for the address alone."""
    left = max(len(name) for name in facts)
    right = max(len(text) for text in facts.values())
    rows = [f"│ {name:<{left}} │ {text:<{right}} │" for name, text in facts.items()]
    top, bottom = (
        start + "─" * (left + 2) + middle + "─" * (right + 2) + end
        for start, middle, end in (("┌", "┬", "┐"), ("└", "┴", "┘"))
    )
    print("\n".join([top, *rows, bottom]), file=sys.stderr, flush=True)


def report_failure(
    message: str, ready_fd: int | None, details: Mapping[str, list[str]] | None = None
) -> None:
    """Say why the runtime does not serve. details: for a launcher alone."""
    if ready_fd is not None:
        _tell(ready_fd, {"error": message, **(details or {})})
    else:
        print(f"error: {message}", file=sys.stderr, flush=True)


class Log:
    """Lines on standard error for whoever watches the runtime: words, or with `as_json` objects.
    Control characters never reach a terminal or start a line of their own."""

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json

    def notice(self, text: str) -> None:
        """Something that somebody should read."""
        if self._as_json:
            self.event("notice", text=text)
        else:
            self._write(_plain(text))

    def event(self, name: str, **fields: str | int | float | None) -> None:
        """Something that somebody may want to count."""
        if self._as_json:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            print(json.dumps({"time": now, "event": name, **fields}), file=sys.stderr, flush=True)
            return
        shown = [
            f"{key}={_plain(str(value))}" for key, value in fields.items() if value is not None
        ]
        self._write(" ".join([name, *shown]))

    def _write(self, line: str) -> None:
        print(f"branchline: {line}", file=sys.stderr, flush=True)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _tell(ready_fd: int, news: Mapping[str, str | list[str]]) -> None:
    # The launcher may have given up and closed its end.
    with contextlib.suppress(BrokenPipeError), open(ready_fd, "w") as pipe:
        pipe.write(json.dumps(news) + "\n")
