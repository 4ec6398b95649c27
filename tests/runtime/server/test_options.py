"""Flags of the runtime and what they become."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.server.options import UsageError, build_parser, parse


def test_a_flag_that_is_not_given_is_what_the_engine_defaults_to() -> None:
    given = vars(build_parser().parse_args([]))
    config = EngineConfig()
    named = [field.name for field in dataclasses.fields(config) if field.name in given]
    assert "grammar_timeout_s" in named
    assert {name: given[name] for name in named} == {name: getattr(config, name) for name in named}


@pytest.mark.parametrize("flag", ["--cache-file", "--address-file"])
def test_a_file_that_could_not_be_written_at_the_end_is_refused_at_the_start(
    tmp_path: Path, flag: str
) -> None:
    with pytest.raises(UsageError, match=rf"{flag} .*/a/b': no file can be written in .*/a'"):
        parse([flag, str(tmp_path / "a" / "b")])
    with pytest.raises(UsageError, match=rf"{flag} .* is a folder"):
        parse([flag, str(tmp_path)])
    parse([flag, str(tmp_path / "b")])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_could_not_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"--disk-cache .*/file/a': .* \(Not a directory\)"):
        parse(["--disk-cache", str(tmp_path / "file" / "a")])
    parse(["--disk-cache", str(tmp_path / "new" / "a")])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("flag", ["--engine-hang-s", "--engine-silence-s"])
@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "inf"])
def test_a_time_in_which_no_engine_could_answer_is_refused(flag: str, seconds: str) -> None:
    with pytest.raises(UsageError, match=rf"{flag} must be in \(0, 86400\], not {seconds}"):
        parse([f"{flag}={seconds}"])
    assert parse([f"{flag}=2.5"])
