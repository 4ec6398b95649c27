"""Clients on other machines show a CURVE key that the runtime knows, or reach nothing (S5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
import zmq.auth
from asking import generate, run

import branchline as bl
from branchline.lang.client import ZmqConnection
from branchline.lang.curve import CurveKeys
from branchline.lang.errors import RuntimeUnavailable
from branchline.lang.launch import RuntimeProcess
from branchline.runtime.protocol import (
    PROTOCOL_VERSION,
    Hello,
    Welcome,
    encode,
    front_messages,
)
from branchline.runtime.server.curve import main as make_keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """server, and in clients/ the one that is known; other is known to nobody."""
    folder = tmp_path_factory.mktemp("keys")
    assert make_keys([str(folder), "server"]) == 0
    assert make_keys([str(folder / "clients"), "friend"]) == 0
    assert make_keys([str(folder), "other"]) == 0
    return folder


@pytest.fixture(scope="module")
def keyed(model_dir: Path, keys: Path) -> Iterator[RuntimeProcess]:
    """A runtime on all interfaces, for those who have a key."""
    with RuntimeProcess(
        str(model_dir),
        bind="tcp://0.0.0.0:*",
        kv_slots=8192,
        num_threads=1,
        curve_key=str(keys / "server.key_secret"),
        curve_clients=str(keys / "clients"),
    ) as process:
        yield process


def address_of(process: RuntimeProcess) -> str:
    return process.address.replace("0.0.0.0", "127.0.0.1")


def knows(keys: Path, name: str = "clients/friend") -> CurveKeys:
    return CurveKeys.load(keys / "server.key", keys / f"{name}.key_secret")


def num_welcomed(address: str, keys: CurveKeys | None, number: int, patience_s: float) -> int:
    """How many of `number` clients that say Hello are answered before nothing comes for so long."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, number + 16)
    poller = zmq.Poller()
    for _ in range(number):
        socket = context.socket(zmq.DEALER)
        if keys is not None:
            keys.apply(socket)
        socket.connect(address)
        socket.send(encode(Hello(PROTOCOL_VERSION)))
        poller.register(socket, zmq.POLLIN)
    served = 0
    while served < number:
        ready = poller.poll(patience_s * 1000)
        if not ready:
            break
        for socket, _ in ready:
            assert isinstance(front_messages.decode(socket.recv()), Welcome)
            served += 1
    context.destroy(linger=0)
    return served


# A thousand of each, so many at a time: a process may have few files open.
NUM_TIMES, NUM_AT_ONCE = 5, 200


@pytest.mark.timeout(600)
def test_clients_with_a_known_key_are_served_and_others_reach_nothing(
    keyed: RuntimeProcess, keys: Path
) -> None:
    """S5."""
    address = address_of(keyed)
    connection = ZmqConnection(address, keys=knows(keys))
    before = run(connection.info()).stats
    for stranger in (None, knows(keys, "other")):
        for _ in range(NUM_TIMES):
            assert num_welcomed(address, stranger, NUM_AT_ONCE, 0.5) == 0
    after = run(connection.info()).stats
    assert after["front_frames_refused"] == before["front_frames_refused"]
    assert after["front_clients"] == before["front_clients"]
    for _ in range(NUM_TIMES):
        assert num_welcomed(address, knows(keys), NUM_AT_ONCE, 60.0) == NUM_AT_ONCE
    connection.close()


def test_a_program_reaches_a_runtime_with_its_key(keyed: RuntimeProcess, keys: Path) -> None:
    endpoint = bl.RuntimeEndpoint(
        address_of(keyed),
        server_key=keys / "server.key",
        client_key=keys / "clients" / "friend.key_secret",
    )
    assert generate(endpoint.connection).outputs
    endpoint.close()


def test_a_client_with_an_unknown_key_is_told_at_once(keyed: RuntimeProcess, keys: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match="does not know this client's key"):
        ZmqConnection(address_of(keyed), keys=knows(keys, "other"))


def test_another_server_s_key_is_no_handshake(keyed: RuntimeProcess, keys: Path) -> None:
    """A machine in the middle has not the server's secret."""
    wrong = CurveKeys.load(keys / "other.key", keys / "clients" / "friend.key_secret")
    with pytest.raises(RuntimeUnavailable, match=r"handshake|no answer|closed"):
        ZmqConnection(address_of(keyed), keys=wrong, connect_timeout_s=1.0)


def test_a_client_sends_nothing_unencrypted_to_another_machine() -> None:
    with pytest.raises(RuntimeUnavailable, match="another machine"):
        ZmqConnection("tcp://192.0.2.1:5555")


def test_a_secret_that_others_may_read_is_refused(model_dir: Path, keys: Path) -> None:
    open_secret = keys / "open.key_secret"
    open_secret.write_bytes((keys / "server.key_secret").read_bytes())
    open_secret.chmod(0o644)
    with pytest.raises(RuntimeUnavailable, match="others may read"):
        RuntimeProcess(
            str(model_dir),
            bind="tcp://0.0.0.0:*",
            curve_key=str(open_secret),
            curve_clients=str(keys / "clients"),
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bind": "tcp://0.0.0.0:*"}, "without keys"),
        ({"bind": "tcp://[::]:*"}, "without keys"),
        ({"bind": "tcp://*:5555"}, "without keys"),
        ({"bind": "tcp://0.0.0.0:*", "curve_key": "/some/key"}, "need each other"),
        ({"bind": "ipc", "curve_key": "/some/key", "curve_clients": "/some"}, "needs no keys"),
        (
            {"bind": "tcp://0.0.0.0:*", "curve_key": "/no/key", "curve_clients": "/no"},
            "cannot load",
        ),
    ],
)
def test_a_runtime_without_good_keys_does_not_start(
    model_dir: Path, options: dict[str, str], words: str
) -> None:
    """S5."""
    with pytest.raises(RuntimeUnavailable, match=words):
        RuntimeProcess(str(model_dir), **options)
