"""How many files the front process may have open, and who gets them. Used by __main__.py and
http/server.py.

libzmq ends the process when it accepts a client on an ipc socket and no file is left (4.3.5,
ipc_listener.cpp), and strangers may connect to HTTP: so HTTP never takes the last files.
"""

from __future__ import annotations

import contextlib
import resource
from typing import Final

# More than any front needs; some systems allow a thousand times as many.
_ENOUGH: Final = 65_536
# For ZeroMQ's clients, the engine, files of the model and the log.
_SPARE: Final = 256
_LEAST: Final = 16


def raise_file_limit() -> None:
    """Allow this process, and those it starts, as many open files as the system grants."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Some systems name a limit that they do not grant; the old one still holds then.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections_within(wanted: int) -> int:
    """How many connections may be open at a time: as many as are wanted, if files suffice."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(_LEAST, min(wanted, soft - _SPARE))
