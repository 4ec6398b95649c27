"""The engine is killed, stopped or hangs: everybody is told, and it is back (R7, R8, R9, R20)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest
from asking import ENDLESS, generate, num_running, request, run, spawn
from faulty import Fault
from processes import children, runs
from stopwatch import seconds_until

from branchline.lang.client import ZmqConnection
from branchline.lang.errors import GenerationError, RuntimeUnavailable
from branchline.lang.launch import RuntimeProcess

# They start a runtime each and wait for real deaths: minutes on a busy machine.
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(600)]

Start = Callable[..., RuntimeProcess]


def serves(connection: ZmqConnection) -> bool:
    try:
        return bool(generate(connection).outputs)
    except RuntimeUnavailable:
        return False


@pytest.mark.parametrize("kind", ["loop", "sleep", "native"])
def test_a_loop_that_hangs_is_seen_written_down_and_replaced(
    start: Start, fault: Fault, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """R9: whatever it hangs in; ZeroMQ's own threads would answer for it."""
    process = start()
    connection = ZmqConnection(process.address)
    [engine] = children(process.pid)
    future = spawn(connection.complete(request(connection, num_tokens=ENDLESS)))
    seconds_until(lambda: num_running(connection) == 1, 60)
    fault.plant(kind)
    planted_s = time.monotonic()
    with pytest.raises(RuntimeUnavailable, match="SIGKILL"):
        future.result(60)
    seen_s = time.monotonic() - planted_s
    back_s = seconds_until(lambda: serves(connection), 60)
    assert not runs(engine)
    words = capfd.readouterr().err
    assert "stood still" in words
    assert "sitecustomize.py" in words, "the stack of the loop was not written down"
    with capfd.disabled():
        print(f" {kind}: seen after {seen_s:.2f} s, serving again after {back_s:.2f} s", end="")
    connection.close()


def test_a_stopped_engine_is_replaced_and_nothing_of_its_epoch_arrives(start: Start) -> None:
    """R8: SIGSTOP in mid-stream; what it had under way is an error, what comes after is right."""
    process = start()
    connection = ZmqConnection(process.address)
    expected = generate(connection, num_tokens=64).outputs
    [engine] = children(process.pid)
    future = spawn(connection.complete(request(connection, num_tokens=ENDLESS)))
    seconds_until(lambda: num_running(connection) == 1, 60)
    os.kill(engine, signal.SIGSTOP)
    with pytest.raises(RuntimeUnavailable):
        future.result(60)
    seconds_until(lambda: serves(connection), 60)
    assert not runs(engine)
    assert generate(connection, num_tokens=64).outputs == expected
    connection.close()


def test_long_prompts_raise_no_false_alarm(start: Start) -> None:
    """R9: nothing but prefill, more than fits the cache, and every heartbeat in time."""
    process = start()
    connection = ZmqConnection(process.address)
    for index in range(40):
        prompt = f"{index} " + "the quick brown fox " * 700
        assert generate(connection, prompt, num_tokens=1).outputs
    assert run(connection.info()).stats["front_engine_restarts"] == 0
    connection.close()


@pytest.mark.timeout(7_200)
def test_an_hour_of_nothing_but_long_prompts_raises_no_false_alarm(start: Start) -> None:
    """R9: eight at a time, for an hour; tells every minute how far it came, and can be cut off."""
    process = start()
    connection = ZmqConnection(process.address)
    begun_s, told = time.monotonic(), 0
    for index in itertools.count():
        prompts = [f"{index} {number} " + "the quick brown fox " * 700 for number in range(8)]
        futures = [spawn(connection.complete(request(connection, p, 1))) for p in prompts]
        assert all(future.result(600).outputs for future in futures)
        minutes = int(time.monotonic() - begun_s) // 60
        if minutes > told:
            restarts = run(connection.info()).stats["front_engine_restarts"]
            print(f"{minutes} minutes, {8 * (index + 1)} prompts, {restarts:.0f} restarts")
            assert restarts == 0
            told = minutes
        if minutes >= 60:
            break
    connection.close()


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(("number", "kills"), [(300, 2), (10_000, 20)])
def test_with_retries_no_request_is_lost_doubled_or_wrong(
    start: Start, number: int, kills: int
) -> None:
    """R7: clients that ask again get every answer once, while the engine is killed again and
    again."""
    process = start()
    connection = ZmqConnection(process.address)
    prompts = [f"the {word} fox" for word in ("quick", "brown", "lazy", "old", "sly")]
    expected = {prompt: generate(connection, prompt, 32).outputs[0].text for prompt in prompts}
    answers = Counter[int]()
    retries = 0

    async def ask(index: int, room: asyncio.Semaphore) -> None:
        nonlocal retries
        prompt = prompts[index % len(prompts)]
        async with room:
            while True:
                try:
                    done = await connection.complete(request(connection, prompt, 32))
                    break
                except RuntimeUnavailable:
                    retries += 1
                    await asyncio.sleep(0.2)
        assert done.outputs[0].text == expected[prompt]
        answers[index] += 1

    async def ask_all() -> None:
        room = asyncio.Semaphore(50)
        async with asyncio.TaskGroup() as group:
            for index in range(number):
                group.create_task(ask(index, room))

    future = spawn(ask_all())
    for kill in range(kills):
        due = number * (kill + 1) // (kills + 2)
        seconds_until(lambda due=due: len(answers) >= due or future.done(), 600)
        for engine in children(process.pid):
            os.kill(engine, signal.SIGKILL)
        # The front gives up on an engine that dies more than five times a minute.
        next_s = time.monotonic() + (13.0 if kills > 5 else 0.0)
        seconds_until(lambda next_s=next_s: time.monotonic() >= next_s, 60)
    future.result(7_000)
    assert set(answers.values()) == {1}
    assert len(answers) == number
    assert retries > 0
    print(f"{number} requests, {kills} kills, {retries} retries, 0 lost, 0 doubled, 0 wrong")
    connection.close()


@pytest.mark.parametrize("kind", ["raise", "exit"])
def test_a_fault_in_a_step_is_an_error_or_nothing_and_never_a_hang(
    start: Start, fault: Fault, kind: str
) -> None:
    """R20, in a real process: a step that raises, an engine that leaves."""
    process = start()
    connection = ZmqConnection(process.address)
    for _ in range(3):
        fault.plant(kind)
        with contextlib.suppress(GenerationError):
            assert generate(connection, num_tokens=16).outputs
        seconds_until(lambda: serves(connection), 60)
    connection.close()
