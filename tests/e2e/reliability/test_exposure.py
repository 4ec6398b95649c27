"""What a running runtime shows to the rest of its machine (S4)."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from asking import generate
from processes import children

from branchline.lang.client import ZmqConnection
from branchline.lang.launch import RuntimeProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

Start = Callable[..., RuntimeProcess]

NOBODY = 65_534
# Says "in", or why not, for each socket, after giving its rights away.
KNOCK = """
import os, socket, sys
user = int(sys.argv[1])
os.setgroups([]); os.setresgid(user, user, user); os.setresuid(user, user, user)
for path in sys.argv[2:]:
    with socket.socket(socket.AF_UNIX) as peer:
        try:
            peer.connect(path)
            print("in")
        except OSError as error:
            print(type(error).__name__)
"""


@dataclass(frozen=True)
class Listening:
    """Where processes listen: (host, port) of TCP and UDP, names of unix sockets."""

    inet: set[tuple[str, int]]
    unix: set[str]


def inodes(pid: int) -> set[str]:
    """The sockets that a process holds."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:  # closed since
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def address_of(field: str) -> tuple[str, int]:
    """An address as /proc/net writes it: words of the host's byte order, in hexadecimal."""
    digits, _, port = field.partition(":")
    words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
    return str(ipaddress.ip_address(b"".join(words))), int(port, 16)


def listening(pids: list[int]) -> Listening:
    mine = set().union(*(inodes(pid) for pid in pids))
    found = Listening(set(), set())
    for name in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        table = Path("/proc/net", name)
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            connected = name.startswith("tcp") and fields[3] != "0A"
            if fields[9] in mine and not connected:
                found.inet.add(address_of(fields[1]))
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        accepts = int(fields[3], 16) & 0x10000
        if fields[6] in mine and accepts:
            found.unix.add(fields[7] if len(fields) > 7 else "?")
    return found


@pytest.fixture
def served(start: Start, temporary: Path) -> Iterator[RuntimeProcess]:
    """A runtime with HTTP in a folder like /tmp, started by somebody whose umask denies nothing."""
    temporary.chmod(0o1777)
    old_umask = os.umask(0)
    try:
        yield start(http="127.0.0.1:0")
    finally:
        os.umask(old_umask)


def everything_of(process: RuntimeProcess) -> list[int]:
    engines = children(process.pid)
    return [process.pid, *engines, *(pid for engine in engines for pid in children(engine))]


def test_only_http_listens_on_the_network_and_on_loopback_alone(served: RuntimeProcess) -> None:
    found = listening(everything_of(served))
    port = int(str(served.http_url).rpartition(":")[2])
    assert found.inet == {("127.0.0.1", port)}


def test_every_socket_file_is_its_owner_s_in_a_folder_of_its_owner(
    served: RuntimeProcess, temporary: Path
) -> None:
    found = listening(everything_of(served))
    assert served.address.removeprefix("ipc://") in found.unix
    for name in found.unix:
        path = Path(name)
        assert path.is_relative_to(temporary), f"{name} is elsewhere, or has no file"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert {path.stat().st_uid, path.parent.stat().st_uid} == {os.geteuid()}


def test_what_listens_is_seen() -> None:
    """Planted: a server on every interface and an abstract socket."""
    with socket.create_server(("", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0branchline-test")
        abstract.listen()
        found = listening([os.getpid()])
        assert ("0.0.0.0", server.getsockname()[1]) in found.inet
        assert "@branchline-test" in found.unix


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_another_user_of_the_machine_cannot_connect(served: RuntimeProcess) -> None:
    paths = sorted(listening(everything_of(served)).unix)

    def knock(user: int) -> list[str]:
        command = [sys.executable, "-c", KNOCK, str(user), *paths]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert knock(NOBODY) == ["PermissionError"] * len(paths)
    # Planted: with the doors open the same knocking is let in.
    for path in map(Path, paths):
        path.parent.chmod(0o755)
        path.chmod(0o666)
    assert knock(NOBODY) == ["in"] * len(paths)
    connection = ZmqConnection(served.address)
    assert generate(connection).outputs
    connection.close()
