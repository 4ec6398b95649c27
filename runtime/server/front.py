"""The front process: one loop over its sockets, from its start to its end. Started by __main__.py.

The loop never blocks on anything but its poll. Whatever else must wait (a child's end, a long
prompt's tokenization) does so in a thread that comes back through errands.py. Its rooms:
reception.py (clients), engine_keeper.py (the engine's life), service.py (the requests).
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

import zmq

from ..engine.process import watch_parent
from ..engine_protocol import EngineEvent, EngineReady
from ..models.errors import ModelLoadError
from ..models.resolve import resolve_model
from ..tokenizer import Tokenizer, TokenizerError
from . import garbage
from .endpoint import EndpointError, PrivateDirectory
from .engine_keeper import EngineKeeper, EngineLost, EngineNews
from .errands import Errands
from .journal import Journal
from .model import describe, engine_config, serving_facts
from .options import Options
from .reception import PROBE_PAUSE_S, Reception
from .report import Log, report_failure, report_ready
from .service import Service
from .tracing import Spans, TracingError, spans_of_environment

_TICK_S: Final = 0.1
_SHUTTING: Final = "the runtime is shutting down"


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
        self._errands = Errands()
        self._reception = Reception(self._context, self._poller, self._errands)
        self._keeper = EngineKeeper(
            self._poller,
            self._errands,
            self._log,
            EngineNews(
                self._on_engine_ready,
                self._on_engine_event,
                self._on_engine_pulse,
                self._on_engine_lost,
            ),
            start_s=options.engine_start_s,
            hang_s=options.engine_hang_s,
        )
        self._private: PrivateDirectory | None = None
        self._service: Service | None = None
        self._tokenizer: Tokenizer | None = None
        self._model_dir: Path | None = None
        self._num_signals = 0
        self._opening = True
        self._orphaned = False
        self._drain_until_s: float | None = None
        self._next_tick_s = 0.0
        # What is put off while the engine's news are read.
        self._works: list[Callable[[], None]] | None = None

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
        except (
            Fatal,
            EngineLost,
            EndpointError,
            ModelLoadError,
            TokenizerError,
            TracingError,
        ) as error:
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

        signal.set_wakeup_fd(self._errands.wake_in, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, on_signal)
        if self._options.parent_pid is not None:
            watch_parent(self._options.parent_pid, lambda: self._errands.add(self._on_orphaned))

    def _open(self) -> None:
        options = self._options
        self._say(f"loading {options.engine.model} ...")
        self._spans = spans_of_environment()
        self._private = PrivateDirectory()
        self._reception.open(options.bind, options.curve, self._private)
        self._poller.register(self._errands.wake_out, zmq.POLLIN)
        self._model_dir = resolve_model(options.engine.model)
        self._keeper.start(self._private.path, engine_config(options.engine, self._model_dir))
        if options.http is not None:
            self._reception.open_http(options.http)
        self._tokenizer = Tokenizer.load(self._model_dir)

    def _say(self, text: str) -> None:
        """A word for whoever started this from a terminal; a program's own runtime is silent."""
        if self._options.ready_fd is None:
            self._log.notice(text)

    def _on_orphaned(self) -> None:
        self._orphaned = True

    def _finished(self) -> bool:
        """Whether the loop may end; turns a first signal into draining."""
        if self._num_signals == 0 and not self._orphaned:
            return False
        if self._service is None:
            return True
        if self._num_signals > 1:
            self._service.abort_all(_SHUTTING)
            return True
        now_s = time.monotonic()
        if self._drain_until_s is None:
            self._service.drain()
            self._drain_until_s = now_s + (0.0 if self._orphaned else self._options.drain_s)
            if not self._orphaned:
                self._say(_draining(self._service.num_in_flight, self._options.drain_s))
        if self._service.num_in_flight and now_s < self._drain_until_s:
            return False
        self._service.abort_all(_SHUTTING)
        return True

    def _close(self) -> None:
        """Leave nothing behind: no process, no socket, no file."""
        self._reception.flush()
        if self._service is not None:
            self._service.close()
        self._keeper.stop(
            saves=self._options.engine.cache_file is not None,
            hurry=lambda: self._num_signals > 1,
        )
        self._reception.close()
        self._context.term()
        if self._spans is not None:
            self._spans.close()
        self._errands.close()
        self._reception.remove()
        if self._private is not None:
            self._private.remove()
        if self._options.address_file is not None and self._service is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._options.address_file)

    # --- the loop ---

    def _turn(self) -> None:
        now_s = time.monotonic()
        probing = self._reception.probing
        pause_s = PROBE_PAUSE_S if probing else max(0.0, self._next_tick_s - now_s)
        ready = dict(self._poller.poll(math.ceil(pause_s * 1000)))
        if self._errands.wake_out in ready:
            self._errands.run()
        self._hear_engine(ready)
        self._reception.turn(ready)
        now_s = time.monotonic()
        if now_s >= self._next_tick_s:
            self._next_tick_s = now_s + _TICK_S
            self._tick(now_s)
        self._reception.flush()

    def _hear_engine(self, ready: dict[object, int]) -> None:
        """Take its news, send the answers, and then do what these leave to do."""
        works = self._works = []
        self._keeper.read(ready)
        self._works = None
        if works:
            self._reception.flush()
            for work in works:
                work()

    def _afterwards(self, work: Callable[[], None]) -> None:
        """Do it when the answers to be sent have left, where that is soon."""
        if self._works is None:
            work()
        else:
            self._works.append(work)

    def _tick(self, now_s: float) -> None:
        self._keeper.tick(now_s)
        if self._keeper.loading or self._service is None:
            return
        if not self._reception.alive:
            raise Fatal("the HTTP server ended")
        self._reception.greet_http()
        self._keeper.watch(now_s)
        self._service.tick()

    # --- the engine ---

    def _on_engine_event(self, event: EngineEvent) -> None:
        if self._service is not None:
            self._service.on_engine_event(event)

    def _on_engine_pulse(self) -> None:
        if self._service is not None:
            self._service.on_engine_pulse()

    def _on_engine_lost(self, reason: str) -> None:
        # Another one is due: look at once.
        self._next_tick_s = 0.0
        if self._service is not None:
            self._service.on_engine_lost(reason)

    def _on_engine_ready(self, ready: EngineReady) -> None:
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
        journal.sinks.append(self._reception.note)
        model = describe(self._options.engine.model, self._model_dir, self._tokenizer, ready)
        self._service = Service(
            self._tokenizer,
            model,
            to_client=self._reception.send,
            to_engine=self._keeper.send,
            epoch=secrets.token_hex(8),
            context_limit=model.context_length,
            pool_limits=ready.num_slots < ready.context_length,
            limits=self._options.limits,
            offload=self._errands.offload,
            on_request_end=journal.request_ended,
            afterwards=self._afterwards,
        )
        garbage.begin()
        self._reception.serve(self._service, self._tokenizer)
        if ready.num_slots < ready.context_length:
            self._log.notice(
                f"the KV cache holds {ready.num_slots:,} tokens, less than the context of "
                f"{ready.context_length:,}: longer prompts are refused; raise --kv-slots"
            )
        report_ready(
            self._reception.address,
            self._reception.http_url,
            self._options.ready_fd,
            self._options.address_file,
            serving_facts(model, ready) if self._options.log_format == "text" else {},
        )


def _draining(num_requests: int, drain_s: float) -> str:
    if not num_requests:
        return "shutting down"
    many = "request" if num_requests == 1 else "requests"
    return f"draining {num_requests} {many}, up to {drain_s:g} s; Ctrl-C again ends at once"
