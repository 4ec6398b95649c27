"""Where clients come in: ZeroMQ's socket with its address and keys, and HTTP. Takes their messages
to the service and the answers back. Used by front.py."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import zmq

from ..protocol import (
    PROTOCOL_VERSION,
    ClientMessage,
    Error,
    FrameError,
    FrontMessage,
    Hello,
    Ping,
    Pong,
    Release,
    RunPlan,
    Unpin,
    Welcome,
    client_messages,
    request_id_in,
)
from ..tokenizer import Tokenizer
from .clients import ClientSocket
from .curve import Gatekeeper, load_keys
from .endpoint import Endpoint, PrivateDirectory
from .errands import Errands
from .history import Record
from .http.settings import HttpSettings
from .service import Service

if TYPE_CHECKING:
    from .http.server import HttpServer

# A peer's pipe is gone a moment after its disconnection is reported: look a few times.
_PROBES: Final = 4
PROBE_PAUSE_S: Final = 0.02
# Who HTTP is to the service. ZeroMQ's own names with a leading zero have five bytes.
_HTTP_CLIENT: Final = b"\0branchline-http"
_NEVER_FOR_HTTP: Final = (Welcome, Pong)
_LOADING: Final = "the runtime is still loading its model"


class Reception:
    """All methods are called by the loop's thread. Until `serve` every request is told that the
    model is still loading."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], poller: zmq.Poller, errands: Errands
    ) -> None:
        self._context = context
        self._poller = poller
        self._errands = errands
        self._clients = ClientSocket(context)
        self._gatekeeper: Gatekeeper | None = None
        self._endpoint: Endpoint | None = None
        self._http: HttpServer | None = None
        self._service: Service | None = None
        self._num_probes = 0

    @property
    def address(self) -> str:
        assert self._endpoint is not None
        return self._endpoint.address

    @property
    def http_url(self) -> str | None:
        return None if self._http is None else self._http.url

    @property
    def alive(self) -> bool:
        return self._http is None or self._http.alive

    @property
    def probing(self) -> bool:
        """Whether `turn` wants to be called again soon."""
        return self._num_probes > 0

    def open(self, bind: str, curve: tuple[str, str] | None, private: PrivateDirectory) -> None:
        """Listen on ZeroMQ. Raises EndpointError."""
        clients = self._clients
        if curve is not None:
            self._gatekeeper = Gatekeeper(self._context, load_keys(*curve))
            self._gatekeeper.guard(clients.router)
            self._poller.register(self._gatekeeper.socket, zmq.POLLIN)
        self._endpoint = Endpoint(bind, clients.router, private, keyed=self._gatekeeper is not None)
        self._poller.register(clients.router, zmq.POLLIN)
        self._poller.register(clients.monitor, zmq.POLLIN)

    def open_http(self, settings: HttpSettings) -> None:
        """Listen on HTTP. Raises EndpointError."""
        # Half a second of imports, which only those pay who want HTTP.
        from .http.server import HttpServer

        self._http = HttpServer(
            settings, lambda message: self._errands.add(lambda: self._on_http(message))
        )

    def serve(self, service: Service, tokenizer: Tokenizer) -> None:
        """From now on requests go to the service."""
        self._service = service
        if self._http is not None:
            self.greet_http()
            self._http.serve(service.model, tokenizer, service.entrance)

    def greet_http(self) -> None:
        """HTTP lives exactly as long as this process: it is greeted for it, and never lost."""
        if self._http is not None and self._service is not None:
            self._service.on_message(_HTTP_CLIENT, Hello(version=PROTOCOL_VERSION))

    def note(self, record: Record) -> None:
        """A request that ended, for HTTP's metrics."""
        if self._http is not None:
            self._http.note(record)

    def turn(self, ready: dict[object, int]) -> None:
        """Read what the poll found, and look after clients that left."""
        if self._gatekeeper is not None and self._gatekeeper.socket in ready:
            self._gatekeeper.answer()
        if self._clients.router in ready:
            self._read()
        if self._clients.monitor in ready and self._clients.somebody_left():
            self._num_probes = _PROBES
        if self._num_probes:
            self._probe()

    def send(self, client_id: bytes, message: FrontMessage) -> None:
        """An answer to a client."""
        if client_id == _HTTP_CLIENT:
            if self._http is not None and not isinstance(message, _NEVER_FOR_HTTP):
                self._http.deliver(message)
        else:
            self._clients.send(client_id, message)

    def flush(self) -> None:
        """Let the answers of this turn leave, and say who is gone."""
        while gone := self._clients.flush():
            for client_id in gone:
                if self._service is not None:
                    self._service.on_client_gone(client_id)
        if self._http is not None:
            self._http.flush()

    def close(self) -> None:
        """Hear nobody any more. The last answers (ends of aborted requests) get a moment."""
        self._clients.close(linger_ms=200)
        if self._gatekeeper is not None:
            self._gatekeeper.close()
        if self._http is not None:
            self._http.stop()

    def remove(self) -> None:
        """Delete the socket; after the context has ended."""
        if self._endpoint is not None:
            self._endpoint.remove()

    def _read(self) -> None:
        for client_id, frames in self._clients.receive():
            if self._service is None:
                self.send(client_id, Error(None, "unavailable", _LOADING, None, 1.0))
                continue
            if not frames:
                self._service.on_bad_frame(client_id, "it is empty")
            self._service.on_messages(client_id, _messages(self._service, client_id, frames))

    def _on_http(self, message: ClientMessage) -> None:
        if self._service is not None:
            self._service.on_message(_HTTP_CLIENT, message)
        elif not isinstance(message, Hello | Ping | Release | RunPlan | Unpin):
            self.send(_HTTP_CLIENT, Error(message.rid, "unavailable", _LOADING, None, 1.0))

    def _probe(self) -> None:
        """Somebody disconnected, and ZeroMQ does not say who: greet everyone who has work here,
        and whoever cannot be reached is gone."""
        self._num_probes -= 1
        if self._service is not None:
            for client_id in self._service.clients_with_work():
                self.send(client_id, Pong(seq=-1, ready=self._service.ready))


def _messages(
    service: Service, client_id: bytes, frames: Iterable[bytes]
) -> Iterator[ClientMessage]:
    """What a client says, one after the other: the first is under way while the next is read."""
    for number, frame in enumerate(frames):
        if number == 1:
            # ZeroMQ's thread, which sends what came of the first one, may wait for this core.
            os.sched_yield()
        try:
            message = client_messages.decode(frame)
        except FrameError as error:
            service.on_bad_frame(client_id, str(error), request_id_in(frame))
        else:
            yield message
