"""A listening socket that accepts no more connections than may be open. Used by server.py.

uvicorn bounds how many requests it serves, and says 503 beyond that; the connections themselves it
takes without end, and each is a file of the process.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from typing import Any, Final

# asyncio pauses for a second when told that files have run out, and may ask once more before.
_PAUSE_S: Final = 0.5


class BoundedListener(socket.socket):
    """Takes the place of `listener`, whose descriptor it owns from now on."""

    def __init__(self, listener: socket.socket, most: int) -> None:
        blocking = listener.getblocking()
        super().__init__(fileno=listener.detach())
        self.setblocking(blocking)
        self._most = most
        # Those that are closed since are dropped when it is full.
        self._taken: set[socket.socket] = set()
        self._full_until_s = 0.0

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection. Where none may be, what the system would say: asyncio then lets
        clients wait in the backlog, and asks again after a second."""
        if len(self._taken) >= self._most:
            self._taken = {one for one in self._taken if one.fileno() != -1}
        if len(self._taken) >= self._most:
            now_s = time.monotonic()
            if now_s < self._full_until_s:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            self._full_until_s = now_s + _PAUSE_S
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        connection, address = super().accept()
        self._taken.add(connection)
        return connection, address


def ignore_full(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler for the loop: being full is no news, a traceback each second neither."""
    error = context.get("exception")
    if not (isinstance(error, OSError) and error.errno == errno.EMFILE):
        loop.default_exception_handler(context)
