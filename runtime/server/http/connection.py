"""uvicorn's connection with a deadline for the head of a request, which uvicorn itself has not.
Used by server.py."""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S: Final = 10.0


class BoundedConnection(H11Protocol):
    """Closes a connection whose head is not complete HEAD_S after it was begun or, for the first,
    after the connection was made. Between requests uvicorn's own keep-alive deadline holds."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._end_watch()
        elif self._deadline is None and not self.transport.is_closing():
            self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_watch()
        super().connection_lost(exc)

    def _watch_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_S, self._give_up)

    def _end_watch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        # A request may have come and gone meanwhile; only one under way keeps the connection.
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
