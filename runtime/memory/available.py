"""How much memory this process may still take; the model runner sizes the KV pool by it."""

from __future__ import annotations

import os
from pathlib import Path


def available_bytes(root: Path = Path("/")) -> int:
    """What the system can hand out without swapping, or less where the process's control group
    (a container's limit) leaves less. root: where /proc and /sys are, for tests."""
    bounds = [_of_system(root)]
    left = _of_control_group(root / "sys/fs/cgroup" / _group(root))
    if left is not None:
        bounds.append(left)
    return max(0, min(bounds))


def _of_system(root: Path) -> int:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _group(root: Path) -> str:
    """The path of the process's control group (version 2); in a container that is its root."""
    for line in _lines(root / "proc/self/cgroup"):
        if line.startswith("0::/"):
            path = line[4:].strip()
            if (root / "sys/fs/cgroup" / path / "memory.max").exists():
                return path
    return "."


def _of_control_group(folder: Path) -> int | None:
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
