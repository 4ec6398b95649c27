"""What a client and the runtime's processes have used, read from /proc. Used by programs.py."""

from __future__ import annotations

import os
import time
from pathlib import Path


def runtime_processes() -> dict[str, int]:
    """The front process that this process started, and its engine."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    engine = next(
        pid for pid, front in parents.items() if parents.get(front) == os.getpid() and pid != front
    )
    return {"front": parents[engine], "engine": engine}


def cpu_seconds(runtime: dict[str, int]) -> dict[str, float]:
    """CPU time so far, of all threads that live; to the nanosecond, where `stat` counts ticks of
    10 ms."""
    used = {"client": time.process_time()}
    for name, pid in runtime.items():
        nanoseconds = 0
        for thread in Path(f"/proc/{pid}/task").iterdir():
            nanoseconds += int((thread / "schedstat").read_text().split()[0])
        used[name] = nanoseconds / 1e9
    return used


def resident_bytes(runtime: dict[str, int]) -> dict[str, int]:
    """Memory that is not swapped out."""
    pids = {"client": os.getpid(), **runtime}
    page = os.sysconf("SC_PAGE_SIZE")
    return {
        name: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page
        for name, pid in pids.items()
    }
