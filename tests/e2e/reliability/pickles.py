"""Pickles that do harm where anybody opens them, in the wrappings in which they travel (S3)."""

from __future__ import annotations

import base64
import builtins
import gzip
import json
import os
import pickle
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec


class Call:
    """Unpickling this calls a function; calls nest."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __call__(self) -> None:
        """pickle asks that what is to be called can be."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self._call


def _of_os(name: str) -> Call:
    """A function of `os`, found as a list of forbidden names does not see it (CVE-2026-86793)."""
    return Call(getattr, Call(builtins.__import__, "os"), name)


HARMS: dict[str, Callable[[str], Call]] = {
    "touch": lambda path: Call(Path.touch, Path(path)),
    "system": lambda path: Call(os.system, f": > {path}"),
    "mkdir": lambda path: Call(os.mkdir, path),
    "exec": lambda path: Call(exec, f"open({path!r}, 'w').close()"),
    "by name": lambda path: Call(_of_os("mkdir"), path),
    "process": lambda path: Call(subprocess.call, [sys.executable, "-c", f"open({path!r}, 'w')"]),
}

_pack = msgspec.msgpack.encode
WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": bytes,
    "behind zeros": lambda data: bytes(4) + data,
    "behind its length": lambda data: len(data).to_bytes(8, "little") + data,
    "bin": _pack,
    "ext": lambda data: _pack(msgspec.msgpack.Ext(1, data)),
    "str": lambda data: _pack(data.decode("latin-1")),
    "a map's tag": lambda data: _pack({"type": data}),
    "a map's field": lambda data: _pack({"type": "generate", "rid": data, "prompt": []}),
    "a map's ext": lambda data: _pack({"type": msgspec.msgpack.Ext(5, data)}),
    "base64": base64.b64encode,
    "hex": lambda data: data.hex().encode(),
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "JSON": lambda data: json.dumps({"py/reduce": data.decode("latin-1")}).encode(),
}


def bare(folder: Path) -> dict[str, bytes]:
    """Every harm in every protocol; each would create a file or folder of its own."""
    return {
        f"{kind}-{protocol}".replace(" ", "-"): pickle.dumps(
            [harm(str(folder / f"{kind}-{protocol}".replace(" ", "-")))], protocol
        )
        for kind, harm in HARMS.items()
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    }


def wrapped(folder: Path) -> Iterator[bytes]:
    """All of them in every wrapping: 504."""
    for data in bare(folder).values():
        for wrap in WRAPPINGS.values():
            yield wrap(data)
