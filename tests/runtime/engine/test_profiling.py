"""Profiles of the engine's loop: what they tell, and where they are allowed."""

from __future__ import annotations

import pstats
from pathlib import Path

import pytest

from branchline.runtime.engine import profiling
from branchline.runtime.engine.profiling import Profiler
from branchline.runtime.errors import RequestError


def work() -> int:
    return sum(range(10))


def test_a_profile_tells_the_functions_that_ran_meanwhile(tmp_path: Path) -> None:
    profiler = Profiler(str(tmp_path / "new"))
    profiler.start()
    work()
    told = pstats.Stats(profiler.stop()).get_stats_profile()
    assert told.func_profiles["work"].ncalls == "1"


def test_each_profile_has_a_file_of_its_own_until_there_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "_MOST_FILES", 2)
    profiler = Profiler(str(tmp_path))
    paths = []
    for _ in range(3):
        profiler.start()
        paths.append(profiler.stop())
    assert paths[0] != paths[1]
    assert paths[2] == paths[0]


def test_nobody_profiles_a_runtime_that_was_given_no_folder() -> None:
    with pytest.raises(RequestError, match="--profile-dir"):
        Profiler(None).start()


def test_profiles_are_taken_one_at_a_time(tmp_path: Path) -> None:
    profiler = Profiler(str(tmp_path))
    with pytest.raises(RequestError, match="start one first"):
        profiler.stop()
    profiler.start()
    with pytest.raises(RequestError, match="under way already"):
        profiler.start()
    profiler.stop()


def test_a_folder_that_cannot_be_written_is_told_and_the_next_profile_goes_on(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    profiler = Profiler(str(tmp_path / "file"))
    for _ in range(2):
        profiler.start()
        with pytest.raises(RequestError, match="not written"):
            profiler.stop()
