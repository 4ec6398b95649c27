"""The language's event loop thread."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from branchline.lang.loop import LoopThread, give_up_tool_loop, shared_loop, tool_loop

NUMBER: ContextVar[int] = ContextVar("number")


@pytest.fixture
def loop() -> LoopThread:
    return LoopThread("test-loop")


async def where() -> threading.Thread:
    return threading.current_thread()


def test_coroutines_run_on_the_loop_s_thread_and_results_come_back(loop: LoopThread) -> None:
    assert loop.run(where()).name == "test-loop"
    loop.stop()


def test_everybody_shares_one_loop() -> None:
    assert shared_loop() is shared_loop()


def test_a_blocking_call_from_the_loop_itself_is_refused(loop: LoopThread) -> None:
    async def block() -> None:
        loop.run(where())

    with pytest.raises(RuntimeError, match="async form"):
        loop.run(block())
    loop.stop()


def test_an_interrupted_wait_cancels_what_it_waited_for(loop: LoopThread) -> None:
    cancelled = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(TimeoutError):
        loop.run(wait(), timeout_s=0.05)
    assert cancelled.wait(60)
    loop.stop()


def test_stopping_cancels_what_still_runs(loop: LoopThread) -> None:
    started, cancelled = threading.Event(), threading.Event()

    async def wait() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    loop.spawn(wait())
    assert started.wait(60)
    loop.stop()
    assert cancelled.is_set()
    assert not loop.alive


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_no_task_ends_the_loop(loop: LoopThread, kind: type[BaseException]) -> None:
    async def leave() -> None:
        asyncio.get_running_loop().stop()
        raise kind

    with pytest.raises(kind):
        loop.run(leave(), timeout_s=60)
    assert loop.run(where(), timeout_s=60).name == "test-loop"
    loop.stop()
    assert not loop.alive


def test_a_loop_that_is_given_up_ends_with_what_it_runs() -> None:
    loop, go_on = tool_loop(), asyncio.Event()
    waiting = loop.spawn(go_on.wait())
    give_up_tool_loop(loop)
    assert tool_loop() is not loop
    loop.call(go_on.set)
    assert waiting.result(60)
    loop._thread.join(60)
    assert not loop.alive


def test_calls_from_a_thread_are_made_in_order_and_a_failing_one_harms_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop, made, done = LoopThread("test-calls"), [], threading.Event()

    def call(number: int) -> None:
        if number == 3:
            raise LookupError("call 3")
        made.append(number)

    try:
        for number in range(200):
            loop.call(call, number)
        loop.call(done.set)
        assert done.wait(60)
    finally:
        loop.stop()
    assert made == [number for number in range(200) if number != 3]
    assert "call 3" in caplog.text


def test_context_variables_of_who_called_hold_in_each_call() -> None:
    loop, seen, done = LoopThread("test-calls"), [], threading.Event()
    try:
        for number in range(20):
            NUMBER.set(number)
            loop.call(lambda: seen.append(NUMBER.get()))
        loop.call(done.set)
        assert done.wait(60)
    finally:
        loop.stop()
    assert seen == list(range(20))


def test_what_need_not_wake_the_loop_is_called_before_what_does(loop: LoopThread) -> None:
    seen: list[str] = []
    done = threading.Event()
    try:
        loop.call_with_next(seen.append, "with the next")
        loop.call(seen.append, "next")
        loop.call(done.set)
        assert done.wait(60)
    finally:
        loop.stop()
    assert seen == ["with the next", "next"]
