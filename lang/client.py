"""The connection to a runtime process over ZeroMQ; used by `bl.RuntimeEndpoint` and `bl.Runtime`.

One DEALER socket carries thousands of requests. It is read from the shared loop through the
socket's file descriptor, which costs less per message than zmq.asyncio.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ipaddress
import os
from pathlib import Path
from typing import Final, cast

import zmq
import zmq.utils.monitor

from branchline.runtime import protocol

from .connection import Connection, RequestTable
from .curve import CurveKeys
from .errors import GenerationError, RuntimeUnavailable, from_wire
from .loop import shared_loop

__all__ = ["Connection", "ZmqConnection"]

PING_INTERVAL_S: Final = 0.5
# No frame for this long: the front process hangs. Its death is seen at once by other means, so
# this may be generous.
SILENCE_LIMIT_S: Final = 20.0
_HIGH_WATER_MARK: Final = 100_000
_MESSAGES_PER_TURN: Final = 256
# As many as the front process reads in one of its turns.
_FRAMES_PER_MESSAGE: Final = 256
_FAILED_HANDSHAKES: Final = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
)
_WATCHED_EVENTS: Final = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


class ZmqConnection(RequestTable):
    """A `Connection` to the runtime at `address` (`ipc:///path` or `tcp://host:port`).

    The constructor blocks until the runtime answered, at most `connect_timeout_s`, and raises
    RuntimeUnavailable otherwise. A runtime on another machine wants `keys`. When the runtime
    dies every request in flight fails at once with RuntimeUnavailable; the next request tries to
    connect again.
    """

    def __init__(
        self,
        address: str,
        *,
        connect_timeout_s: float = 5.0,
        name: str = "",
        keys: CurveKeys | None = None,
    ) -> None:
        super().__init__()
        self._address = address
        self._keys = keys
        self._connect_timeout_s = connect_timeout_s
        self._name = name
        self._closed = False
        self._pid = os.getpid()
        self._loop_thread = shared_loop()
        self._context = zmq.Context(io_threads=1)
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        # What this turn of the loop has said; it leaves at its end.
        self._outbox: list[bytes] = []
        self._welcome: asyncio.Future[protocol.Welcome] | None = None
        self._connected = False
        self._last_welcome: protocol.Welcome | None = None
        self._connecting = asyncio.Lock()
        self._pinger: asyncio.Task[None] | None = None
        self._last_heard_s = 0.0
        self._runtime_ready = True
        try:
            self._loop_thread.run(self._ready())
        except BaseException:
            self.close()
            raise
        # Before a runtime of this process is told to end: it then has nothing to wait for.
        atexit.register(self.close)

    @property
    def model(self) -> protocol.ModelInfo:
        assert self._last_welcome is not None
        return self._last_welcome.model

    @property
    def epoch(self) -> str:
        """Changes when the front process was restarted."""
        assert self._last_welcome is not None
        return self._last_welcome.epoch

    @property
    def address(self) -> str:
        return self._address

    @property
    def runtime_ready(self) -> bool:
        """What the last heartbeat said: False while the engine starts, hangs or is gone."""
        return self._connected and self._runtime_ready

    def close(self) -> None:
        # In a forked child the socket is still the parent's.
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        atexit.unregister(self.close)
        if self._loop_thread.is_current():
            self._shut()
        elif self._loop_thread.alive:
            self._loop_thread.run(self._shut_soon(), timeout_s=2.0)

    async def _shut_soon(self) -> None:
        self._shut()

    def _shut(self) -> None:
        self._lose("the connection was closed; read what a program gives before its runtime ends")
        self._context.destroy(linger=0)

    # --- connecting ---

    async def _ready(self) -> None:
        if self._pid != os.getpid():
            raise RuntimeUnavailable(
                "this connection was made before a fork; make a new one in the child process"
            )
        if self._connected:
            return
        async with self._connecting:
            if self._closed:
                raise RuntimeUnavailable(f"the connection to {self._address} is closed")
            if not self._connected:
                await self._connect()

    async def _connect(self) -> None:
        _check_address(self._address, keyed=self._keys is not None)
        loop = asyncio.get_running_loop()
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, _HIGH_WATER_MARK)
        socket.setsockopt(zmq.RCVHWM, _HIGH_WATER_MARK)
        socket.setsockopt(zmq.MAXMSGSIZE, protocol.MAX_FRAME_BYTES)
        # An ipc peer refuses in microseconds; retrying often makes "nobody there" quick to tell.
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        if self._keys is not None:
            self._keys.apply(socket)
        self._socket = socket
        self._monitor = socket.get_monitor_socket(_WATCHED_EVENTS)
        self._monitor.setsockopt(zmq.LINGER, 0)
        answer: asyncio.Future[protocol.Welcome] = loop.create_future()
        self._welcome = answer
        try:
            socket.connect(self._address)
        except zmq.ZMQError as error:
            self._lose(str(error))
            raise RuntimeUnavailable(
                f"cannot connect to {self._address!r}: {error.strerror}"
            ) from None
        loop.add_reader(socket.fileno(), self._read)
        loop.add_reader(self._monitor.fileno(), self._watch)
        self._post(protocol.Hello(version=protocol.PROTOCOL_VERSION, client=self._name[:128]))
        self._watch()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                welcome = await answer
        except TimeoutError:
            self._lose("no answer")
            raise RuntimeUnavailable(
                f"no answer from a runtime at {self._address} within "
                f"{self._connect_timeout_s:g} s; is `branchline serve` running there?"
            ) from None
        except BaseException:
            self._lose("connecting failed")
            raise
        self._connected = True
        self._last_welcome = welcome
        self._runtime_ready = True
        self._last_heard_s = loop.time()
        self._pinger = loop.create_task(self._ping_for_ever())

    def _lose(self, reason: str) -> None:
        """Drop the socket and fail what was in flight: nothing of it can be answered any more."""
        loop = asyncio.get_running_loop()
        self._connected = False
        if self._pinger is not None:
            self._pinger.cancel()
            self._pinger = None
        for socket in (self._monitor, self._socket):
            if socket is not None:
                loop.remove_reader(socket.fileno())
        if self._socket is not None:
            self._socket.disable_monitor()
            self._socket.close(linger=0)
        if self._monitor is not None:
            self._monitor.close(linger=0)
        self._socket = self._monitor = None
        self._outbox = []
        welcome, self._welcome = self._welcome, None
        if welcome is not None and not welcome.done():
            welcome.set_exception(RuntimeUnavailable(reason))
            # Nobody may be waiting any more (a connect that timed out): mark it as retrieved.
            welcome.exception()
        self._fail_all(reason)

    # --- the socket ---

    def _send(self, message: protocol.ClientMessage) -> None:
        frame = self._frame(message)
        if self._socket is None:
            raise RuntimeUnavailable(f"the runtime at {self._address} is gone")
        self._outbox.append(frame)
        if len(self._outbox) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Calls that are made together leave as one message of several frames: each message wakes
        the runtime, which may have better to do."""
        frames, self._outbox = self._outbox, []
        while frames and self._socket is not None:
            together, frames = frames[:_FRAMES_PER_MESSAGE], frames[_FRAMES_PER_MESSAGE:]
            try:
                self._socket.send_multipart(together, zmq.NOBLOCK)
            except zmq.Again:
                self._lose(f"the runtime at {self._address} does not read its messages")
                return
        # Sending may have consumed the wake-up of the (edge-triggered) descriptor.
        if self._socket is not None and _has_come(self._socket):
            asyncio.get_running_loop().call_soon(self._read)

    def _post(self, message: protocol.ClientMessage) -> None:
        with contextlib.suppress(GenerationError):
            self._send(message)

    def _read(self) -> None:
        """Take what has arrived; a long queue is taken in turns so that programs run between."""
        for _ in range(_MESSAGES_PER_TURN):
            if self._socket is None or not _has_come(self._socket):
                return
            frame = self._socket.recv(zmq.NOBLOCK)
            self._last_heard_s = asyncio.get_running_loop().time()
            try:
                message = protocol.front_frames.decode(frame)
            except protocol.FrameError as error:
                self._lose(f"the peer at {self._address} is no Branchline runtime: {error}")
                return
            if isinstance(message, protocol.Several):
                for each in message.messages:
                    self._take(each)
            else:
                self._take(message)
        asyncio.get_running_loop().call_soon(self._read)

    def _take(self, message: protocol.FrontMessage) -> None:
        if isinstance(message, protocol.Pong):
            self._runtime_ready = message.ready
        elif isinstance(message, protocol.Welcome):
            if self._welcome is not None and not self._welcome.done():
                self._welcome.set_result(message)
        elif (
            isinstance(message, protocol.Error)
            and message.rid is None
            and self._welcome is not None
            and not self._welcome.done()
        ):
            self._welcome.set_exception(from_wire(message))
        elif isinstance(message, protocol.Error) and message.rid is None:
            self._lose(message.message)
        else:
            self._dispatch(message)

    def _watch(self) -> None:
        """Socket events: the end of the connection, or that nobody listens at the address."""
        while self._monitor is not None:
            try:
                event = zmq.utils.monitor.recv_monitor_message(self._monitor, zmq.NOBLOCK)
            except zmq.Again:
                return
            if self._connected:
                # Answers that arrived before the end are still to be read.
                self._read()
                self._lose(f"the runtime at {self._address} is gone")
            elif event["event"] == zmq.EVENT_CONNECT_RETRIED:
                self._lose(
                    f"no runtime listens at {self._address}; start one with `branchline serve` "
                    f"or bl.Runtime(...)"
                )
            elif event["event"] == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self._lose(f"the runtime at {self._address} does not know this client's key")
            elif event["event"] in _FAILED_HANDSHAKES:
                self._lose(
                    f"no handshake with {self._address}: it wants a CURVE key, or another one, or "
                    f"is no runtime"
                )
            elif event["event"] == zmq.EVENT_DISCONNECTED:
                self._lose(f"the runtime at {self._address} closed the connection")

    async def _ping_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        sequence = 0
        while True:
            await asyncio.sleep(PING_INTERVAL_S)
            self._read()
            silent_s = loop.time() - self._last_heard_s
            if silent_s > SILENCE_LIMIT_S:
                self._lose(f"the runtime at {self._address} was silent for {silent_s:.0f} s")
                return
            self._send_again()
            sequence += 1
            self._post(protocol.Ping(seq=sequence))


def _has_come(socket: zmq.Socket[bytes]) -> bool:
    """Whether a message is there; asking costs a fifth of the exception that there is none."""
    return bool(cast(int, socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)


def _check_address(address: str, *, keyed: bool) -> None:
    """Refuse what is no address, an ipc socket that another user planted, and another machine
    that nobody vouches for."""
    if address.startswith("tcp://"):
        if not keyed and not _is_loopback(address):
            raise RuntimeUnavailable(
                f"{address} is on another machine, where anyone could listen in; give server_key "
                f"and client_key"
            )
        return
    if keyed:
        raise RuntimeUnavailable(f"{address!r} needs no keys; they are for tcp://")
    if not address.startswith("ipc://"):
        raise RuntimeUnavailable(_no_address(address))
    path = Path(address.removeprefix("ipc://"))
    try:
        owner = path.stat().st_uid
    except OSError:
        raise RuntimeUnavailable(
            f"no runtime listens at {address} (no such socket); start one with "
            f"`branchline serve` or bl.Runtime(...)"
        ) from None
    if owner not in (0, os.geteuid()):
        raise RuntimeUnavailable(f"the socket at {address} belongs to another user (uid {owner})")


def _no_address(address: str) -> str:
    said = (
        f"{address!r} is no address of a runtime; expected ipc:///path, tcp://host:port, or "
        f"http://host:port of one that serves HTTP"
    )
    if address.startswith("/"):
        return f"{said}; did you mean ipc://{address}?"
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        return f"{said}; did you mean http://{host or '127.0.0.1'}:{port}?"
    return said


def _is_loopback(address: str) -> bool:
    host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
