"""S19: the tests pass without assertions in the code (-O), and in Python's development mode with
files and sockets left open as errors. Nightly: they run everything else once more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UNRAISABLE = "error::pytest.PytestUnraisableExceptionWarning"
FOLDERS = ["tests/lang", "tests/runtime", "tests/branchline", "tests/e2e"]


@pytest.mark.nightly
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize(
    ("options", "more"),
    [
        (["-O"], []),
        # What is left open is seen when it is collected, where an error is but another warning.
        (["-X", "dev", "-W", "error::ResourceWarning"], ["-W", UNRAISABLE]),
    ],
    ids=["optimized", "development"],
)
def test_everything_passes_in_this_mode(options: list[str], more: list[str], folder: str) -> None:
    done = subprocess.run(
        [sys.executable, *options, "-m", "pytest", "-q", "-x", *more, folder],
        cwd=ROOT,
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
        test_everything_passes_in_this_mode(
            ["-X", "dev", "-W", "error::ResourceWarning"], ["-W", UNRAISABLE], str(planted)
        )
