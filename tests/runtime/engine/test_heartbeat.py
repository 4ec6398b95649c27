"""The heartbeat of the engine's loop: a turn is seen, a standstill is, and a starved loop is told
from a hanging one."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from branchline.runtime.engine.heartbeat import Heartbeat, Pulse


@pytest.fixture
def pulse(tmp_path: Path) -> Iterator[Pulse]:
    pulse = Pulse(tmp_path / "pulse")
    yield pulse
    pulse.close()


def test_every_turn_is_seen_once(pulse: Pulse) -> None:
    heartbeat = Heartbeat(pulse.path)
    assert not pulse.moved()
    heartbeat.beat()
    assert pulse.moved()
    assert not pulse.moved()
    heartbeat.beat()
    heartbeat.beat()
    assert pulse.moved()
    assert not pulse.moved()


def test_the_loop_knows_how_many_commands_were_sent(pulse: Pulse) -> None:
    heartbeat = Heartbeat(pulse.path)
    assert heartbeat.num_sent() == 0
    pulse.ring()
    heartbeat.beat()
    pulse.ring()
    assert heartbeat.num_sent() == 2


def test_it_is_seen_from_another_process(pulse: Pulse) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from branchline.runtime.engine.heartbeat import Heartbeat\n"
        "Heartbeat(Path(sys.argv[1])).beat()"
    )
    subprocess.run([sys.executable, "-c", code, str(pulse.path)], check=True)
    assert pulse.moved()


def test_a_model_with_long_steps_beats_in_every_layer(pulse: Pulse) -> None:
    seen = []
    layers = [lambda x, y: (seen.append(pulse.moved()), x + y)[1] for _ in range(3)]
    Heartbeat(pulse.path).follow(layers)
    assert [layer(2, 3) for layer in layers] == [5, 5, 5]
    assert seen == [True, True, True]


def test_a_kernel_counts_its_work_from_the_middle_of_a_step(pulse: Pulse) -> None:
    number = ctypes.c_uint64.from_address(Heartbeat(pulse.path).work_address())
    assert not pulse.moved()
    for _ in range(3):
        number.value += 1
        assert pulse.moved()
        assert not pulse.moved()


def test_only_its_user_can_read_it_and_it_leaves_nothing(pulse: Pulse) -> None:
    assert pulse.path.stat().st_mode & 0o777 == 0o600
    pulse.close()
    assert not pulse.path.exists()


def test_a_planted_file_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "pulse").write_bytes(b"planted.")
    with pytest.raises(FileExistsError):
        Pulse(tmp_path / "pulse")
