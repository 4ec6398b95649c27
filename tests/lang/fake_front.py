"""A front process played by a test: a ROUTER socket whose answers the test writes."""

from __future__ import annotations

import queue
import threading

import zmq

from branchline.runtime.protocol import (
    PROTOCOL_VERSION,
    ClientMessage,
    FrontMessage,
    Hello,
    ModelInfo,
    Ping,
    Pong,
    Welcome,
    client_messages,
    encode,
)

MODEL = ModelInfo("fake", "/fake", "Fake", 128, 256, [0], None)


class FakeFront:
    """Greets and pongs by itself; every other message goes to `inbox`, for `reply` to answer."""

    def __init__(self, address: str, *, greets: bool = True, epoch: str = "one") -> None:
        self.inbox: queue.SimpleQueue[ClientMessage] = queue.SimpleQueue()
        self.pongs = True
        self.num_pings = 0
        # How many frames each message had, greetings and pings included.
        self.sizes: list[int] = []
        self._greeting: FrontMessage | None = (
            Welcome(PROTOCOL_VERSION, epoch, MODEL) if greets else None
        )
        self._client = b""
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.bind(address)
        last = self._router.getsockopt(zmq.LAST_ENDPOINT)
        assert isinstance(last, bytes)
        self.address = last.rstrip(b"\0").decode()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def greet_with(self, message: FrontMessage) -> None:
        self._greeting = message

    def reply(self, *messages: FrontMessage) -> None:
        for message in messages:
            self._outbox.put(encode(message))

    def reply_bytes(self, frame: bytes) -> None:
        self._outbox.put(frame)

    def next(self) -> ClientMessage:
        return self.inbox.get(timeout=60)

    def close(self) -> None:
        self._outbox.put(None)
        self._thread.join(60)
        self._context.destroy(linger=0)

    def _main(self) -> None:
        while True:
            while not self._outbox.empty():
                frame = self._outbox.get()
                if frame is None:
                    self._router.close(linger=0)
                    return
                self._router.send_multipart([self._client, frame])
            if not self._router.poll(5):
                continue
            self._client, *frames = self._router.recv_multipart()
            self.sizes.append(len(frames))
            for frame in frames:
                self._take(client_messages.decode(frame))

    def _take(self, message: ClientMessage) -> None:
        if isinstance(message, Hello):
            if self._greeting is not None:
                self._router.send_multipart([self._client, encode(self._greeting)])
        elif isinstance(message, Ping):
            self.num_pings += 1
            if self.pongs:
                pong = Pong(seq=message.seq, ready=True)
                self._router.send_multipart([self._client, encode(pong)])
        else:
            self.inbox.put(message)
