"""A hanging loop is told from a slow watcher and from a busy machine, on the test's clock (R9)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from branchline.runtime.server.watch import LoopWatch, ThreadTimes

HANG_S = 1.5
TICK_S = 0.1


Threads = Callable[[float], dict[int, ThreadTimes]]


def nothing_told(now_s: float) -> dict[int, ThreadTimes]:
    return {}


def queued(share: float, *, among: int = 1) -> Threads:
    """Threads of which one after the other waits for a core, together that share of the time."""

    def threads(now_s: float) -> dict[int, ThreadTimes]:
        looks = round(now_s / TICK_S)
        return {
            number: ThreadTimes(
                now_s, TICK_S * share * ((looks + number) // among), is_runnable=True
            )
            for number in range(among)
        }

    return threads


def seen_after(
    *,
    beats_every: int | None,
    threads: Threads = nothing_told,
    looks: int = 100,
    tick_s: float = TICK_S,
) -> float | None:
    """When a loop is taken to hang that beats with every so many looks."""
    watch = LoopWatch()
    for look in range(looks):
        now_s = look * tick_s
        moved = look == 0 or (beats_every is not None and look % beats_every == 0)
        if watch.look(now_s, moved, lambda now_s=now_s: threads(now_s), HANG_S) is not None:
            return now_s
    return None


def test_a_loop_that_stands_still_is_seen_within_two_seconds() -> None:
    seen_s = seen_after(beats_every=None)
    assert seen_s is not None
    assert HANG_S < seen_s < 2.0


def test_a_loop_whose_steps_take_long_is_left_alone() -> None:
    assert seen_after(beats_every=14, looks=10_000) is None


@pytest.mark.parametrize("among", [1, 3])
def test_a_loop_that_waits_for_a_core_is_left_alone(among: int) -> None:
    """A step of 100 ms on a core that is had for a twentieth of the time takes two seconds. The
    loop may wait for another thread, which waits for a core."""
    assert seen_after(beats_every=25, threads=queued(0.95, among=among), looks=10_000) is None


def test_a_loop_that_has_waited_for_a_core_since_it_stood_still_is_left_alone() -> None:
    """The system counts a wait when it is over."""

    def threads(now_s: float) -> dict[int, ThreadTimes]:
        return {1: ThreadTimes(7.0, 3.0, is_runnable=True)}

    assert seen_after(beats_every=40, threads=threads, looks=1_000) is None


@pytest.mark.parametrize("runs", [True, False], ids=["spinning", "asleep"])
def test_a_loop_that_hangs_is_seen_whatever_it_waited_for_before(runs: bool) -> None:
    def threads(now_s: float) -> dict[int, ThreadTimes]:
        return {1: ThreadTimes(now_s if runs else 7.0, 3_600.0, is_runnable=runs)}

    seen_s = seen_after(beats_every=None, threads=threads)
    assert seen_s is not None
    assert HANG_S < seen_s < 2.0


def test_a_loop_that_hangs_on_a_busy_machine_is_seen_when_its_own_time_is_up() -> None:
    seen_s = seen_after(beats_every=None, threads=queued(0.5), looks=1_000)
    assert seen_s is not None
    assert seen_s < 2 * HANG_S + 0.2


def test_no_machine_is_so_busy_that_a_hang_is_never_seen() -> None:
    seen_s = seen_after(beats_every=None, threads=queued(1.0), looks=1_000)
    assert seen_s is not None
    assert seen_s < 20 * HANG_S + 0.2


def test_a_watcher_that_was_held_up_itself_blames_nobody() -> None:
    """Two looks five seconds apart, as after a laptop's sleep."""
    watch = LoopWatch()
    watch.look(0.0, True, dict, HANG_S)
    assert watch.look(5.0, False, dict, HANG_S) is None
    assert watch.look(10.0, True, dict, HANG_S) is None


def test_a_system_that_tells_nothing_of_waiting_is_judged_by_time_alone() -> None:
    assert seen_after(beats_every=None) is not None
