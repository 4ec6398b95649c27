"""Frames between the front process and its engine, both on one machine and each the other's only
peer: one end of a pair of connected sockets. Used by server/supervisor.py and engine/process.py.

ZeroMQ, which clients come by, has a thread on either side that a frame wakes on its way. Here it
wakes only whom it is for: a question and its answer take a quarter to a half of the time.
"""

from __future__ import annotations

import select
import socket
import struct
from typing import Final

from .protocol import FrameError

_HEADER: Final = struct.Struct("<I")
_CHUNK_BYTES: Final = 1 << 16
# What may wait for the other side to read.
_MOST_UNSENT_BYTES: Final = 1 << 30


class Channel:
    """One end. Not thread-safe; nothing but `wait` blocks.

    most_bytes: of a frame of the other side's.
    """

    def __init__(self, end: socket.socket, most_bytes: int) -> None:
        end.setblocking(False)
        self._end = end
        self._most_bytes = most_bytes
        self._come = bytearray(_CHUNK_BYTES)  # a frame's begin, up to _filled
        self._filled = 0
        self._unsent = bytearray()
        self._waiting = select.poll()
        # The other side is gone: nothing comes any more, and what is sent is lost.
        self.is_closed = False

    def fileno(self) -> int:
        """For a poll."""
        return self._end.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether something waits for room on its way."""
        return len(self._unsent) > 0

    def send(self, frame: bytes) -> bool:
        """Let a frame leave, at once or with a later `flush`. False where so much waits already
        that the other side does not seem to read."""
        data = _HEADER.pack(len(frame)) + frame
        if self._unsent:
            self._unsent += data
            self.flush()
        else:
            sent = self._send(data)
            if sent < len(data):
                self._unsent += memoryview(data)[sent:]
        return len(self._unsent) <= _MOST_UNSENT_BYTES

    def flush(self) -> None:
        """Send what waits, as far as there is room."""
        while self._unsent and (sent := self._send(self._unsent[:_CHUNK_BYTES])):
            del self._unsent[:sent]

    def receive(self) -> list[bytes] | None:
        """The frames that are complete with what one look finds; None where it finds nothing.
        Raises FrameError for one that is too long."""
        try:
            count = self._end.recv_into(memoryview(self._come)[self._filled :])
        except BlockingIOError:
            return None
        except OSError:
            count = 0
        if count == 0:
            self.is_closed = True
            return None
        self._filled += count
        return self._complete()

    def stop_receiving(self) -> None:
        """Take nothing more, whatever comes."""
        self._come, self._filled = bytearray(), 0
        self.is_closed = True

    def wait(self, timeout_ms: int | None = None) -> bool:
        """Wait until something can be received, or the other side is gone, sending meanwhile what
        waits; False when it takes too long."""
        while True:
            self._waiting.register(
                self._end, select.POLLIN | (select.POLLOUT if self._unsent else 0)
            )
            found = self._waiting.poll(timeout_ms)
            if not found:
                return False
            [(_, events)] = found
            if events & ~select.POLLOUT:
                return True
            self.flush()

    def close(self) -> None:
        """What was not sent is lost."""
        self._end.close()

    def _send(self, data: bytes | bytearray) -> int:
        """How much of it has left."""
        try:
            return self._end.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.is_closed = True
            return len(data)

    def _complete(self) -> list[bytes]:
        """Take the complete frames out of what has come, and make room for the one behind them."""
        frames: list[bytes] = []
        come, at, filled = memoryview(self._come), 0, self._filled
        size = 0
        while at + _HEADER.size <= filled:
            (size,) = _HEADER.unpack_from(come, at)
            if size > self._most_bytes:
                raise FrameError(f"a frame of {size} bytes; at most {self._most_bytes} are allowed")
            begin = at + _HEADER.size
            if begin + size > filled:
                break
            frames.append(bytes(come[begin : begin + size]))
            at = begin + size
            size = 0
        rest = bytes(come[at:filled])
        room = max(_CHUNK_BYTES, _HEADER.size + size)
        come.release()
        if room != len(self._come):
            self._come = bytearray(room)
        self._come[: len(rest)] = rest
        self._filled = len(rest)
        return frames
