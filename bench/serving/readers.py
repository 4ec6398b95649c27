"""Many HTTP clients for next to no CPU, as if they were other machines: the kernel keeps what comes
until it is worth reading. Used by throughput.py, where nobody asks when each token came."""

from __future__ import annotations

import select
import socket
import time
from typing import Any, Final
from urllib.parse import urlsplit

from .clients import request_of

# A reader is woken for so many bytes, or by the end.
_WORTH_READING: Final = 16_384
_BUFFER: Final = 1 << 18
_EDGE: Final = 64


def take_all(url: str, bodies: list[dict[str, Any]], end: bytes) -> float:
    """Send all requests at once and take their answers, each of which ends with `end`; when the
    last one ended, on time.perf_counter. Raises RuntimeError unless all are whole."""
    parts = urlsplit(url)
    buffer = memoryview(bytearray(_BUFFER))
    poller = select.epoll()
    channels: dict[int, socket.socket] = {}
    edges: dict[int, tuple[bytes, bytes]] = {}
    try:
        for body in bodies:
            channel = socket.create_connection((parts.hostname, parts.port))
            channels[channel.fileno()] = channel
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _WORTH_READING)
            channel.sendall(request_of(url, body))
            poller.register(channel.fileno(), select.EPOLLIN)
        while channels:
            for number, _ in poller.poll():
                size = channels[number].recv_into(buffer)
                first, last = edges.get(number, (b"", b""))
                if size:
                    tail = last + bytes(buffer[max(0, size - _EDGE) : size])
                    edges[number] = first or bytes(buffer[:_EDGE]), tail[-_EDGE:]
                    continue
                channels.pop(number).close()
                if not first.startswith(b"HTTP/1.1 200 ") or not last.endswith(end):
                    raise RuntimeError(f"an answer was not whole: {first!r} ... {last!r}")
        return time.perf_counter()
    finally:
        for channel in channels.values():
            channel.close()
        poller.close()
