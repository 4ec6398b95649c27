"""The engine's life as the front process sees it: started, listened to, watched, and started again.
Used by front.py; one engine process is supervisor.py's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zmq

from ..engine.config import EngineConfig
from ..engine_protocol import EngineCommand, EngineEvent, EngineFatal, EngineReady, engine_events
from ..protocol import FrameError
from .errands import Errands
from .report import Log
from .supervisor import TOO_OFTEN, EngineProcess, Restarts, how_it_ended
from .watch import LoopWatch

_STOP_S: Final = 2.0
# Writing a saved cache takes a second per gigabyte or two; a second signal cuts it short.
_SAVE_S: Final = 60.0


class EngineLost(Exception):
    """There will be no engine any more; the message is for the user."""


@dataclass(frozen=True, slots=True)
class EngineNews:
    """Whom the keeper tells: of an engine that is ready (the first or another), of what it says,
    that its loop turns, and that it is gone."""

    ready: Callable[[EngineReady], None]
    event: Callable[[EngineEvent], None]
    pulse: Callable[[], None]
    lost: Callable[[str], None]


class EngineKeeper:
    """Sees to it that an engine runs. All methods are called by the loop's thread.

    start_s: how long an engine may load. hang_s: see Options.engine_hang_s.
    """

    def __init__(
        self,
        poller: zmq.Poller,
        errands: Errands,
        log: Log,
        news: EngineNews,
        *,
        start_s: float,
        hang_s: float | None,
    ) -> None:
        self._poller = poller
        self._errands = errands
        self._log = log
        self._news = news
        self._start_s = start_s
        self._hang_s = hang_s
        self._engine: EngineProcess | None = None
        self._launch: Callable[[], EngineProcess] | None = None
        self._started_s = 0.0
        self._ready = False
        self._was_ready = False
        self._own_hang_s: float | None = None
        self._condemned = False
        self._watch = LoopWatch()
        self._fault = ""
        self._num_engines = 0
        self._restarts = Restarts()
        self._restart_at_s: float | None = None

    @property
    def loading(self) -> bool:
        """Whether there is an engine that is not ready yet."""
        return self._engine is not None and not self._ready

    def start(self, folder: Path, config: EngineConfig) -> None:
        """Start the first engine; later ones are its likes. folder: for its pulse."""

        def launch() -> EngineProcess:
            return EngineProcess(
                folder,
                self._num_engines,
                config,
                on_exit=lambda engine: self._errands.add(lambda: self._on_exit(engine)),
            )

        self._launch = launch
        self._start_another()

    def send(self, command: EngineCommand) -> None:
        """Tell the engine; what is said while there is none is lost with the requests."""
        if self._engine is None:
            return
        if not self._engine.send(command):
            self._log.notice("the engine does not read its messages and is killed")
            self._engine.kill()
        elif self._engine.channel.has_unsent:
            self._listen(self._engine)

    def read(self, ready: dict[object, int]) -> None:
        """Pass on what the engine says, where the poll found its channel ready."""
        engine = self._engine
        if engine is None or engine.channel.fileno() not in ready:
            return
        engine.channel.flush()
        self._read(engine)
        self._listen(engine)

    def tick(self, now_s: float) -> None:
        """Start an engine that is due; give up on one that does not load. Raises EngineLost."""
        if self._restart_at_s is not None and now_s >= self._restart_at_s:
            self._restart_at_s = None
            self._start_another()
        if self.loading and now_s > self._started_s + self._start_s:
            raise EngineLost(f"the engine did not start within {self._start_s:g} s")

    def watch(self, now_s: float) -> None:
        """Kill an engine whose loop hangs."""
        engine = self._engine
        if engine is None:
            return
        moved = engine.moved()
        if moved:
            self._news.pulse()
        hang_s = self._own_hang_s if self._hang_s is None else self._hang_s
        if hang_s is None or self._condemned:
            return
        still_s = self._watch.look(now_s, moved, engine.threads, hang_s)
        if still_s is not None:
            self._condemned = True
            self._log.notice(f"the engine's loop stood still for {still_s:.1f} s and is killed")
            engine.kill_hung()

    def stop(self, *, saves: bool, hurry: Callable[[], bool]) -> None:
        """End the engine. saves: it writes its cache first; hurry: whether to cut that short."""
        if self._engine is None:
            return
        # An engine that is still loading does not listen yet.
        polite_s = 0.0 if not self._ready else _SAVE_S if saves else _STOP_S
        self._engine.stop(polite_s, hurry=hurry)
        self._engine.close()

    def _start_another(self) -> None:
        assert self._launch is not None
        self._num_engines += 1
        self._ready = False
        self._started_s = time.monotonic()
        self._engine = self._launch()
        self._listen(self._engine)

    def _listen(self, engine: EngineProcess) -> None:
        """Be told when something comes, or there is room for what is to leave; of a channel that
        has ended, nothing any more."""
        channel = engine.channel
        events = zmq.POLLIN | (zmq.POLLOUT if channel.has_unsent else 0)
        self._poller.register(channel.fileno(), 0 if channel.is_closed else events)

    def _read(self, engine: EngineProcess) -> bool:
        """Pass on what has come, a bounded number, for others wait too; whether something had."""
        try:
            frames = engine.channel.receive()
            for frame in frames or ():
                self._hear(engine_events.decode(frame))
        except FrameError as error:
            self._log.notice(f"the engine sent a frame that is no message and is killed: {error}")
            # Its end may take a while, and more may come.
            engine.channel.stop_receiving()
            engine.kill()
            return False
        return frames is not None

    def _hear(self, event: EngineEvent) -> None:
        if isinstance(event, EngineReady):
            self._on_ready(event)
        elif isinstance(event, EngineFatal):
            self._fault = event.message
        else:
            self._news.event(event)

    def _on_ready(self, ready: EngineReady) -> None:
        self._ready = self._was_ready = True
        self._own_hang_s = ready.hang_s
        self._condemned = False
        self._watch = LoopWatch()
        self._fault = ""
        self._news.ready(ready)

    def _on_exit(self, engine: EngineProcess) -> None:
        if engine is not self._engine:
            return
        # Results that it sent before its end still count, and so does its reason.
        while self._read(engine):
            pass
        self._poller.register(engine.channel.fileno(), 0)
        engine.close()
        self._engine = None
        how = how_it_ended(engine.exit_status)
        if not self._was_ready:
            raise EngineLost(self._fault or f"the engine ended while starting ({how})")
        reason = self._fault or f"the engine died ({how})"
        self._news.lost(f"{reason}; it is being started again")
        now_s = time.monotonic()
        pause_s = self._restarts.note(now_s, served=self._ready)
        if pause_s is None:
            raise EngineLost(f"{reason}, {TOO_OFTEN}; giving up")
        self._log.notice(f"{reason}; starting it again")
        self._restart_at_s = now_s + pause_s
