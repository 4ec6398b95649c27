"""A stopwatch goes with the clock, and a pause of the machine is no time."""

from __future__ import annotations

import time

import pytest
import stopwatch
from stopwatch import Stopwatch, seconds_until


def test_it_goes_with_the_clock() -> None:
    begun_s = time.monotonic()
    with Stopwatch() as watch:
        while watch.seconds < 0.2:
            time.sleep(0.01)
    assert time.monotonic() - begun_s >= 0.2


def test_a_pause_is_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0

    class Clock:
        """Stands still, and goes on by an hour once."""

        monotonic = staticmethod(lambda: now_s)

    monkeypatch.setattr(stopwatch, "time", Clock)
    with Stopwatch() as watch:
        now_s = 3600.0
        while watch.seconds == 0.0:
            pass
    assert watch.seconds <= 0.05


def test_what_does_not_happen_is_given_up() -> None:
    with pytest.raises(AssertionError, match=r"still not so after 0\.[12]"):
        seconds_until(lambda: False, 0.1)
