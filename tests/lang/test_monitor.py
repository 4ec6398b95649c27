"""Waiting for a state: everybody whose time has come is woken, and nobody else."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

from branchline.lang.errors import RuntimeUnavailable
from branchline.lang.monitor import Monitor


class Value:
    """A number under a monitor, which notes how often it was looked at and by whom."""

    def __init__(self) -> None:
        self.monitor = Monitor()
        self.number = 0
        self.looks: list[int] = []
        self.looked = threading.Event()

    def set(self, number: int) -> None:
        with self.monitor.lock:
            self.number = number
            self.monitor.changed()

    def is_at_least(self, number: int) -> bool:
        self.looks.append(threading.get_ident())
        self.looked.set()
        return self.number >= number


def test_who_waits_only_so_long_is_told_that_it_was_in_vain_and_looked_for_no_more() -> None:
    value = Value()
    assert not value.monitor.wait_for(lambda: value.is_at_least(1), 0.01)
    looks = len(value.looks)
    value.set(1)
    assert len(value.looks) == looks
    assert value.monitor.wait_for(lambda: value.is_at_least(1), 0.0)


def test_a_waiting_thread_is_not_woken_by_what_it_does_not_wait_for() -> None:
    value = Value()
    passed: list[int] = []

    def wait() -> None:
        value.monitor.wait_for(lambda: value.is_at_least(100))
        passed.append(value.number)

    thread = threading.Thread(target=wait)
    thread.start()
    # It sleeps before it leaves the lock under which it looked.
    assert value.looked.wait(60)
    for number in range(1, 101):
        value.set(number)
    thread.join(60)
    assert passed == [100]
    # Once before it slept, once when it was woken; the other looks were the changer's.
    assert value.looks.count(thread.ident or 0) == 2


def test_threads_and_coroutines_wait_for_different_things() -> None:
    value = Value()
    order: list[str] = []

    async def wait(number: int) -> None:
        await value.monitor.wait_for_async(lambda: value.number >= number)
        order.append(f"coroutine {number}")
        value.set(number + 1)

    def block() -> None:
        value.monitor.wait_for(lambda: value.number >= 2)
        order.append("thread 2")
        value.set(3)

    async def main() -> None:
        thread = threading.Thread(target=block)
        thread.start()
        tasks = [asyncio.create_task(wait(number)) for number in (3, 1)]
        await asyncio.sleep(0)
        value.set(1)
        await asyncio.gather(*tasks)
        thread.join(60)

    asyncio.run(main())
    assert order == ["coroutine 1", "thread 2", "coroutine 3"]


def test_a_wait_that_was_cancelled_is_forgotten() -> None:
    value = Value()

    async def main() -> None:
        waiting = asyncio.create_task(value.monitor.wait_for_async(lambda: False))
        await asyncio.sleep(0)
        assert len(value.monitor._waiters) == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    assert value.monitor._waiters == []
    value.set(1)


def test_a_waiter_whose_loop_is_gone_harms_nobody() -> None:
    value = Value()
    loop = asyncio.new_event_loop()
    task = loop.create_task(value.monitor.wait_for_async(lambda: value.number == 1))
    loop.run_until_complete(asyncio.sleep(0))
    waiters = list(value.monitor._waiters)
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    value.monitor._waiters = waiters
    value.set(1)
    assert value.monitor._waiters == []


def test_in_a_forked_child_nobody_waits_for_what_goes_on_in_the_parent() -> None:
    value = Value()
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # as no other thread is there to end a wait
        try:
            value.monitor.wait_for(lambda: value.number == 0)  # what is there is there
            value.monitor.wait_for(lambda: value.is_at_least(1))
        except RuntimeUnavailable:
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0) == (child, 0)
