"""Threads for a batch's bodies: one, and more where bodies wait."""

from __future__ import annotations

import threading

from branchline.lang.body_threads import BodyThreads
from branchline.lang.monitor import Monitor


def test_work_begins_in_order() -> None:
    begun: list[int] = []
    threads = BodyThreads(1, "bodies")
    for number in range(50):
        threads.submit(lambda number=number: begun.append(number))
    threads.close(wait=True)
    assert begun == list(range(50))


def test_work_that_waits_for_a_state_lets_others_run() -> None:
    monitor, said = Monitor(), []

    def say() -> None:
        with monitor.lock:
            said.append("now")
            monitor.changed()

    threads = BodyThreads(8, "bodies")
    for _ in range(7):
        threads.submit(lambda: monitor.wait_for(lambda: bool(said)))
    threads.submit(say)
    threads.close(wait=True)
    assert said == ["now"]


def test_work_that_waits_for_anything_else_lets_others_run_after_a_while() -> None:
    event = threading.Event()
    threads = BodyThreads(8, "bodies")
    for _ in range(7):
        threads.submit(event.wait)
    threads.submit(event.set)
    threads.close(wait=True)
    assert event.is_set()


def test_what_was_not_begun_is_left_out_when_nobody_waits() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), []
    threads = BodyThreads(1, "bodies")
    threads.submit(lambda: (begun.set(), go_on.wait()))
    threads.submit(lambda: done.append("late"))
    begun.wait()
    threads.close(wait=False)
    go_on.set()
    threads.close(wait=True)
    assert done == []
