"""When an engine that died is started again, and how one is ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine_protocol import (
    EngineRelease,
    EngineStop,
    Progress,
    StepEvents,
    engine_events,
)
from branchline.runtime.protocol import MAX_FRAME_BYTES, TokenLogprob, encode
from branchline.runtime.server.supervisor import EngineProcess, Restarts

# Ends politely when the last that it has read is the word to.
_READER = f"""
import socket, sys
end = socket.socket(fileno=int(sys.argv[1].partition("=")[2]))
read = b""
while not read.endswith({encode(EngineStop())!r}):
    read = (read + end.recv(1 << 16))[-100:]
"""


def running(code: str) -> Callable[..., subprocess.Popen[bytes]]:
    """In place of Popen: the code runs for an engine."""
    real = subprocess.Popen

    def start(command: list[str], **settings: Any) -> subprocess.Popen[bytes]:
        [channel] = [word for word in command if word.startswith("--channel=")]
        return real([sys.executable, "-c", code, channel], **settings)

    return start


def test_an_engine_that_served_is_replaced_at_once_every_time() -> None:
    restarts = Restarts()
    assert [restarts.note(float(second), served=True) for second in range(5)] == [0.0] * 5


def test_an_engine_that_cannot_start_is_not_tried_without_a_pause() -> None:
    pause_s = Restarts().note(0.0, served=False)
    assert pause_s is not None
    assert pause_s > 0


def test_engines_that_die_again_and_again_are_given_up() -> None:
    restarts = Restarts()
    for second in range(5):
        restarts.note(float(second), served=True)
    assert restarts.note(5.0, served=True) is None


def test_deaths_of_an_hour_ago_do_not_count() -> None:
    restarts = Restarts()
    for hour in range(20):
        assert restarts.note(3_600.0 * hour, served=True) == 0.0


def test_an_engine_is_told_to_stop_behind_all_that_it_has_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", running(_READER))
    engine = EngineProcess(tmp_path, 1, EngineConfig(model="none"), on_exit=lambda engine: None)
    engine.send(EngineRelease(list(range(1 << 20))))
    assert engine.channel.has_unsent
    engine.stop(20.0)
    assert engine.exit_status == 0
    engine.close()


def test_an_engine_may_tell_more_than_a_client_of_a_long_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = TokenLogprob(-1.5, 70_000, top=[(-1.5, 70_000, None)] * 20)
    news = StepEvents(progress=[Progress(1, [5], prompt_logprobs=[entry] * 70_000)])
    told = tmp_path / "told"
    told.write_bytes(encode(news))
    assert told.stat().st_size > MAX_FRAME_BYTES
    teller = f"""
import socket, struct, sys
end = socket.socket(fileno=int(sys.argv[1].partition("=")[2]))
told = open({str(told)!r}, "rb").read()
end.sendall(struct.pack("<I", len(told)) + told)
"""
    monkeypatch.setattr(subprocess, "Popen", running(teller))
    engine = EngineProcess(tmp_path, 1, EngineConfig(model="none"), on_exit=lambda engine: None)
    frames: list[bytes] = []
    while not frames:
        assert engine.channel.wait(60_000)
        assert not engine.channel.is_closed
        frames += engine.channel.receive() or []
    assert engine_events.decode(frames[0]) == news
    engine.stop(20.0)
    engine.close()
