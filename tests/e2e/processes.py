"""Looking at real processes from outside: children, and whether one still runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def table() -> dict[int, tuple[int, str]]:
    """Every process's parent and state."""
    text = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,state="], capture_output=True, text=True, check=True
    ).stdout
    rows = (line.split() for line in text.splitlines())
    return {int(pid): (int(parent), state) for pid, parent, state in rows}


def children(pid: int) -> list[int]:
    """The processes that `pid` started and that still run."""
    return [
        child for child, (parent, state) in table().items() if parent == pid and state[0] != "Z"
    ]


def runs(pid: int) -> bool:
    """Whether the process is there, and not a zombie that its parent has not yet noticed."""
    state = table().get(pid, (0, "Z"))[1]
    return state[0] != "Z"


def resident_bytes(pid: int) -> int:
    """The memory of a process that is not swapped out."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
