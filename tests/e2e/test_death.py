"""Every process is killed at the worst moment: who waits is told within a second, and nothing of
the runtime stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq
from asking import ENDLESS, generate, num_running, request, run, spawn
from processes import children, runs
from stopwatch import Stopwatch, seconds_until

from branchline.lang.client import ZmqConnection
from branchline.lang.errors import GenerationError, RuntimeUnavailable
from branchline.lang.launch import RuntimeProcess
from branchline.runtime.protocol import PROTOCOL_VERSION, Hello, encode

Start = Callable[..., RuntimeProcess]
# R10: once with every commit, by night again and again.
TIMES = pytest.mark.parametrize(
    "times", [1, pytest.param(20, marks=[pytest.mark.nightly, pytest.mark.timeout(900)])]
)


def busy(process: RuntimeProcess, num_requests: int = 20) -> tuple[ZmqConnection, list]:
    """A connection with requests that run in the engine."""
    connection = ZmqConnection(process.address)
    futures = [
        spawn(connection.complete(request(connection, num_tokens=ENDLESS)))
        for _ in range(num_requests)
    ]
    seconds_until(lambda: num_running(connection) == num_requests, 60)
    return connection, futures


def serves(connection: ZmqConnection) -> bool:
    try:
        return len(generate(connection).outputs) == 1
    except RuntimeUnavailable:
        return False


def test_an_engine_killed_while_it_generates_is_reported_and_replaced(start: Start) -> None:
    process = start()
    connection, futures = busy(process)
    [engine] = children(process.pid)
    with Stopwatch() as watch:
        os.kill(engine, signal.SIGKILL)
        for future in futures:
            with pytest.raises(RuntimeUnavailable, match="SIGKILL"):
                future.result(60)
    assert watch.seconds < 1.0
    seconds_until(lambda: serves(connection), 60)
    assert run(connection.info()).stats["front_engine_restarts"] == 1
    assert children(process.pid) != [engine]
    connection.close()


def test_a_stopped_engine_is_not_ready_and_is_replaced_when_it_stays_so(start: Start) -> None:
    process = start(engine_silence_s=1.0, engine_hang_s=6.0)
    connection = ZmqConnection(process.address)
    [engine] = children(process.pid)
    os.kill(engine, signal.SIGSTOP)
    seconds_until(lambda: not connection.runtime_ready, 60)
    os.kill(engine, signal.SIGCONT)
    seconds_until(lambda: connection.runtime_ready, 60)
    assert serves(connection)
    os.kill(engine, signal.SIGSTOP)
    with pytest.raises(RuntimeUnavailable, match="SIGKILL"):
        generate(connection)
    seconds_until(lambda: serves(connection), 60)
    connection.close()


def test_a_killed_front_process_is_seen_at_once_and_takes_its_engine_along(
    start: Start, temporary: Path
) -> None:
    process = start()
    connection, futures = busy(process)
    [engine] = children(process.pid)
    with Stopwatch() as watch:
        os.kill(process.pid, signal.SIGKILL)
        for future in futures:
            with pytest.raises(RuntimeUnavailable, match="is gone"):
                future.result(60)
        seconds_until(lambda: not runs(engine), 60)
    assert watch.seconds < 1.0
    with pytest.raises(RuntimeUnavailable, match="no runtime listens"):
        generate(connection)
    process.close()
    assert list(temporary.iterdir()) == []
    connection.close()


def test_a_connection_finds_the_runtime_that_took_the_place_of_a_dead_one(
    start: Start, temporary: Path
) -> None:
    address = f"ipc://{temporary}/here"
    first = start(bind=address)
    connection = ZmqConnection(address)
    epoch = connection.epoch
    os.kill(first.pid, signal.SIGKILL)
    first.close()
    second = start(bind=address)
    assert generate(connection).outputs
    assert connection.epoch != epoch
    with pytest.raises(RuntimeUnavailable, match="already"):
        start(bind=address)
    connection.close()
    second.close()
    assert list(temporary.iterdir()) == []


def test_sigterm_lets_requests_finish_and_leaves_nothing(start: Start, temporary: Path) -> None:
    process = start(drain_s=60)
    connection = ZmqConnection(process.address)
    [engine] = children(process.pid)
    future = spawn(connection.complete(request(connection, num_tokens=500)))
    seconds_until(lambda: num_running(connection) == 1, 60)
    os.kill(process.pid, signal.SIGTERM)
    assert len(future.result(60).outputs[0].token_ids) == 500
    seconds_until(lambda: not process.alive, 60)
    assert process.exit_status == 0
    assert not runs(engine)
    assert list(temporary.iterdir()) == []
    with pytest.raises(GenerationError):
        generate(connection)
    connection.close()


def test_a_second_sigterm_does_not_wait(start: Start, temporary: Path) -> None:
    process = start(drain_s=60)
    _, futures = busy(process, num_requests=1)
    os.kill(process.pid, signal.SIGTERM)
    time.sleep(0.1)
    assert process.alive
    os.kill(process.pid, signal.SIGTERM)
    seconds_until(lambda: not process.alive, 20)
    with pytest.raises(RuntimeUnavailable):
        futures[0].result(60)
    assert list(temporary.iterdir()) == []


CLIENT = """
import sys
from branchline.lang.client import ZmqConnection
from branchline.lang.loop import shared_loop
from branchline.runtime.protocol import Generate, SamplingParams, Text

connection = ZmqConnection(sys.argv[1])

async def read() -> None:
    sampling = SamplingParams(max_new_tokens=3500, ignore_eos=True)
    async for _ in connection.generate(Generate("r", [Text("the")], sampling, stream=True)):
        print("chunk", flush=True)

shared_loop().run(read())
"""


@TIMES
def test_a_killed_client_s_work_is_freed(
    runtime: RuntimeProcess, connection: ZmqConnection, times: int
) -> None:
    for _ in range(times):
        with subprocess.Popen(
            [sys.executable, "-c", CLIENT, runtime.address], stdout=subprocess.PIPE
        ) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == b"chunk\n"
            assert num_running(connection) == 1
            client.kill()
            assert seconds_until(lambda: num_running(connection) == 0, 60) < 1.0


def test_a_hundred_clients_vanish_and_all_their_work_is_freed(
    runtime: RuntimeProcess, connection: ZmqConnection
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    clients = [context.socket(zmq.DEALER) for _ in range(100)]
    for client in clients:
        client.connect(runtime.address)
        client.send(encode(Hello(PROTOCOL_VERSION)))
        client.send(encode(request(connection, num_tokens=ENDLESS, stream=True)))
    seconds_until(lambda: num_running(connection) == 100, 60)
    lost = run(connection.info()).stats["front_clients_lost"]
    context.destroy(linger=0)
    assert seconds_until(lambda: num_running(connection) == 0, 60) < 1.0
    run(connection.flush_cache())
    stats = run(connection.info()).stats
    assert stats["front_clients_lost"] == lost + 100
    assert stats["free_slots"] == stats["num_slots"]


PROGRAM = """
import sys, time
from branchline.lang.launch import RuntimeProcess

runtime = RuntimeProcess(sys.argv[1], num_threads=1, kv_slots=8192)
print(runtime.pid, flush=True)
try:
    time.sleep(60)
finally:
    print("end", flush=True)
"""


@TIMES
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_runtime_ends_with_the_program_that_started_it(
    number: signal.Signals, model_dir: Path, temporary: Path, times: int
) -> None:
    for _ in range(times):
        end_with_its_program(number, model_dir, temporary)


def end_with_its_program(number: signal.Signals, model_dir: Path, temporary: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(model_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        front = int(program.stdout.readline())
        [engine] = children(front)
        program.send_signal(number)
        program.wait(60)
        seconds_until(lambda: not runs(front) and not runs(engine), 60)
        errors = program.stderr.read().decode()
    # The program's own traceback is Python's; nothing of the runtime's may stand beside it.
    assert errors.count("Traceback") == (1 if number == signal.SIGINT else 0)
    seconds_until(lambda: not list(temporary.iterdir()), 60)


def test_an_option_that_there_is_not_is_told_with_those_there_are() -> None:
    with pytest.raises(TypeError, match=r"no option colour; known: model_path, .*kv_slots"):
        RuntimeProcess(colour="red")


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("/no/such/model", {}, "neither an existing directory"),
        (None, {"dtype": "float8"}, "float8"),
        (None, {"kv_slots": 0}, "kv_slots must be a positive integer"),
        (None, {"bind": "tcp://0.0.0.0:5555"}, "refusing to listen"),
        ("pickled", {}, "safetensors"),
    ],
)
def test_a_runtime_that_cannot_start_says_why(
    model: str | None,
    options: dict[str, str],
    words: str,
    model_dir: Path,
    tmp_path: Path,
    temporary: Path,
) -> None:
    if model == "pickled":
        for name in ("config.json", "tokenizer.json"):
            (tmp_path / name).write_text((model_dir / name).read_text())
        (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
        model = str(tmp_path)
    with pytest.raises(RuntimeUnavailable, match=words):
        RuntimeProcess(model or str(model_dir), **options)
    assert list(temporary.iterdir()) == []


def test_a_start_that_takes_too_long_is_given_up_and_leaves_nothing(
    model_dir: Path, temporary: Path
) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"not ready within 0\.5 s"):
        RuntimeProcess(str(model_dir), start_timeout_s=0.5)
    assert list(temporary.iterdir()) == []


def test_a_terminal_s_ctrl_c_ends_a_served_runtime_politely(
    model_dir: Path, temporary: Path
) -> None:
    """The whole process group gets the signal, as from a terminal."""
    address_file = temporary / "address"
    command = [sys.executable, "-m", "branchline.runtime.server", f"--model={model_dir}"]
    command += ["--kv-slots=8192", "--num-threads=1", f"--address-file={address_file}"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
    ) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        line = server.stdout.readline().decode()
        address = address_file.read_text().strip()
        assert line == f"runtime ready at {address}\n"
        connection = ZmqConnection(address)
        assert generate(connection).outputs
        connection.close()
        os.killpg(server.pid, signal.SIGINT)
        assert server.wait(60) == 0
        table = server.stderr.read().decode()
        loading, table = table.split("\n", 1)
        assert loading == f"branchline: loading {model_dir} ..."
        assert table.startswith("┌")
        assert table.endswith("┘\nbranchline: shutting down\n"), "nothing else may follow the table"
    assert list(temporary.iterdir()) == []
