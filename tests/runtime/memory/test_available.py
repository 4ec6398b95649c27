"""Free memory, from the files of a made-up system."""

from __future__ import annotations

from pathlib import Path

import pytest

from branchline.runtime.memory.available import available_bytes, quota_cores

GIB = 1024**3


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """8 GiB available, no limits."""
    write(tmp_path / "proc/meminfo", f"MemTotal: 1 kB\nMemAvailable: {8 * GIB // 1024} kB\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def limit(folder: Path, most: str, used: int, file_pages: int = 0) -> None:
    write(folder / "memory.max", f"{most}\n")
    write(folder / "memory.current", f"{used}\n")
    write(folder / "memory.stat", f"anon 7\ninactive_file {file_pages}\n")


def test_without_limits_it_is_what_the_system_has(system: Path) -> None:
    assert available_bytes(system) == 8 * GIB


def test_a_containers_limit_counts(system: Path) -> None:
    limit(system / "sys/fs/cgroup", str(4 * GIB), 3 * GIB)
    assert available_bytes(system) == GIB


def test_pages_of_files_count_as_free(system: Path) -> None:
    limit(system / "sys/fs/cgroup", str(4 * GIB), 3 * GIB, file_pages=2 * GIB)
    assert available_bytes(system) == 3 * GIB


def test_the_limit_of_the_processs_own_group_counts(system: Path) -> None:
    write(system / "proc/self/cgroup", "0::/user.slice/session\n")
    limit(system / "sys/fs/cgroup/user.slice/session", str(2 * GIB), GIB)
    assert available_bytes(system) == GIB


def test_a_group_without_a_limit_takes_nothing_away(system: Path) -> None:
    limit(system / "sys/fs/cgroup", "max", 5 * GIB)
    assert available_bytes(system) == 8 * GIB


def test_a_group_over_its_limit_leaves_nothing(system: Path) -> None:
    limit(system / "sys/fs/cgroup", str(GIB), 2 * GIB)
    assert available_bytes(system) == 0


def test_this_machine_has_memory() -> None:
    assert available_bytes() > 0


def test_the_limit_of_a_group_around_the_processs_own_counts(system: Path) -> None:
    write(system / "proc/self/cgroup", "0::/user.slice/session\n")
    limit(system / "sys/fs/cgroup/user.slice/session", "max", GIB)
    limit(system / "sys/fs/cgroup/user.slice", str(4 * GIB), GIB)
    assert available_bytes(system) == 3 * GIB


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", None), ("200000 100000", 2), ("250000 100000", 2), ("50000 100000", 1)],
)
def test_the_time_that_a_container_may_take_is_told_in_cores(
    system: Path, quota: str, cores: int | None
) -> None:
    assert quota_cores(system) is None
    write(system / "proc/self/cgroup", "0::/pod/one\n")
    write(system / "sys/fs/cgroup/pod/one/cpu.max", "800000 100000\n" if cores else f"{quota}\n")
    write(system / "sys/fs/cgroup/pod/cpu.max", f"{quota}\n")
    assert quota_cores(system) == cores
