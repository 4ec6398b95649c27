"""What every loop asks its ZeroMQ sockets; used by server/clients.py."""

from __future__ import annotations

from typing import cast

import zmq


def has_come(socket: zmq.Socket[bytes]) -> bool:
    """Whether a message is there to be received. Asking costs a fifth of the exception that
    nothing has come."""
    return bool(cast(int, socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)
