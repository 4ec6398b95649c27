"""The engine process: EngineCore behind a channel to the front. Started by server/supervisor.py as
`python -m branchline.runtime.engine.process`; `execute` is used by branchline/engine.py too.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from ..channel import Channel
from ..engine_protocol import (
    Drop,
    EngineCommand,
    EngineDump,
    EngineDumped,
    EngineEvent,
    EngineFatal,
    EngineFlush,
    EngineFlushed,
    EngineInspect,
    EngineInspected,
    EnginePin,
    EnginePing,
    EnginePinned,
    EnginePong,
    EngineProfile,
    EngineProfiled,
    EngineReady,
    EngineRelease,
    EngineStop,
    EngineUnpin,
    Failed,
    Follow,
    NextCall,
    StepEvents,
    Submit,
    TreeNode,
    engine_commands,
)
from ..errors import RequestError
from ..protocol import MAX_FRAME_BYTES, encode
from ..standard_error import unfailing_stderr
from ..views import EngineQuery, EngineView
from . import garbage
from .config import EngineConfig
from .heartbeat import Heartbeat
from .profiling import Profiler

_log = logging.getLogger(__name__)

_PARENT_POLL_S: Final = 0.2
_TURNS_UNASKED: Final = 64
# Nothing came for so long: whoever goes on at once is not held up.
_REST_MS: Final = 500

# How long the loop may stand still before it is taken to hang: on a CPU, on a device for which
# kernels are compiled at their first use, and where a step's length is not known.
_HANG_S: Final = 1.5
_HANG_COMPILING_S: Final = 60.0
_HANG_UNKNOWN_S: Final = 300.0
# A step, or a layer, of more multiplications may take half a second on a slow core.
_LONG_STEP: Final = 10_000_000_000


class CacheOnDisk(Protocol):
    """What saving and loading need of `EngineCore`."""

    def save_cache(self, path: Path, /) -> int: ...
    def load_cache(self, path: Path, /) -> int: ...


class Core(CacheOnDisk, Protocol):
    """What the loop needs of `EngineCore`."""

    @property
    def has_work(self) -> bool: ...
    @property
    def profiler(self) -> Profiler: ...
    def submit(self, command: Submit, /) -> None: ...
    def follow(self, sid: int, calls: list[NextCall], /) -> None: ...
    def drop(self, sid: int, /) -> None: ...
    def step(self) -> StepEvents: ...
    def flush_cache(self) -> int: ...
    def release_sessions(self, sessions: list[int], /) -> None: ...
    def pin(self, namespace: str, input_ids: list[int], ttl_s: float, /) -> tuple[int, int]: ...
    def unpin(self, pin: int, /) -> bool: ...
    def dump_tree(self, max_nodes: int, max_chars: int) -> list[TreeNode]: ...
    def stats(self) -> dict[str, float]: ...
    def inspect(self, namespace: str, query: EngineQuery, /) -> EngineView: ...
    def close(self) -> None: ...


def execute(core: Core, command: EngineCommand) -> EngineEvent | None:
    """Carry out one command (any but EngineStop); its answer, if it has one."""
    match command:
        case Submit(sid=sid):
            try:
                core.submit(command)
            except RequestError as error:
                failed = Failed(sid, error.code, error.message, error.pointer)
                return StepEvents(failed=[failed])
            except Exception as error:
                # One request can never end the engine; the trace is for its developers.
                traceback.print_exc()
                failed = Failed(sid, "internal", f"{type(error).__name__} in the engine: {error}")
                return StepEvents(failed=[failed])
        case Follow(sid=sid, calls=calls):
            core.follow(sid, calls)
        case Drop(sid=sid):
            core.drop(sid)
        case EnginePing(seq=seq):
            return EnginePong(seq, core.stats())
        case EngineFlush(seq=seq):
            return EngineFlushed(seq, core.flush_cache())
        case EngineRelease(sessions=sessions):
            core.release_sessions(sessions)
        case EnginePin(seq=seq):
            try:
                pin, num_tokens = core.pin(command.namespace, command.input_ids, command.ttl_s)
            except RequestError as error:
                return EnginePinned(seq, 0, 0, error.message)
            return EnginePinned(seq, pin, num_tokens)
        case EngineUnpin(pin=pin):
            core.unpin(pin)
        case EngineProfile(seq=seq, active=active):
            try:
                if active:
                    core.profiler.start()
                    return EngineProfiled(seq, None)
                return EngineProfiled(seq, core.profiler.stop())
            except RequestError as error:
                return EngineProfiled(seq, None, error.message)
        case EngineInspect(seq=seq, namespace=namespace, query=query):
            return EngineInspected(seq, core.inspect(namespace, query))
        case EngineDump(seq=seq):
            nodes = core.dump_tree(command.max_nodes, command.max_chars)
            stats = core.stats()
            return EngineDumped(seq, nodes, int(stats["cache_nodes"]), int(stats["cached_tokens"]))
    return None


def run(
    core: Core,
    channel: Channel,
    beat: Callable[[], None] = lambda: None,
    num_sent: Callable[[], int] = lambda: -1,
) -> None:
    """Step while there is work, obey what arrives, until EngineStop, or until the front is gone or
    does not read; `beat` with every turn and every command: a thousand that come at once are no
    standstill.

    num_sent: how many commands were sent so far. While that is as many as have come, the channel is
    asked now and then only.
    """
    num_heard = num_unasked = 0
    while True:
        beat()
        idle = not core.has_work
        if idle and not channel.wait(_REST_MS):
            garbage.collect_at_rest()
            channel.wait()
        num_unasked += 1
        if idle or num_sent() != num_heard or num_unasked == _TURNS_UNASKED:
            num_unasked = 0
            channel.flush()
            for frame in channel.receive() or ():
                num_heard += 1
                beat()
                command = engine_commands.decode(frame)
                if isinstance(command, EngineStop):
                    return
                answer = execute(core, command)
                if answer is not None and not channel.send(encode(answer)):
                    return
            if channel.is_closed:
                return
            garbage.collect_if_needed()
            idle = not core.has_work
        if not idle:
            events = core.step()
            if (events.progress or events.failed) and not channel.send(encode(events)):
                return


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m branchline.runtime.engine.process")
    parser.add_argument("--channel", required=True, type=int, help="the socket's descriptor")
    parser.add_argument("--parent-pid", required=True, type=int)
    parser.add_argument("--config", required=True, help="EngineConfig as JSON")
    parser.add_argument("--heartbeat", required=True, type=Path, help="a Pulse's file")
    given = parser.parse_args(argv)
    unfailing_stderr()
    die_with_parent(given.parent_pid)
    # Ctrl-C in a terminal reaches the front process, which ends this one politely.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The front asks a loop that hangs where it does; this answers from within native code, too.
    faulthandler.register(signal.SIGUSR1)
    heartbeat = Heartbeat(given.heartbeat)
    config = msgspec.json.decode(given.config, type=EngineConfig)
    os.set_inheritable(given.channel, False)
    channel = Channel(socket.socket(fileno=given.channel), MAX_FRAME_BYTES * 2)
    try:
        core, ready = load(config)
    except Exception as error:
        channel.send(encode(EngineFatal(_reason(error))))
        status = 1
    else:
        garbage.begin()
        hang_s = _hang_s(core, heartbeat, config)
        channel.send(encode(msgspec.structs.replace(ready, hang_s=hang_s)))
        run(core, channel, heartbeat.beat, heartbeat.num_sent)
        save_cache(core, config.cache_file)
        status = 0
    channel.close()
    return status


def _hang_s(core: Core, heartbeat: Heartbeat, config: EngineConfig) -> float:
    """How long the loop may stand still. Models whose steps may take long beat in every layer,
    where the layers are a list of ours, and in every piece of it where our kernels compute it."""
    runner = getattr(core, "runner", None)
    if runner is None or runner.device.compiles:
        return _HANG_COMPILING_S
    counts = runner.device.count_at(heartbeat.work_address())
    model, shape = runner.model, runner.model_config
    if shape.num_parameters * config.chunk_tokens < _LONG_STEP:
        return _HANG_S
    layers = getattr(model, "layers", None)
    if not isinstance(layers, list):
        return _HANG_UNKNOWN_S
    heartbeat.follow(layers)
    if counts and model.stack is not None:
        return _HANG_S
    # Of a token in a layer, or of its logits.
    attended = 2 * runner.context_length * shape.num_heads * shape.head_dim
    layer = shape.num_parameters // shape.num_layers + attended
    widest: int = max(layer, shape.vocab_size * shape.hidden_size)
    return _HANG_S * max(1.0, widest * config.chunk_tokens / _LONG_STEP)


def load(config: EngineConfig) -> tuple[Core, EngineReady]:
    """The engine with its model. torch is imported here, after the channel is up."""
    from .core import EngineCore

    core = EngineCore(config)
    load_cache(core, config.cache_file)
    runner = core.runner
    ready = EngineReady(
        architecture=runner.architecture,
        context_length=runner.context_length,
        num_slots=runner.num_slots,
        execution=runner.execution,
    )
    return core, ready


def load_cache(core: CacheOnDisk, path: str | None) -> None:
    """Start warm, where a file is there that fits. One that does not costs a warning."""
    if path is None or not Path(path).exists():
        return
    try:
        num_tokens = core.load_cache(Path(path))
    except ValueError as error:
        _log.warning("starting with an empty cache: %s", error)
    else:
        _log.info("%d cached tokens loaded from %s", num_tokens, path)


def save_cache(core: CacheOnDisk, path: str | None) -> None:
    """Leave the cache for the next start. A disk that refuses costs a warning."""
    if path is None:
        return
    try:
        num_tokens = core.save_cache(Path(path))
    except (OSError, ValueError) as error:
        _log.warning("the cache was not saved: %s", error)
    else:
        _log.info("%d cached tokens saved to %s", num_tokens, path)


def _reason(error: Exception) -> str:
    """What a user should read; a failure that nobody foresaw also leaves its trace."""
    from ..models.errors import ModelLoadError

    if isinstance(error, ModelLoadError | RequestError | OSError | ValueError):
        return str(error)
    traceback.print_exception(error)
    return f"the engine could not start: {type(error).__name__}: {error}"


def die_with_parent(parent_pid: int) -> None:
    """End this process as soon as its parent ends, even one killed with -9.

    Linux tells by signal, which also ends a process stuck in native code. Everywhere a thread
    watches: the signal belongs to the parent's *thread* and to parents alive when it was asked
    for.
    """
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    watch_parent(parent_pid, lambda: os._exit(1))


def watch_parent(parent_pid: int, gone: Callable[[], object]) -> None:
    """Call `gone` from a daemon thread once this process's parent is not `parent_pid`."""

    def watch() -> None:
        while os.getppid() == parent_pid:
            time.sleep(_PARENT_POLL_S)
        gone()

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
