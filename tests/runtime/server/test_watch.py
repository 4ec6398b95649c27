"""A hanging loop is told from a slow watcher and from a busy machine, on the test's clock (R9)."""

from __future__ import annotations

from branchline.runtime.server.watch import LoopWatch

HANG_S = 1.5
TICK_S = 0.1


def seen_after(
    *, beats_every: int | None, queued_share: float = 0.0, looks: int = 100, tick_s: float = TICK_S
) -> float | None:
    """When a loop is taken to hang that beats with every so many looks, on a machine that lets it
    wait for a core that share of the time."""
    watch = LoopWatch()
    for look in range(looks):
        now_s = look * tick_s
        moved = look == 0 or (beats_every is not None and look % beats_every == 0)
        if watch.look(now_s, moved, lambda now_s=now_s: now_s * queued_share, HANG_S) is not None:
            return now_s
    return None


def test_a_loop_that_stands_still_is_seen_within_two_seconds() -> None:
    seen_s = seen_after(beats_every=None)
    assert seen_s is not None
    assert HANG_S < seen_s < 2.0


def test_a_loop_whose_steps_take_long_is_left_alone() -> None:
    assert seen_after(beats_every=14, looks=10_000) is None


def test_a_loop_that_waits_for_a_core_is_left_alone() -> None:
    """A step of 100 ms on a core that is had for a twentieth of the time takes two seconds."""
    assert seen_after(beats_every=25, queued_share=0.95, looks=10_000) is None


def test_a_loop_that_hangs_on_a_busy_machine_is_seen_when_its_own_time_is_up() -> None:
    seen_s = seen_after(beats_every=None, queued_share=0.5, looks=1_000)
    assert seen_s is not None
    assert seen_s < 2 * HANG_S + 0.2


def test_no_machine_is_so_busy_that_a_hang_is_never_seen() -> None:
    seen_s = seen_after(beats_every=None, queued_share=1.0, looks=1_000)
    assert seen_s is not None
    assert seen_s < 20 * HANG_S + 0.2


def test_a_watcher_that_was_held_up_itself_blames_nobody() -> None:
    """Two looks five seconds apart, as after a laptop's sleep."""
    watch = LoopWatch()
    watch.look(0.0, True, lambda: 0.0, HANG_S)
    assert watch.look(5.0, False, lambda: 0.0, HANG_S) is None
    assert watch.look(10.0, True, lambda: 0.0, HANG_S) is None


def test_a_system_that_tells_nothing_of_waiting_is_judged_by_time_alone() -> None:
    assert seen_after(beats_every=None, queued_share=0.0) is not None
