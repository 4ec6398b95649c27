"""The front process: one loop over its sockets, and the engine's life. Started by __main__.py.

The loop never blocks on anything but its poll. Whatever else must wait (a child's end, a long
prompt's tokenization) does so in a thread that writes to the wake pipe.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import secrets
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, TypeVar

import zmq

from ..engine.process import watch_parent
from ..models.errors import ModelLoadError
from ..models.resolve import resolve_model
from ..protocol import (
    PROTOCOL_VERSION,
    ClientMessage,
    EngineCommand,
    EngineFatal,
    EngineReady,
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
    engine_events,
)
from ..tokenizer import Tokenizer, TokenizerError
from .clients import ClientSocket
from .curve import Gatekeeper, load_keys
from .endpoint import Endpoint, EndpointError, PrivateDirectory
from .journal import Journal
from .model import describe, engine_config, serving_facts
from .options import Options
from .report import Log, report_failure, report_ready
from .service import Service
from .supervisor import TOO_OFTEN, EngineProcess, Restarts, how_it_ended
from .tracing import Spans, TracingError, spans_of_environment
from .watch import LoopWatch

if TYPE_CHECKING:
    from .http.server import HttpServer

Prepared = TypeVar("Prepared")

_TICK_S: Final = 0.1
_MESSAGES_PER_TURN: Final = 256
_ENGINE_STOP_S: Final = 2.0
# Writing a saved cache takes a second per gigabyte or two; a second signal cuts it short.
_ENGINE_SAVE_S: Final = 60.0
# A peer's pipe is gone a moment after its disconnection is reported: look a few times.
_PROBES: Final = 4
_PROBE_PAUSE_S: Final = 0.02
# Who HTTP is to the service. ZeroMQ's own names with a leading zero have five bytes.
_HTTP_CLIENT: Final = b"\0branchline-http"
_LOADING: Final = "the runtime is still loading its model"


class Fatal(Exception):
    """The runtime cannot go on; the message is for the user."""


class _Stopped(Exception):
    """A signal came while the runtime was still starting."""


class Front:
    """See the module's text. `run` returns the exit status."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._log = Log(as_json=options.log_format == "json")
        self._spans: Spans | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._poller = zmq.Poller()
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_out, False)
        os.set_blocking(self._wake_in, False)
        self._errands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="tokenize")
        self._private: PrivateDirectory | None = None
        self._endpoint: Endpoint | None = None
        self._clients: ClientSocket | None = None
        self._gatekeeper: Gatekeeper | None = None
        self._http: HttpServer | None = None
        self._engine: EngineProcess | None = None
        self._engine_started_s = 0.0
        self._engine_ready = False
        self._engine_hang_s: float | None = None
        self._engine_condemned = False
        self._loop_watch = LoopWatch()
        self._engine_fault = ""
        self._num_engines = 0
        self._restarts = Restarts()
        self._restart_at_s: float | None = None
        self._service: Service | None = None
        self._tokenizer: Tokenizer | None = None
        self._model_dir: Path | None = None
        self._gone: list[bytes] = []
        self._num_probes = 0
        self._num_signals = 0
        self._opening = True
        self._orphaned = False
        self._drain_until_s: float | None = None
        self._next_tick_s = 0.0

    # --- life ---

    def run(self) -> int:
        """Serve until told to stop. 0 after a polite end, 1 after a failure."""
        self._catch_signals()
        try:
            try:
                self._open()
            finally:
                self._opening = False
            while not self._finished():
                self._turn()
        except _Stopped:
            return 0
        except (Fatal, EndpointError, ModelLoadError, TokenizerError, TracingError) as error:
            ready_fd = None if self._service is not None else self._options.ready_fd
            report_failure(str(error), ready_fd)
            return 1
        else:
            return 0 if self._num_signals < 2 else 130
        finally:
            self._close()

    def _catch_signals(self) -> None:
        def on_signal(number: int, frame: FrameType | None) -> None:
            self._num_signals += 1
            if self._opening:
                raise _Stopped

        signal.set_wakeup_fd(self._wake_in, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, on_signal)
        if self._options.parent_pid is not None:
            watch_parent(self._options.parent_pid, lambda: self._wake(self._on_orphaned))

    def _open(self) -> None:
        self._spans = spans_of_environment()
        self._private = PrivateDirectory()
        clients = self._clients = ClientSocket(self._context)
        if self._options.curve is not None:
            self._gatekeeper = Gatekeeper(self._context, load_keys(*self._options.curve))
            self._gatekeeper.guard(clients.router)
            self._poller.register(self._gatekeeper.socket, zmq.POLLIN)
        self._endpoint = Endpoint(
            self._options.bind,
            clients.router,
            self._private,
            keyed=self._gatekeeper is not None,
        )
        self._poller.register(self._wake_out, zmq.POLLIN)
        self._poller.register(clients.router, zmq.POLLIN)
        self._poller.register(clients.monitor, zmq.POLLIN)
        self._model_dir = resolve_model(self._options.engine.model)
        self._start_engine()
        if self._options.http is not None:
            # Half a second of imports, which only those pay who want HTTP.
            from .http.server import HttpServer

            self._http = HttpServer(
                self._options.http, lambda message: self._wake(lambda: self._on_http(message))
            )
        self._tokenizer = Tokenizer.load(self._model_dir)

    def _finished(self) -> bool:
        """Whether the loop may end; turns a first signal into draining."""
        if self._num_signals == 0 and not self._orphaned:
            return False
        if self._num_signals > 1 or self._service is None:
            return True
        now_s = time.monotonic()
        if self._drain_until_s is None:
            self._service.drain()
            self._drain_until_s = now_s + (0.0 if self._orphaned else self._options.drain_s)
        if self._service.num_in_flight and now_s < self._drain_until_s:
            return False
        self._service.abort_all("the runtime is shutting down")
        return True

    def _close(self) -> None:
        """Leave nothing behind: no process, no socket, no file."""
        if self._http is not None:
            self._http.flush()
        if self._engine is not None:
            # An engine that is still loading does not listen yet.
            polite_s = _ENGINE_STOP_S if self._options.engine.cache_file is None else _ENGINE_SAVE_S
            self._engine.stop(
                polite_s if self._engine_ready else 0.0, hurry=lambda: self._num_signals > 1
            )
            self._engine.close()
        if self._clients is not None:
            # The last answers (ends of aborted requests) get a moment to leave.
            self._clients.close(linger_ms=200)
        if self._gatekeeper is not None:
            self._gatekeeper.close()
        if self._http is not None:
            self._http.stop()
        self._context.term()
        if self._spans is not None:
            self._spans.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._endpoint is not None:
            self._endpoint.remove()
        if self._private is not None:
            self._private.remove()
        if self._options.address_file is not None and self._service is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._options.address_file)

    # --- the loop ---

    def _turn(self) -> None:
        now_s = time.monotonic()
        pause_s = _PROBE_PAUSE_S if self._num_probes else max(0.0, self._next_tick_s - now_s)
        ready = dict(self._poller.poll(math.ceil(pause_s * 1000)))
        if self._wake_out in ready:
            self._run_errands()
        if self._gatekeeper is not None and self._gatekeeper.socket in ready:
            self._gatekeeper.answer()
        if self._engine is not None and self._engine.channel in ready:
            self._read_engine()
        clients = self._clients
        assert clients is not None
        if clients.router in ready:
            self._read_clients(clients)
        if clients.monitor in ready and clients.somebody_left():
            self._num_probes = _PROBES
        if self._num_probes:
            self._probe()
        now_s = time.monotonic()
        if now_s >= self._next_tick_s:
            self._next_tick_s = now_s + _TICK_S
            self._tick(now_s)
        while self._gone and self._service is not None:
            self._service.on_client_gone(self._gone.pop())
        if self._http is not None:
            self._http.flush()

    def _tick(self, now_s: float) -> None:
        if self._restart_at_s is not None and now_s >= self._restart_at_s:
            self._restart_at_s = None
            self._start_engine()
        engine = self._engine
        if engine is not None and not self._engine_ready:
            if now_s > self._engine_started_s + self._options.engine_start_s:
                raise Fatal(f"the engine did not start within {self._options.engine_start_s:g} s")
            return
        if self._service is None:
            return
        if self._http is not None:
            if not self._http.alive:
                raise Fatal("the HTTP server ended")
            # It lives exactly as long as this process: it is greeted for it, and never lost.
            self._service.on_message(_HTTP_CLIENT, Hello(version=PROTOCOL_VERSION))
        if engine is not None:
            self._watch(engine, self._service, now_s)
        self._service.tick()

    def _watch(self, engine: EngineProcess, service: Service, now_s: float) -> None:
        """Kill an engine whose loop hangs."""
        moved = engine.moved()
        if moved:
            service.on_engine_pulse()
        hang_s = self._options.engine_hang_s or self._engine_hang_s
        if hang_s is None or self._engine_condemned:
            return
        still_s = self._loop_watch.look(now_s, moved, engine.queued_s, hang_s)
        if still_s is not None:
            self._engine_condemned = True
            self._log.notice(f"the engine's loop stood still for {still_s:.1f} s and is killed")
            engine.kill_hung()

    def _wake(self, errand: Callable[[], None]) -> None:
        """Run an errand on the loop's thread; called from other threads."""
        self._errands.put(errand)
        # A full pipe wakes the loop just as well.
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_in, b"\0")

    def _run_errands(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_out, 4096)
        with contextlib.suppress(queue.Empty):
            while True:
                self._errands.get_nowait()()

    def _offload(self, work: Callable[[], Prepared], then: Callable[[Prepared], None], /) -> None:
        def run() -> None:
            result = work()
            self._wake(lambda: then(result))

        self._threads.submit(run)

    def _on_orphaned(self) -> None:
        self._orphaned = True

    # --- clients ---

    def _read_clients(self, clients: ClientSocket) -> None:
        for client_id, frames in clients.receive():
            if self._service is None:
                self._to_client(client_id, Error(None, "unavailable", _LOADING, None, 1.0))
                continue
            if len(frames) != 1:
                self._service.on_bad_frame(client_id, f"{len(frames)} parts instead of one")
                continue
            try:
                message = client_messages.decode(frames[0])
            except FrameError as error:
                self._service.on_bad_frame(client_id, str(error))
                continue
            self._service.on_message(client_id, message)

    def _on_http(self, message: ClientMessage) -> None:
        """A request of an HTTP client."""
        if self._service is not None:
            self._service.on_message(_HTTP_CLIENT, message)
        elif not isinstance(message, Hello | Ping | Release | RunPlan | Unpin):
            self._to_client(_HTTP_CLIENT, Error(message.rid, "unavailable", _LOADING, None, 1.0))

    def _to_client(self, client_id: bytes, message: FrontMessage) -> None:
        if client_id == _HTTP_CLIENT:
            if self._http is not None and not isinstance(message, Welcome | Pong):
                self._http.deliver(message)
            return
        assert self._clients is not None
        if not self._clients.send(client_id, message):
            self._gone.append(client_id)

    def _probe(self) -> None:
        """Somebody disconnected, and ZeroMQ does not say who: greet everyone who has work here,
        and whoever cannot be reached is gone."""
        self._num_probes -= 1
        if self._service is not None:
            for client_id in self._service.clients_with_work():
                self._to_client(client_id, Pong(seq=-1, ready=self._service.ready))

    # --- the engine ---

    def _start_engine(self) -> None:
        assert self._private is not None
        assert self._model_dir is not None
        self._num_engines += 1
        self._engine_ready = False
        self._engine_started_s = time.monotonic()
        self._engine = EngineProcess(
            self._context,
            self._private.path,
            self._num_engines,
            engine_config(self._options.engine, self._model_dir),
            on_exit=lambda engine: self._wake(lambda: self._on_engine_exit(engine)),
        )
        self._poller.register(self._engine.channel, zmq.POLLIN)

    def _read_engine(self) -> None:
        engine = self._engine
        assert engine is not None
        for _ in range(_MESSAGES_PER_TURN):
            try:
                event = engine_events.decode(engine.channel.recv(zmq.NOBLOCK))
            except zmq.Again:
                return
            except FrameError as error:
                self._log.notice(
                    f"the engine sent a frame that is no message and is killed: {error}"
                )
                engine.kill()
                return
            if isinstance(event, EngineReady):
                self._on_engine_ready(event)
            elif isinstance(event, EngineFatal):
                self._engine_fault = event.message
            elif self._service is not None:
                self._service.on_engine_event(event)

    def _to_engine(self, command: EngineCommand) -> None:
        if self._engine is not None and not self._engine.send(command):
            self._log.notice("the engine does not read its messages and is killed")
            self._engine.kill()

    def _on_engine_ready(self, ready: EngineReady) -> None:
        self._engine_ready = True
        self._engine_hang_s = ready.hang_s
        self._engine_condemned = False
        self._loop_watch = LoopWatch()
        self._engine_fault = ""
        if self._service is not None:
            self._service.on_engine_back()
            return
        assert self._tokenizer is not None
        assert self._model_dir is not None
        journal = Journal(
            model=self._options.engine.model,
            log=self._log if self._options.log_requests else None,
            spans=self._spans,
        )
        if self._http is not None:
            journal.sinks.append(self._http.note)
        self._service = Service(
            self._tokenizer,
            describe(self._options.engine.model, self._model_dir, self._tokenizer, ready),
            to_client=self._to_client,
            to_engine=self._to_engine,
            epoch=secrets.token_hex(8),
            context_limit=min(ready.context_length, ready.num_slots),
            limits=self._options.limits,
            offload=self._offload,
            on_request_end=journal.request_ended,
        )
        assert self._endpoint is not None
        http_url = None
        if self._http is not None:
            http_url = self._http.url
            self._service.on_message(_HTTP_CLIENT, Hello(version=PROTOCOL_VERSION))
            self._http.serve(self._service.model, self._tokenizer)
        report_ready(
            self._endpoint.address,
            http_url,
            self._options.ready_fd,
            self._options.address_file,
            serving_facts(self._service.model, ready) if self._options.log_format == "text" else {},
        )

    def _on_engine_exit(self, engine: EngineProcess) -> None:
        if engine is not self._engine:
            return
        # Results that it sent before its end still count, and so does its reason.
        self._read_engine()
        self._poller.unregister(engine.channel)
        engine.close()
        self._engine = None
        how = how_it_ended(engine.exit_status)
        if self._service is None:
            raise Fatal(self._engine_fault or f"the engine ended while starting ({how})")
        reason = self._engine_fault or f"the engine died ({how})"
        self._service.on_engine_lost(f"{reason}; it is being started again")
        now_s = time.monotonic()
        pause_s = self._restarts.note(now_s)
        if pause_s is None:
            raise Fatal(f"{reason}, {TOO_OFTEN}; giving up")
        self._log.notice(f"{reason}; starting it again")
        self._restart_at_s = now_s + pause_s
        self._next_tick_s = self._restart_at_s
