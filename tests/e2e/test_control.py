"""Cancelling, deadlines, retries and timelines of programs, in a real runtime process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from asking import ENDLESS
from processes import children
from stopwatch import Stopwatch, seconds_until

import branchline as bl
from branchline.lang.launch import RuntimeProcess

Start = Callable[..., RuntimeProcess]


@bl.function
def ramble(s: bl.ProgramState, topic: str, num_tokens: int = ENDLESS) -> None:
    s += topic
    s += bl.gen("text", max_tokens=num_tokens, temperature=0.0, ignore_eos=True)


@pytest.fixture
def endpoint(runtime: RuntimeProcess) -> Iterator[bl.RuntimeEndpoint]:
    with bl.RuntimeEndpoint(runtime.address) as endpoint:
        yield endpoint


def num_busy(endpoint: bl.RuntimeEndpoint) -> float:
    info = endpoint.get_server_info()
    return float(info["running"] + info["waiting"])


def test_a_cancelled_state_is_freed_before_the_runtime_answers_again(endpoint):
    state = ramble.run("the quick brown fox", backend=endpoint)
    seconds_until(lambda: num_busy(endpoint) == 1, 60)
    state.cancel()
    # The question goes the same way behind the cancellation: one step at most lies between.
    assert num_busy(endpoint) == 0
    with pytest.raises(bl.Cancelled):
        state["text"]


def test_a_deadline_frees_every_branch_in_the_runtime(endpoint):
    @bl.function
    def program(s):
        s += "the quick brown fox "
        group = s.fork(3)
        group += lambda i: f"{i} " + bl.gen("text", max_tokens=ENDLESS, ignore_eos=True)
        group.join()

    with pytest.raises(bl.TimeoutExceeded):
        program.run(backend=endpoint, timeout=0.2)
    assert num_busy(endpoint) == 0


def test_leaving_amap_frees_the_runtime(endpoint):
    async def main() -> None:
        states = ramble.amap([("fox", 1), *[("dog", ENDLESS)] * 5], backend=endpoint)
        await anext(states)
        await states.aclose()

    asyncio.run(main())
    assert num_busy(endpoint) == 0


def test_calls_lost_with_the_engine_are_replayed_unnoticed(start: Start) -> None:
    process = start()
    with bl.RuntimeEndpoint(process.address) as endpoint:
        want = ramble.run("the quick brown fox", 1_500, backend=endpoint).text()
        states = [ramble.run("the quick brown fox", 1_500, backend=endpoint) for _ in range(4)]
        seconds_until(lambda: num_busy(endpoint) == 4, 60)
        [engine] = children(process.pid)
        os.kill(engine, signal.SIGKILL)
        assert [state.text() for state in states] == [want] * 4
        assert endpoint.get_server_info()["front_engine_restarts"] == 1


def test_a_fork_of_fifty_branches_survives_the_engine(start: Start) -> None:
    """R12: the runtime dies in mid-program; every branch says what it would have said."""

    @bl.function
    def program(s: bl.ProgramState) -> None:
        s += "the quick brown fox "
        group = s.fork(50)
        group += lambda i: (
            f"{i} " + bl.gen("text", max_tokens=200, temperature=0.0, ignore_eos=True)
        )
        group.join()
        s += bl.gen("end", max_tokens=20, temperature=0.0, ignore_eos=True)

    process = start()
    with bl.RuntimeEndpoint(process.address) as endpoint, ThreadPoolExecutor(1) as thread:
        want = program.run(backend=endpoint)["end"]
        future = thread.submit(lambda: program.run(backend=endpoint)["end"])
        seconds_until(lambda: num_busy(endpoint) > 25, 60)
        [engine] = children(process.pid)
        os.kill(engine, signal.SIGKILL)
        assert future.result(60) == want
        assert endpoint.get_server_info()["front_engine_restarts"] == 1


def test_plans_lost_with_the_engine_are_run_again_unnoticed(start: Start) -> None:
    @bl.function
    def program(s: bl.ProgramState, topic: str) -> None:
        s += topic + bl.gen("a", max_tokens=800, temperature=0.0, ignore_eos=True)
        s += " and " + bl.gen("b", max_tokens=20, temperature=0.0, ignore_eos=True)

    items = [{"topic": f"the quick brown fox {number}"} for number in range(4)]
    process = start()
    with bl.RuntimeEndpoint(process.address) as endpoint, ThreadPoolExecutor(1) as thread:
        want = [state.text() for state in program.run_batch(items, backend=endpoint)]
        future = thread.submit(program.run_batch, items, backend=endpoint)
        seconds_until(lambda: num_busy(endpoint) == 4, 60)
        [engine] = children(process.pid)
        os.kill(engine, signal.SIGKILL)
        assert [state.text() for state in future.result(60)] == want
        assert endpoint.get_server_info()["front_engine_restarts"] == 1


def test_a_state_goes_on_with_the_runtime_that_took_the_place_of_its_own(
    start: Start, temporary: Path
) -> None:
    """What the first one held is gone: the state's log is sent, to the token."""
    address = f"ipc://{temporary}/here"
    first = start(bind=address)
    with bl.RuntimeEndpoint(address) as endpoint:
        state = ramble.run("the quick brown fox", 8, backend=endpoint)
        begun = state.text()
        os.kill(first.pid, signal.SIGKILL)
        first.close()
        second = start(bind=address)
        state += " and " + bl.gen("more", max_tokens=8, temperature=0.0, ignore_eos=True)
        assert state.text().startswith(begun + " and ")
        assert state.error() is None
        whole = ramble.run("the quick brown fox", 8, backend=endpoint)
        whole += " and " + bl.gen("more", max_tokens=8, temperature=0.0, ignore_eos=True)
        assert state["more"] == whole["more"]
    second.close()


def test_a_stream_lost_with_the_engine_is_an_error_with_its_place(start: Start) -> None:
    process = start()
    with bl.RuntimeEndpoint(process.address) as endpoint:
        state = ramble.run("the quick brown fox", backend=endpoint, stream=True)
        pieces = state.text_iter("text")
        next(pieces)
        [engine] = children(process.pid)
        with Stopwatch() as watch:
            os.kill(engine, signal.SIGKILL)
            with pytest.raises(bl.RuntimeUnavailable) as caught:
                list(pieces)
        assert watch.seconds < 1.0
        assert (caught.value.program, caught.value.variable) == ("ramble", "text")
        assert str(caught.value.source).startswith(f"{__file__}:")


def test_a_runtime_that_is_gone_for_good_is_told_within_a_second(start: Start) -> None:
    process = start()
    with bl.RuntimeEndpoint(process.address) as endpoint:
        state = ramble.run("the quick brown fox", backend=endpoint)
        seconds_until(lambda: num_busy(endpoint) == 1, 60)
        with Stopwatch() as watch:
            os.kill(process.pid, signal.SIGKILL)
            assert isinstance(state.error(), bl.RuntimeUnavailable)
        assert watch.seconds < 1.0


def test_more_programs_than_the_runtime_lets_wait_all_finish(start: Start) -> None:
    process = start(max_waiting=4, max_running=4)
    with bl.RuntimeEndpoint(process.address) as endpoint:
        states = ramble.run_batch([("fox", 4)] * 60, backend=endpoint, num_threads=60)
        assert [state.error() for state in states] == [None] * 60
        refused = endpoint.get_server_info()["front_requests_failed"]
        assert refused > 0


def test_a_timeline_tells_the_runtimes_own_times(endpoint):
    rows = ramble.run("cats and dogs", 20, backend=endpoint).timeline().rows
    (row,) = rows
    assert row.decode == 20
    assert row.cached is not None
    assert row.extend is not None
    assert row.cached + row.extend > 0
    assert row.waited is not None
    assert row.first_token is not None
    assert row.finished is not None
    assert 0 <= row.waited <= row.first_token - row.started <= row.finished - row.started


PIPELINE = """
import branchline as bl

@bl.function
def summary(s, text):
    s += text
    s += bl.gen("summary", max_tokens=100, temperature=0.0, ignore_eos=True)
"""


def test_a_killed_command_goes_on_where_it_was(runtime: RuntimeProcess, tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    records = [{"text": f"the quick brown fox {i} "} for i in range(600)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    command = [
        *(sys.executable, "-m", "branchline", "run", "pipeline.py", "--resume"),
        *("--input", "in.jsonl", "--output", "out.jsonl", "--address", runtime.address),
    ]
    checkpoint = tmp_path / "out.jsonl.checkpoint"

    def num_saved() -> int:
        return checkpoint.read_bytes().count(b"\n") - 1 if checkpoint.exists() else 0

    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        seconds_until(lambda: num_saved() >= 40, 60)
        process.kill()
    saved = num_saved()
    assert saved < len(records)

    with bl.RuntimeEndpoint(runtime.address) as endpoint:
        before = endpoint.get_server_info()["front_requests"]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=100, stderr=subprocess.DEVNULL)
        asked = endpoint.get_server_info()["front_requests"] - before
    assert asked - 1 == 2 * (len(records) - saved), "a program is a request, and so is its call"
    results = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(results) == len(records)
    assert all(result["summary"] for result in results)
    assert not checkpoint.exists()
