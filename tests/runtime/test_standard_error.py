"""A log that cannot be written ends nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SPEAK = """
import logging, sys, traceback
print("to the log", file=sys.stderr, flush=True)
try:
    raise ValueError("é")
except ValueError:
    traceback.print_exc()
logging.getLogger("x").warning("a warning")
print("went on")
"""
CALM = "from branchline.runtime.standard_error import unfailing_stderr\nunfailing_stderr()\n"


def speak(code: str, stderr: int | None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, check=False)


@pytest.fixture(params=["a full disk", "nobody reads"])
def broken(request: pytest.FixtureRequest) -> Iterator[int]:
    """A descriptor on which every write fails."""
    if request.param == "nobody reads":
        reader, descriptor = os.pipe()
        os.close(reader)
    elif Path("/dev/full").exists():
        descriptor = os.open("/dev/full", os.O_WRONLY)
    else:
        pytest.skip("this system has no /dev/full")
    yield descriptor
    os.close(descriptor)


def test_a_process_goes_on_where_its_log_cannot_be_written(broken: int) -> None:
    done = speak(CALM + SPEAK, broken)
    assert (done.returncode, done.stdout) == (0, b"went on\n")


def test_without_it_the_first_line_ends_the_process(broken: int) -> None:
    """Planted: the same process without the stream."""
    done = speak(SPEAK, broken)
    assert done.returncode != 0
    assert done.stdout == b""


def test_what_can_be_written_is() -> None:
    done = speak(CALM + SPEAK, subprocess.PIPE)
    assert done.stderr.decode().splitlines()[0] == "to the log"
    assert "ValueError: é" in done.stderr.decode()
    assert done.stderr.decode().endswith("a warning\n")
