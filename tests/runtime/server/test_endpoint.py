"""Where the front process listens, and what it refuses."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from branchline.runtime.server.endpoint import Endpoint, EndpointError, PrivateDirectory

Listen = Callable[[str], Endpoint]


@pytest.fixture
def private(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PrivateDirectory]:
    tmp_path_factory.getbasetemp()  # pytest makes it once, where tempfile says
    # Not below it: a socket's path must be short.
    with tempfile.TemporaryDirectory() as base:
        monkeypatch.setattr("tempfile.tempdir", base)
        directory = PrivateDirectory()
        yield directory
        directory.remove()


@pytest.fixture
def listen(private: PrivateDirectory) -> Iterator[Listen]:
    """Bind an address; the sockets stay open until the test ends."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets: list[zmq.Socket[bytes]] = []

    def bind(address: str) -> Endpoint:
        sockets.append(context.socket(zmq.ROUTER))
        return Endpoint(address, sockets[-1], private)

    yield bind
    context.destroy(linger=0)


def test_by_default_only_this_user_can_reach_the_socket(listen: Listen) -> None:
    old_umask = os.umask(0)
    try:
        endpoint = listen("ipc")
    finally:
        os.umask(old_umask)
    path = Path(endpoint.address.removeprefix("ipc://"))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_private_directory_leaves_nothing(private: PrivateDirectory) -> None:
    private.remove()
    assert list(private.path.parent.iterdir()) == []


def test_directories_of_killed_processes_are_swept_and_living_ones_are_not(
    private: PrivateDirectory,
) -> None:
    dead = private.path.parent / "branchline-dead"
    dead.mkdir()
    (dead / "lock").touch()
    foreign = private.path.parent / "branchline-without-a-lock"
    foreign.mkdir()
    other = PrivateDirectory()
    assert not dead.exists()
    assert private.path.exists()
    assert foreign.exists()
    other.remove()


def test_a_second_runtime_cannot_take_a_path_over(listen: Listen, tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/s"
    first = listen(address)
    with pytest.raises(EndpointError, match="already"):
        listen(address)
    first.remove()
    listen(address).remove()


def test_a_socket_left_by_a_killed_runtime_is_replaced(listen: Listen, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    endpoint = listen(f"ipc://{path}")
    endpoint.remove()
    assert not path.exists()
    assert not (tmp_path / "s.lock").exists()


def test_a_path_where_another_program_listens_is_refused(listen: Listen, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(EndpointError, match="another program"):
            listen(f"ipc://{path}")
    assert path.exists()


def test_a_file_that_is_no_socket_is_left_alone(listen: Listen, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("keep")
    with pytest.raises(EndpointError, match="no socket"):
        listen(f"ipc://{path}")
    assert path.read_text() == "keep"


def test_a_lock_planted_as_a_symlink_is_not_followed(listen: Listen, tmp_path: Path) -> None:
    (tmp_path / "s.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(EndpointError, match="cannot lock"):
        listen(f"ipc://{tmp_path}/s")
    assert not (tmp_path / "victim").exists()


def test_a_folder_where_anyone_may_replace_files_is_refused(listen: Listen, tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(EndpointError, match="every user"):
        listen(f"ipc://{folder}/s")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_folder_of_another_user_is_refused(listen: Listen, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir(0o755)
    os.chown(folder, 65_534, 65_534)
    with pytest.raises(EndpointError, match="belongs to another user"):
        listen(f"ipc://{folder}/s")
    assert list(folder.iterdir()) == []


def test_a_socket_planted_as_a_symlink_is_not_followed(listen: Listen, tmp_path: Path) -> None:
    (tmp_path / "s").symlink_to(tmp_path / "victim")
    with pytest.raises(EndpointError, match="no socket"):
        listen(f"ipc://{tmp_path}/s")
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(
    "bind",
    [
        "tcp://0.0.0.0:5000",
        "tcp://*:5000",
        "tcp://192.168.1.4:5000",
        "tcp://[::]:5000",
        "tcp://example.com:5000",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:99999",
        "tcp://127.0.0.1:http",
        "udp://127.0.0.1:5000",
        "inproc://x",
        "ipc://relative",
        "ipc:///nowhere/at/all/s",
        "ipc:///" + "x" * 120,
        "",
    ],
)
def test_any_other_address_is_refused(bind: str, listen: Listen) -> None:
    with pytest.raises(EndpointError, match=r"(refusing to|cannot) listen at"):
        listen(bind)


def test_loopback_tcp_takes_a_free_port_and_a_port_in_use_is_named(listen: Listen) -> None:
    first = listen("tcp://localhost:0")
    assert first.address.startswith("tcp://127.0.0.1:")
    with pytest.raises(EndpointError, match="the port is in use"):
        listen(first.address)
