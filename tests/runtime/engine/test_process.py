"""The loop round the engine core: commands in, events out, and no request ends it."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from branchline.runtime.channel import Channel
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.heartbeat import Heartbeat, Pulse
from branchline.runtime.engine.process import _hang_s, run
from branchline.runtime.engine_protocol import (
    Drop,
    EngineEvent,
    EngineFlush,
    EngineFlushed,
    EnginePing,
    EnginePong,
    EngineStop,
    Progress,
    StepEvents,
    Submit,
    engine_events,
)
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import MAX_FRAME_BYTES, SamplingParams, encode


class CountingCore:
    """Gives each sequence the tokens 0, 1, 2, ... up to its `max_new_tokens`, one per step."""

    def __init__(self) -> None:
        self.running: dict[int, tuple[int, int]] = {}
        self.dropped: list[int] = []

    @property
    def has_work(self) -> bool:
        return bool(self.running)

    def submit(self, command: Submit) -> None:
        if not command.input_ids:
            raise RequestError("invalid_request", "the prompt is empty", pointer="/prompt")
        if command.input_ids == [666]:
            raise ZeroDivisionError("planted")
        self.running[command.sid] = (0, command.sampling.max_new_tokens)

    def drop(self, sid: int) -> None:
        self.running.pop(sid, None)
        self.dropped.append(sid)

    def step(self) -> StepEvents:
        progress = []
        for sid, (done, most) in list(self.running.items()):
            last = done + 1 == most
            progress.append(Progress(sid, [done], finish="length" if last else None))
            self.running[sid] = (done + 1, most)
            if last:
                del self.running[sid]
        return StepEvents(progress=progress)

    def flush_cache(self) -> int:
        return 17

    def stats(self) -> dict[str, float]:
        return {"running": float(len(self.running))}


def channels() -> tuple[Channel, Channel]:
    """The front's end and the loop's."""
    front, loop = socket.socketpair()
    return Channel(front, MAX_FRAME_BYTES), Channel(loop, MAX_FRAME_BYTES)


class Engine:
    """The loop in a thread, and the front's end of its channel."""

    def __init__(self) -> None:
        self.core = CountingCore()
        self.channel, inner = channels()
        self._come: list[bytes] = []
        self.thread = threading.Thread(target=run, args=(self.core, inner), daemon=True)
        self.thread.start()

    def send(self, *commands: Submit | Drop | EnginePing | EngineFlush | EngineStop) -> None:
        for command in commands:
            self.channel.send(encode(command))

    def receive(self) -> EngineEvent:
        while not self._come:
            assert self.channel.wait(5000)
            self._come += self.channel.receive() or []
        return engine_events.decode(self._come.pop(0))

    def tokens_of(self, sid: int) -> list[int]:
        """All tokens of a sequence until it ends; other events are skipped."""
        tokens: list[int] = []
        while True:
            event = self.receive()
            if not isinstance(event, StepEvents):
                continue
            for progress in event.progress:
                if progress.sid == sid:
                    tokens += progress.token_ids
                    if progress.finish is not None:
                        return tokens

    def close(self) -> None:
        self.send(EngineStop())
        self.thread.join(60)
        self.channel.close()


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()
    assert not engine.thread.is_alive()


def submit(sid: int, num_tokens: int = 3, ids: tuple[int, ...] = (1, 2)) -> Submit:
    return Submit(sid, list(ids), SamplingParams(max_new_tokens=num_tokens))


def test_a_sequence_runs_to_its_end(engine: Engine) -> None:
    engine.send(submit(1))
    assert engine.tokens_of(1) == [0, 1, 2]


def test_a_ping_is_answered_between_the_steps_of_a_running_sequence(engine: Engine) -> None:
    engine.send(submit(1, num_tokens=10**6), EnginePing(seq=5))
    event = engine.receive()
    while not isinstance(event, EnginePong):
        event = engine.receive()
    assert event == EnginePong(5, {"running": 1.0})


def test_a_dropped_sequence_stops(engine: Engine) -> None:
    engine.send(submit(1, num_tokens=10**6), Drop(1), submit(2))
    assert engine.tokens_of(2) == [0, 1, 2]
    assert engine.core.dropped == [1]


def test_flushing_is_answered(engine: Engine) -> None:
    engine.send(EngineFlush(seq=3))
    assert engine.receive() == EngineFlushed(3, 17)


@pytest.mark.parametrize(
    ("ids", "code", "words"),
    [((), "invalid_request", "the prompt is empty"), ((666,), "internal", "ZeroDivisionError")],
)
def test_a_refused_or_broken_submission_ends_nothing_but_itself(
    engine: Engine, ids: tuple[int, ...], code: str, words: str
) -> None:
    engine.send(submit(1, ids=ids))
    event = engine.receive()
    assert isinstance(event, StepEvents)
    [failed] = event.failed
    assert (failed.sid, failed.code) == (1, code)
    assert words in failed.message
    engine.send(submit(2))
    assert engine.tokens_of(2) == [0, 1, 2]


def test_each_of_many_commands_is_a_beat() -> None:
    """R9: taking in a crowd is no hang, however slow the core."""
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1

    channel, inner = channels()
    for sid in range(50):
        channel.send(encode(submit(sid)))
    channel.send(encode(EngineStop()))
    run(CountingCore(), inner, beat)
    assert beats > 50


@pytest.mark.parametrize(("is_rung", "most_steps"), [(True, 5), (False, 5 + 64)])
def test_a_command_is_heard_behind_the_step_in_which_it_is_sent(
    is_rung: bool, most_steps: int
) -> None:
    """And soon, where nobody counts what is sent."""

    class Stopped(CountingCore):
        num_steps = 0

        def step(self) -> StepEvents:
            self.num_steps += 1
            if self.num_steps == 5:
                channel.send(encode(EngineStop()))
            return super().step()

    core = Stopped()
    channel, inner = channels()
    channel.send(encode(submit(1, num_tokens=10**6)))
    run(core, inner, num_sent=lambda: 1 + (is_rung and core.num_steps >= 5))
    assert 5 <= core.num_steps <= most_steps


def test_a_program_of_twenty_calls_runs_with_few_questions_for_commands() -> None:
    """Each costs the time of ten turns behind a step."""
    num_asked = 0

    class Asked(Channel):
        def receive(self) -> list[bytes] | None:
            nonlocal num_asked
            num_asked += 1
            return super().receive()

    class Stopping(CountingCore):
        num_steps = num_sent = 0

        def step(self) -> StepEvents:
            self.num_steps += 1
            if self.num_steps == 80:
                self.num_sent = 1
                channel.send(encode(EngineStop()))
            return super().step()

    core = Stopping()
    front, loop = socket.socketpair()
    channel, inner = Channel(front, MAX_FRAME_BYTES), Asked(loop, MAX_FRAME_BYTES)
    channel.send(encode(submit(1, num_tokens=10**6)))
    run(core, inner, num_sent=lambda: 1 + core.num_sent)
    assert core.num_steps == 80
    assert num_asked <= 5


def test_a_child_ends_with_its_parent() -> None:
    """A grandchild that watches its parent goes when that parent is killed with -9."""
    grandchild = (
        "import os, sys, time\n"
        "from branchline.runtime.engine.process import die_with_parent\n"
        "die_with_parent(os.getppid())\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(60)\n"
    )
    child = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {grandchild!r}])\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as pipe:
        assert int(pipe.readline()) > 0
        process.kill()
        process.wait()
        # The pipe ends when the last process that holds it is gone.
        assert pipe.read() == b""


@pytest.mark.parametrize(
    ("compiles", "counts", "stack", "num_parameters", "hang_s"),
    [
        (True, False, None, 10**6, 60.0),
        (False, False, None, 10**6, 1.5),
        (False, True, "all layers", 10**10, 1.5),
        # Torch's: a layer of it, or its logits, may be as long as several short steps.
        (False, True, None, 10**9, 1.5 * 3.2),
        (False, False, "all layers", 10**10, 1.5 * 16.1),
    ],
)
def test_what_counts_as_a_hang_is_longer_than_any_healthy_piece_of_work(
    tmp_path: Path,
    compiles: bool,
    counts: bool,
    stack: str | None,
    num_parameters: int,
    hang_s: float,
) -> None:
    shape = SimpleNamespace(
        num_parameters=num_parameters,
        num_layers=32,
        num_heads=16,
        head_dim=64,
        vocab_size=62_500,
        hidden_size=1_000,
    )
    runner = SimpleNamespace(
        device=SimpleNamespace(compiles=compiles, count_at=lambda address: counts),
        model=SimpleNamespace(layers=[], stack=stack),
        model_config=shape,
        context_length=1_000,
    )
    pulse = Pulse(tmp_path / "pulse")
    config = EngineConfig(chunk_tokens=512)
    found = _hang_s(SimpleNamespace(runner=runner), Heartbeat(pulse.path), config)
    assert found == pytest.approx(hang_s, rel=0.01)
    pulse.close()
