"""The system has nothing left to give: files, memory, disk, processes (R15). Requests may fail;
nothing ends, and all is well again once there is room."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median

import pytest
from asking import generate, request, run, spawn
from processes import children
from stopwatch import seconds_until

from branchline.lang.client import ZmqConnection
from branchline.lang.errors import ContextLengthExceeded, GenerationError, GrammarError
from branchline.lang.launch import RuntimeProcess
from branchline.runtime.protocol import Done, Generate, JsonSchema

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="sets limits of running processes"),
]

Start = Callable[..., RuntimeProcess]


@contextlib.contextmanager
def limited(pid: int, what: int, soft: int) -> Iterator[None]:
    """A process under a limit, for a while."""
    before = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (soft, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, what, before)


@contextlib.contextmanager
def served(
    model_dir: Path, temporary: Path, *options: str, limit: str
) -> Iterator[subprocess.Popen[str]]:
    """A server from a shell that sets a limit first; it must end politely."""
    command = [sys.executable, "-m", "branchline.runtime.server", f"--model={model_dir}"]
    command += ["--kv-slots=8192", "--num-threads=1", f"--address-file={temporary / 'address'}"]
    script = f"{limit}; exec {shlex.join([*command, *options])}"
    with subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server
            server.terminate()
            assert server.wait(60) == 0
        finally:
            server.kill()


def serves(connection: ZmqConnection) -> bool:
    try:
        return bool(generate(connection).outputs)
    except GenerationError:
        return False


def num_restarts(connection: ZmqConnection) -> float:
    return run(connection.info()).stats["front_engine_restarts"]


def test_a_tiny_pool_refuses_what_can_never_fit_and_serves_the_rest(start: Start) -> None:
    process = start(kv_slots=32)
    connection = ZmqConnection(process.address)
    fits = [spawn(connection.complete(request(connection, "a", 24))) for _ in range(40)]
    for number in (200, 4_000):
        with pytest.raises(ContextLengthExceeded):
            generate(connection, "the quick brown fox " * number, 1)
    # Who asks for more new tokens than there is room for gets as many as there are slots.
    asked = generate(connection, "a", num_tokens=400)
    assert asked.usage.prompt_tokens + len(asked.outputs[0].token_ids) == 32
    assert asked.outputs[0].finish_reason == "length"
    expected = generate(connection, "a", 24).outputs
    assert [future.result(120).outputs for future in fits] == [expected] * 40
    assert num_restarts(connection) == 0
    connection.close()


def test_a_crowd_on_http_leaves_files_for_everybody_else(model_dir: Path, temporary: Path) -> None:
    """More connections than the process may open files: programs connect and are served."""
    with served(model_dir, temporary, "--http=127.0.0.1:0", limit="ulimit -n 400") as server:
        assert server.stdout is not None
        words = server.stdout.readline().split()
        host, _, port = words[-1].removeprefix("http://").rpartition(":")
        address = (temporary / "address").read_text().strip()
        crowd: list[socket.socket] = []
        for _ in range(600):
            crowd.append(socket.socket())
            crowd[-1].settimeout(0.2)
            with contextlib.suppress(OSError):
                crowd[-1].connect((host, int(port)))
        for _ in range(20):
            connection = ZmqConnection(address)
            assert generate(connection).outputs
            connection.close()
        for one in crowd:
            one.close()
        client = HTTPConnection(host, int(port), timeout=30)

        def answers() -> bool:
            try:
                client.request("GET", "/ready")
                return client.getresponse().status == 200
            except (OSError, HTTPException):
                client.close()
                return False

        seconds_until(answers, 60)
        client.close()


def test_an_engine_without_memory_fails_requests_and_serves_again(start: Start) -> None:
    process = start()
    connection = ZmqConnection(process.address)
    expected = generate(connection, num_tokens=16).outputs
    [engine] = children(process.pid)
    now = int(Path(f"/proc/{engine}/statm").read_text().split()[0]) * resource.getpagesize()
    ends = {"done": 0, "failed": 0}
    with limited(engine, resource.RLIMIT_AS, now + 2**20):
        for number in range(20):
            try:
                generate(connection, f"{number} the quick brown fox " * 150, 8, n=8)
                ends["done"] += 1
            except GenerationError:
                ends["failed"] += 1
    seconds_until(lambda: serves(connection), 60)
    assert generate(connection, num_tokens=16).outputs == expected
    print(f"{ends} with a MiB to spare, {num_restarts(connection):.0f} restarts")
    assert num_restarts(connection) <= 1
    connection.close()


def test_a_log_on_a_full_disk_stops_nobody(model_dir: Path, temporary: Path) -> None:
    """Every request is a line of the log, and so is the engine's death; none can be written."""
    with served(model_dir, temporary, "--log-requests", limit="exec 2>/dev/full") as server:
        assert server.stdout is not None
        server.stdout.readline()
        connection = ZmqConnection((temporary / "address").read_text().strip())
        for _ in range(5):
            assert generate(connection).outputs
        [engine] = children(server.pid)
        os.kill(engine, signal.SIGKILL)
        seconds_until(lambda: num_restarts_or_none(connection) == 1, 60)
        seconds_until(lambda: serves(connection), 60)
        connection.close()


def num_restarts_or_none(connection: ZmqConnection) -> float | None:
    try:
        return num_restarts(connection)
    except GenerationError:
        return None


def constrained(connection: ZmqConnection, num_tokens: int, schema: str) -> Done:
    asked = request(connection, num_tokens=num_tokens, ignore_eos=False)
    constraint = JsonSchema(schema)
    return run(connection.complete(Generate(asked.rid, asked.prompt, asked.sampling, constraint)))


def test_a_grammar_whose_process_the_system_kills_fails_alone(start: Start) -> None:
    """What the kernel does where memory is short: SIGKILL for the process that grows. 20 times;
    prints how long the next grammar takes, that needs another process."""
    process = start(grammar_timeout_s=60)
    connection = ZmqConnection(process.address)
    [engine] = children(process.pid)
    next_s: list[float] = []
    with ThreadPoolExecutor(1) as thread:
        for number in range(20):
            heavy = {
                f"{number}-{index}": {
                    "pattern": f"[ab]*a[ab]{{{11 + number % 2}}}",
                    "maxLength": 200,
                }
                for index in range(30)
            }
            told = thread.submit(constrained, connection, 400, json.dumps({"properties": heavy}))
            seconds_until(lambda told=told: bool(children(engine)) or told.done(), 60)
            for worker in children(engine):
                os.kill(worker, signal.SIGKILL)
            with pytest.raises(GrammarError, match=r"signal 9|limit"):
                told.result(120)
            light = json.dumps({"type": "array", "items": {"enum": [number]}, "maxItems": 2})
            begun_s = time.monotonic()
            done = constrained(connection, 60, light)
            next_s.append(time.monotonic() - begun_s)
            assert set(json.loads(done.outputs[0].text)) <= {number}
    print(f"the next grammar after p50 {median(next_s):.3f}, at most {max(next_s):.3f} s")
    assert num_restarts(connection) == 0
    connection.close()
