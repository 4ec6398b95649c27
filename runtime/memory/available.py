"""How much memory this process may still take, and how many cores; the model runner sizes the KV
pool and torch's threads by it."""

from __future__ import annotations

import os
from pathlib import Path


def available_bytes(root: Path = Path("/")) -> int:
    """What the system can hand out without swapping, or less where one of the process's control
    groups (a container's limit) leaves less. root: where /proc and /sys are, for tests."""
    left = [_left_in(each) for each in _groups(root)]
    return max(0, min([_of_system(root), *(each for each in left if each is not None)]))


def quota_cores(root: Path = Path("/")) -> int | None:
    """The whole cores, at least 1, whose time the process's control groups hand out; None for no
    limit. More threads than these are stopped for tenths of a second, together."""
    quotas = [
        int(fields[0]) // int(fields[1])
        for fields in (line.split() for each in _groups(root) for line in _lines(each / "cpu.max"))
        if fields[0].isdecimal()
    ]
    return max(1, min(quotas)) if quotas else None


def _of_system(root: Path) -> int:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _groups(root: Path) -> list[Path]:
    """The folders of the process's control group (version 2) and of those that it is in, up to the
    root, which in a container is its own."""
    top = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        if line.startswith("0::/"):
            own = top / line[4:].strip()
            return [own, *(each for each in own.parents if each.is_relative_to(top))]
    return [top]


def _left_in(folder: Path) -> int | None:
    """Limit less use; pages of files count as free, because the kernel takes them back."""
    limit, used = _lines(folder / "memory.max"), _lines(folder / "memory.current")
    if not limit or not used or not limit[0].strip().isdecimal():
        return None
    reclaimable = 0
    for line in _lines(folder / "memory.stat"):
        if line.startswith("inactive_file "):
            reclaimable = int(line.split()[1])
    return int(limit[0]) - int(used[0]) + reclaimable


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
