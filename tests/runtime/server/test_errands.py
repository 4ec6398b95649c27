"""Errands of many threads: the loop is woken no oftener than it looks, and misses none."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from branchline.runtime.server.errands import Errands


@pytest.fixture
def errands() -> Iterator[Errands]:
    errands = Errands()
    yield errands
    errands.close()
    os.close(errands.wake_in)
    os.close(errands.wake_out)


def woken(errands: Errands, timeout_s: float) -> bool:
    return bool(select.select([errands.wake_out], [], [], timeout_s)[0])


def test_a_loop_that_has_not_looked_is_woken_once(errands: Errands) -> None:
    done: list[int] = []
    for number in range(100):
        errands.add(partial(done.append, number))
    assert os.read(errands.wake_out, 4096) == b"\0"
    errands.run()
    assert done == list(range(100))
    errands.add(lambda: done.append(100))
    assert woken(errands, 0)
    errands.run()
    assert done[-1] == 100
    assert not woken(errands, 0)


def test_an_errand_s_own_errand_wakes_the_loop_or_is_run_with_it(errands: Errands) -> None:
    done: list[str] = []
    errands.add(lambda: errands.add(lambda: done.append("second")))
    while not done:
        assert woken(errands, 10)
        errands.run()


def test_none_is_missed_while_threads_send_them(errands: Errands) -> None:
    done: list[int] = []

    def send() -> None:
        for number in range(5_000):
            errands.add(partial(done.append, number))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(done) < 20_000:
        assert woken(errands, 10)
        errands.run()
    for thread in threads:
        thread.join()
