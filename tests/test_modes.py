"""S19: the tests pass without assertions in the code (-O), in Python's development mode, and with
files and sockets that are left open as errors. Nightly: they run everything else once more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MODE = ["-O", "-X", "dev", "-W", "error::ResourceWarning"]
# What is left open is seen when it is collected, where an error is but another warning.
UNRAISABLE = ["-W", "error::pytest.PytestUnraisableExceptionWarning"]


def parts() -> list[str]:
    """Every test file is in one of these; none of them takes half an hour."""
    folders = {path.parent for path in TESTS.rglob("test_*.py")} - {TESTS}
    return sorted(str(folder.relative_to(TESTS)) for folder in folders)


@pytest.mark.nightly
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("part", parts())
def test_everything_passes_in_these_modes(part: str) -> None:
    passes_in_these_modes(*map(str, sorted((TESTS / part).glob("test_*.py"))))


def passes_in_these_modes(*paths: str) -> None:
    done = subprocess.run(
        [sys.executable, *MODE, "-m", "pytest", *UNRAISABLE, *paths],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    print(done.stdout.splitlines()[-1])


def test_a_file_that_is_left_open_would_be_seen(tmp_path: Path) -> None:
    """Planted."""
    planted = tmp_path / "test_planted.py"
    planted.write_text("def test_planted():\n    open(__file__)\n")
    with pytest.raises(AssertionError, match="unclosed file"):
        passes_in_these_modes(str(planted))
