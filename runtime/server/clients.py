"""The socket that clients connect to; used by front.py."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Final

import zmq

from ..protocol import (
    MAX_FRAME_BYTES,
    Chunk,
    Done,
    Error,
    FrontMessage,
    Info,
    PlanDone,
    PlanNews,
    Scores,
    Several,
    encode,
)
from ..sockets import has_come

_HIGH_WATER_MARK: Final = 10_000
_FRAMES_PER_TURN: Final = 256


class ClientSocket:
    """A ROUTER with bounded queues that reports whom it cannot reach, and a monitor that reports
    that somebody has disconnected (ZeroMQ does not say who)."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.router = context.socket(zmq.ROUTER)
        self.router.setsockopt(zmq.LINGER, 0)
        self.router.setsockopt(zmq.SNDHWM, _HIGH_WATER_MARK)
        self.router.setsockopt(zmq.RCVHWM, _HIGH_WATER_MARK)
        self.router.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
        self.router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.router.setsockopt(zmq.IPV6, 1)
        self.monitor = self.router.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._outbox: dict[bytes, list[FrontMessage]] = {}

    def receive(self) -> Iterator[tuple[bytes, list[bytes]]]:
        """What has arrived, as (client, frames); a bounded number, for others wait too. A client
        puts what it says at once into one message, each in a frame of its own."""
        num_frames = 0
        while num_frames < _FRAMES_PER_TURN and has_come(self.router):
            client_id, *frames = self.router.recv_multipart(zmq.NOBLOCK)
            num_frames += max(1, len(frames))
            yield client_id, frames

    def send(self, client_id: bytes, message: FrontMessage) -> None:
        """It travels with the next `flush`."""
        self._outbox.setdefault(client_id, []).append(message)

    def flush(self) -> list[bytes]:
        """Send what was said, in one frame for each client. Those who are gone, or read so slowly
        that thousands of frames wait."""
        outbox, self._outbox = self._outbox, {}
        return [
            client_id
            for client_id, messages in outbox.items()
            if not self._send(client_id, messages)
        ]

    def _send(self, client_id: bytes, messages: list[FrontMessage]) -> bool:
        if len(messages) > 1:
            frame = encode(Several(messages))
            if len(frame) > MAX_FRAME_BYTES:
                return all(self._send(client_id, [message]) for message in messages)
        else:
            frame = encode(messages[0])
            if len(frame) > MAX_FRAME_BYTES:
                frame = encode(_too_long(messages[0], len(frame)))
        try:
            self.router.send_multipart((client_id, frame), zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (errno.EHOSTUNREACH, errno.EAGAIN):
                raise
            return False
        return True

    def somebody_left(self) -> bool:
        """Whether a client has disconnected since the last look."""
        left = False
        while has_come(self.monitor):
            self.monitor.recv_multipart(zmq.NOBLOCK)
            left = True
        return left

    def close(self, linger_ms: int) -> None:
        """Close; what was sent last gets `linger_ms` to leave."""
        self.router.disable_monitor()
        self.monitor.close(linger=0)
        self.router.close(linger=linger_ms)


def _too_long(message: FrontMessage, num_bytes: int) -> Error:
    """The answer in place of one that no frame can carry."""
    answers = Chunk | Done | Scores | PlanNews | PlanDone | Info
    rid = message.rid if isinstance(message, answers) else None
    return Error(
        rid,
        "invalid_request",
        f"the answer takes {num_bytes} bytes on the wire, more than the {MAX_FRAME_BYTES} "
        f"allowed; ask for fewer log probabilities, tokens or choices",
    )
