"""S19: the tests pass without assertions in the code (-O), and in Python's development mode with
files and sockets left open as errors. Nightly: they run everything else once more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ["tests/lang", "tests/runtime", "tests/branchline", "tests/e2e"]


@pytest.mark.nightly
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize(
    "options",
    [["-O"], ["-X", "dev", "-W", "error::ResourceWarning"]],
    ids=["optimized", "development"],
)
def test_everything_passes_in_this_mode(options: list[str], folder: str) -> None:
    done = subprocess.run(
        [sys.executable, *options, "-m", "pytest", "-q", "-x", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    print(done.stdout.splitlines()[-1])
