"""The HTTP server: uvicorn on a thread of the front process. Started and stopped by front.py."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

import uvicorn

from ...protocol import ClientMessage, FrontMessage, ModelInfo
from ...tokenizer import Tokenizer
from ..descriptors import connections_within
from ..entrance import Entrance
from ..history import Record
from .app import build_app
from .connection import BoundedConnection
from .door import Door
from .gate import MAX_HEAD_BYTES
from .link import Link
from .listener import BoundedListener, ignore_full
from .metrics import Metrics
from .settings import HttpSettings, listen, url_of

_STOP_S: Final = 3
_MAX_CONNECTIONS: Final = 2_048
# Beyond that, some are taken to be told 503.
_TOLD: Final = 256


class HttpServer:
    """Listening when the constructor returns; raises EndpointError when it cannot.

    post: takes a client's message to the service; called on HTTP's thread.

    All methods are called by the thread of front.py's loop.
    """

    def __init__(self, settings: HttpSettings, post: Callable[[ClientMessage], None]) -> None:
        most = connections_within(_MAX_CONNECTIONS + _TOLD)
        self._listener = BoundedListener(listen(settings), most)
        self.url = url_of(self._listener)
        self._link = Link(post)
        self._metrics = Metrics()
        self._door = Door(self._metrics)
        self._outbox: list[FrontMessage] = []
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(ignore_full)
        self._server = uvicorn.Server(
            uvicorn.Config(
                build_app(self._link, settings, self._metrics, self._door),
                # On h11, which bounds the head of a request; httptools does not.
                http=partial(BoundedConnection, door=self._door),  # type: ignore[arg-type]
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Nobody's word about addresses is taken.
                proxy_headers=False,
                limit_concurrency=min(_MAX_CONNECTIONS, most),
                timeout_graceful_shutdown=_STOP_S,
            )
        )
        self._thread = threading.Thread(target=self._main, name="http", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def serve(self, model: ModelInfo, tokenizer: Tokenizer, entrance: Entrance) -> None:
        """The runtime is ready."""
        self._door.entrance = entrance
        self._call(self._link.install, model, tokenizer)

    def deliver(self, message: FrontMessage) -> None:
        """An answer of the service; it travels with the next `flush`."""
        self._outbox.append(message)

    def note(self, record: Record) -> None:
        """A request that ended, whoever sent it; for the metrics."""
        self._metrics.observe_request(record)

    def flush(self) -> None:
        """Hand over what was delivered, with one wake-up of HTTP's loop."""
        if self._outbox:
            messages, self._outbox = self._outbox, []
            self._call(self._link.deliver, messages)

    def stop(self) -> None:
        """End; what was delivered gets a moment to leave."""
        self.flush()
        self._server.should_exit = True
        self._thread.join(_STOP_S + 1)
        self._listener.close()

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        # The loop has ended only where the thread failed, which front.py sees by itself.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._server.serve(sockets=[self._listener]))
        finally:
            self._loop.close()
