"""The engine's life as the front process sees it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import zmq

from branchline.runtime.channel import Channel
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.server.engine_keeper import EngineKeeper, EngineNews
from branchline.runtime.server.errands import Errands
from branchline.runtime.server.report import Log


class KilledLater:
    """An engine that a kill has not ended yet."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.kills = 0

    def kill(self) -> None:
        self.kills += 1


def test_an_engine_that_sends_no_messages_is_told_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    end, other = socket.socketpair()
    engine = KilledLater(Channel(end, most_bytes=100))
    monkeypatch.setattr(
        "branchline.runtime.server.engine_keeper.EngineProcess", lambda *a, **k: engine
    )
    poller, errands = zmq.Poller(), Errands()
    news = EngineNews(*[lambda *told: None] * 4)
    keeper = EngineKeeper(poller, errands, Log(), news, start_s=60.0, hang_s=None)
    keeper.start(tmp_path, EngineConfig(model="none"))
    for _ in range(3):
        other.send(b"\xff\xff\xff\xff")
        keeper.read(dict(poller.poll(0)))
    assert engine.kills == 1
    assert capsys.readouterr().err.count("a frame of 4294967295 bytes") == 1
    other.close()
    engine.channel.close()
    errands.close()
