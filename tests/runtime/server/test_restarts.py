"""When an engine that died is started again."""

from __future__ import annotations

from branchline.runtime.server.supervisor import Restarts


def test_an_engine_that_served_is_replaced_at_once_every_time() -> None:
    restarts = Restarts()
    assert [restarts.note(float(second), served=True) for second in range(5)] == [0.0] * 5


def test_an_engine_that_cannot_start_is_not_tried_without_a_pause() -> None:
    pause_s = Restarts().note(0.0, served=False)
    assert pause_s is not None
    assert pause_s > 0


def test_engines_that_die_again_and_again_are_given_up() -> None:
    restarts = Restarts()
    for second in range(5):
        restarts.note(float(second), served=True)
    assert restarts.note(5.0, served=True) is None


def test_deaths_of_an_hour_ago_do_not_count() -> None:
    restarts = Restarts()
    for hour in range(20):
        assert restarts.note(3_600.0 * hour, served=True) == 0.0
