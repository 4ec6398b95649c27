"""uvicorn's connection with four things that uvicorn itself has not: a deadline for the head of a
request, an end that lets the client read why its body was not, and a short way for the pieces of a
stream and for refusals. Used by server.py and answer.py."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .door import Door

HEAD_S: Final = 10.0
# A client that still sends when its answer is there may go on for so long.
LINGER_S: Final = 2.0
LINGER_BYTES: Final = 8 * 1024 * 1024

# Where a request finds its connection, in the state of its scope.
WIRE: Final = "wire"

# The transport's class takes every method that it does not have from the real one.
if TYPE_CHECKING:
    _Delegating = asyncio.Transport
else:
    _Delegating = object


class BoundedConnection(H11Protocol):
    """Closes a connection whose head is not complete HEAD_S after it was begun or, for the first,
    after the connection was made. Between requests uvicorn's own keep-alive deadline holds.

    A socket that is closed with unread data in it resets the connection, and the client may lose
    the answer on its way (RFC 9112, 9.6). So an answer to a request whose body is not read is
    followed by the end of what we send, and the connection is closed when the client has ended,
    too, or has sent LINGER_BYTES more, or after LINGER_S.
    """

    _deadline: asyncio.TimerHandle | None = None
    _num_left: int | None = None
    # Of a refused request's body, on its way to us.
    _num_unread: int = 0

    def __init__(self, *, door: Door, **given: Any) -> None:
        super().__init__(**given)
        self._door = door

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._socket = transport
        super().connection_made(_Transport(self, transport))
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        if self._num_left is not None:
            self._num_left -= len(data)
            if self._num_left < 0:
                self._socket.abort()
            return
        if self._num_unread:
            data = self._forget(data)
        if not data or self._turned_away(data):
            return
        super().data_received(data)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._end_watch()
        elif self._deadline is None and not self.transport.is_closing():
            self._watch_head()

    def handle_events(self) -> None:
        super().handle_events()
        if self.scope is not None:
            self.scope["state"][WIRE] = self

    @property
    def takes_pieces(self) -> bool:
        """False where a piece of a stream must take the long way: the client reads too slowly, is
        gone, or takes no chunks."""
        cycle = self.cycle
        return (
            not self.flow.write_paused
            and cycle.response_started
            and not cycle.response_complete
            and not cycle.disconnected
            and self.conn.their_http_version == b"1.1"
        )

    def write_piece(self, piece: bytes) -> None:
        """Send a piece of a streamed answer, framed as h11 would frame it. The way through
        Starlette, uvicorn and h11 takes several times as long, which counts where there is a piece
        for each token."""
        if piece:
            self._socket.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _turned_away(self, data: bytes) -> bool:
        """Whether a request begins here that was refused for the moment; h11 never sees it."""
        if self.conn.their_state is not h11.IDLE or self.conn.trailing_data[0]:
            return False
        refusal = self._door.answer(data, self.server_state.default_headers)
        if refusal is None:
            return False
        self._unset_keepalive_if_required()
        self._end_watch()
        self.transport.write(refusal.answer)
        self._num_unread = refusal.num_missing
        if refusal.closes:
            self.transport.close()
        elif self._num_unread:
            self._watch_head()
        else:
            self._keep_alive()
        return True

    def _forget(self, data: bytes) -> bytes:
        """What follows the body of the request that was refused."""
        rest = data[self._num_unread :]
        self._num_unread = max(0, self._num_unread - len(data))
        if not self._num_unread:
            self._end_watch()
            self._keep_alive()
        return rest

    def _keep_alive(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_watch()
        super().connection_lost(exc)

    @property
    def lingers(self) -> bool:
        return self._num_left is not None

    def end(self) -> None:
        """Close, at once or when the client has sent its body."""
        if self._socket.is_closing() or self.conn.their_state is not h11.SEND_BODY:
            self._socket.close()
        elif self._num_left is None:
            self._num_left = LINGER_BYTES
            self._end_watch()
            self._socket.write_eof()
            self.flow.resume_reading()
            self._deadline = self.loop.call_later(LINGER_S, self._socket.abort)

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


class _Transport(_Delegating):
    """What uvicorn writes to and closes."""

    def __init__(self, connection: BoundedConnection, transport: asyncio.Transport) -> None:
        self._connection = connection
        self._transport = transport

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)

    def close(self) -> None:
        self._connection.end()

    def is_closing(self) -> bool:
        return self._connection.lingers or self._transport.is_closing()
