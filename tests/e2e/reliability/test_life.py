"""Runtimes that are started and ended again and again, kindly and not (R10, R11, R26)."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import generate, num_running, request, spawn
from faulty import Fault
from processes import children, runs
from stopwatch import Stopwatch, seconds_until

from branchline.lang.client import ZmqConnection
from branchline.lang.errors import RuntimeUnavailable, TimeoutExceeded
from branchline.lang.launch import RuntimeProcess

# They start a runtime each and wait for real deaths.
pytestmark = pytest.mark.timeout(7_200)

Start = Callable[..., RuntimeProcess]


def start_and_end(start: Start, temporary: Path) -> float:
    """How long the end took, in seconds."""
    process = start(http="127.0.0.1:0")
    [engine] = children(process.pid)
    connection = ZmqConnection(process.address)
    assert generate(connection, num_tokens=2).outputs
    connection.close()
    begun_s = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    seconds_until(lambda: not process.alive, 60)
    taken_s = time.monotonic() - begun_s
    assert process.exit_status == 0
    assert not runs(engine)
    assert list(temporary.iterdir()) == []
    return taken_s


@pytest.mark.nightly
@pytest.mark.parametrize("hundred", [1, 2])
def test_two_hundred_starts_and_ends_leave_nothing(
    start: Start, temporary: Path, hundred: int
) -> None:
    """R26, in two parts: on a busy machine each takes ten minutes."""
    ends_s: list[float] = []
    for _ in range(100):
        ends_s.append(start_and_end(start, temporary))
        if len(ends_s) % 20 == 0:  # it may be cut off
            print(f"{len(ends_s)} times")
    print(f"ended after {statistics.median(ends_s):.2f} s, at most {max(ends_s):.2f} s")
    assert max(ends_s) <= 2.0


@pytest.mark.nightly
def test_a_socket_that_is_left_would_be_seen(start: Start, temporary: Path, fault: Fault) -> None:
    """Planted: the front does not remove its folder."""
    fault.plant("litter")
    with pytest.raises(AssertionError, match="branchline-"):
        start_and_end(start, temporary)


@pytest.mark.nightly
@pytest.mark.parametrize("victim", ["front", "engine"])
def test_twenty_kills_leave_nothing_and_the_address_is_free_again(
    start: Start, temporary: Path, victim: str
) -> None:
    """R10."""
    address = f"ipc://{temporary}/here"
    seen_s: list[float] = []
    for _ in range(20):
        process = start(bind=address)
        connection = ZmqConnection(address)
        [engine] = children(process.pid)
        future = spawn(connection.complete(request(connection, num_tokens=3_500)))
        seconds_until(lambda connection=connection: num_running(connection) == 1, 60)
        with Stopwatch() as watch:
            os.kill(process.pid if victim == "front" else engine, signal.SIGKILL)
            with pytest.raises(RuntimeUnavailable):
                future.result(60)
        seen_s.append(watch.seconds)
        seconds_until(lambda engine=engine: not runs(engine), 60)
        connection.close()
        process.close()
        # A front that is killed leaves its address, the lock and a folder to the next one.
        assert len(list(temporary.iterdir())) <= (3 if victim == "front" else 0)
    start(bind=address).close()
    assert list(temporary.iterdir()) == []
    print(f"{victim}: seen after {statistics.median(seen_s):.3f} s, at most {max(seen_s):.3f} s")
    assert max(seen_s) <= 1.0


def refuses(connection: ZmqConnection) -> bool:
    try:
        # One that is taken in before the signal is heard waits behind a hundred.
        generate(connection, num_tokens=1, timeout_s=0.2)
    except RuntimeUnavailable:
        return True
    except TimeoutExceeded:
        pass
    return False


def test_sigterm_completes_two_hundred_requests_that_run_or_wait(
    start: Start, temporary: Path
) -> None:
    """R11: 100 run, 100 wait; none is cut, and a new one is refused."""
    process = start(drain_s=600, max_running=100)
    connection = ZmqConnection(process.address)
    futures = [spawn(connection.complete(request(connection, num_tokens=600))) for _ in range(200)]
    # Whatever ends between the two looks is looked for again.
    seconds_until(lambda: sum(f.done() for f in futures) + num_running(connection) == 200, 60)
    os.kill(process.pid, signal.SIGTERM)
    seconds_until(lambda: refuses(connection), 5)
    assert [len(f.result(600).outputs[0].token_ids) for f in futures] == [600] * 200
    seconds_until(lambda: not process.alive, 60)
    assert process.exit_status == 0
    connection.close()
