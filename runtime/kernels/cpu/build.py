"""Compiles src/ into one shared library in the user's cache; `library.py` loads it.

Used by `library.py` at first use and by `branchline build-kernels`. The sources need a C++17
compiler and nothing else, no headers of torch or Python, so that a build takes seconds.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import torch

SOURCE: Final = Path(__file__).parent / "src"
_NAME: Final = "kernels.so"
_ADVICE: Final = "install g++ (Debian: `apt install g++`) or set CXX"
_TIMEOUT_S: Final = 900.0
_WARNINGS: Final = ("-Wall", "-Wextra", "-Wno-psabi")
_FLAGS: Final = ("-std=c++17", "-O3", "-fPIC", "-fopenmp", "-fvisibility=hidden")
_FOLDER_FLAGS: Final = ("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden")
# Floating point traps and errno are not looked at; the order of sums stays as written.
_LEVEL_FLAGS: Final = ("-fno-math-errno", "-fno-trapping-math")
_AVX512: Final = ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx2", "-mfma")
_AMX: Final = ("-mamx-tile", "-mamx-bf16", "-mamx-int8", "-mavx512bf16", "-mavx512vnni")
_LEVELS: Final = {
    "portable": (16, ()),
    "avx2": (32, ("-mavx2", "-mfma")),
    "avx512": (64, _AVX512),
    "amx": (64, (*_AVX512, *_AMX, "-DBL_AMX")),
}


class KernelBuildError(Exception):
    """The library cannot be built here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """One object file: its name, its source, its own flags."""

    name: str
    source: str
    flags: tuple[str, ...]


def library_path(extra_flags: Sequence[str] = ()) -> Path:
    """Where the library of these sources, this compiler and this torch belongs, built or not;
    without a compiler, where one has built it.

    Raises KernelBuildError where there is neither.
    """
    facts = (torch.__version__, _FLAGS, _LEVEL_FLAGS, _LEVELS, tuple(extra_flags))
    return _place(SOURCE, _NAME, facts, _units)


def is_built(path: Path) -> bool:
    """Whether the library is there, as it was built: to load one that was cut off, by a disk that
    was full or a machine that lost its power, ends the process. Raises KernelBuildError where it is
    another user's."""
    with _cached_in(path.parent.parent):
        if not path.is_file():
            return False
        _check_ours(path)
        told = _sum_of(path)
        return told.is_file() and told.read_bytes() == _sum(path)


def check_cache() -> None:
    """Raises KernelBuildError where no library can be put into the cache; leaves nothing there."""
    folder = _cache_folder()
    with _cached_in(folder):
        there = next(each for each in (folder, *folder.parents) if each.exists())
        tempfile.TemporaryFile(dir=there).close()


def build(tell: Callable[[str], None], extra_flags: Sequence[str] = ()) -> Path:
    """The library's path, compiled first when it is not there; `tell` hears about the progress.

    Raises KernelBuildError with the compiler's own words, or the folder that cannot be written.
    """
    target = library_path(extra_flags)
    return _there(target, tell, lambda: _compile(target, tell, extra_flags))


def build_folder(source: Path, name: str, tell: Callable[[str], None]) -> Path:
    """The library `name` of all sources in a folder, which need nothing but C++; as `build`."""
    target = _place(source, name, _FOLDER_FLAGS, tuple)

    def compile_folder() -> None:
        command = _compiler()
        tell(f"building {name} with {command} (once, some seconds) ...")
        with _room(target) as folder:
            made = Path(folder) / name
            sources = map(str, sorted(source.glob("*.cpp")))
            _call([command, *_FOLDER_FLAGS, *_WARNINGS, "-shared", *sources, "-o", str(made)])
            _move(made, target)

    return _there(target, tell, compile_folder)


def _place(source: Path, name: str, facts: object, units: Callable[[], object]) -> Path:
    """Where the library of a folder's sources and `facts` belongs: by the compiler that is here and
    what it is to make (`units`), or where one that is gone has built it."""
    key = hashlib.sha256(repr((platform.machine(), facts)).encode())
    for path in sorted(source.iterdir()):
        if path.suffix in (".cpp", ".h"):
            key.update(path.name.encode() + b"\0" + path.read_bytes())
    of_sources = key.hexdigest()[:16]
    command = _find_compiler()
    if command is None:
        for path in sorted(_cache_folder().glob(f"{of_sources}-*/{name}")):
            if is_built(path):
                return path
    command = _compiler()
    key.update(repr((command, _version(command), units())).encode())
    return _cache_folder() / f"{of_sources}-{key.hexdigest()[:16]}" / name


def _there(target: Path, tell: Callable[[str], None], compile: Callable[[], None]) -> Path:
    """A library's path, compiled first when it is not there."""
    if is_built(target):
        return target
    folder = target.parent.parent
    with _cached_in(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(target.parent.with_suffix(".lock"), tell):
            if not is_built(target):
                compile()
    return target


def _room(target: Path) -> tempfile.TemporaryDirectory[str]:
    """Where a library is compiled. What builds that were killed left there is removed."""
    folder, prefix = target.parent.parent, f"building-{target.parent.name}-"
    for left in folder.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    return tempfile.TemporaryDirectory(dir=folder, prefix=prefix)


@contextmanager
def _cached_in(folder: Path) -> Iterator[None]:
    """Every file that a build touches lies in the cache: what the system refuses is about that."""
    try:
        yield
    except OSError as error:
        raise KernelBuildError(
            f"nothing can be built in {folder}: {error}; set XDG_CACHE_HOME to a folder of yours"
        ) from None


def _move(made: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    made.chmod(0o755)
    _sum_of(made).write_bytes(_sum(made))
    # Whoever looks meanwhile sees no library or a whole one.
    os.replace(made, target)
    os.replace(_sum_of(made), _sum_of(target))


def _sum_of(library: Path) -> Path:
    """The file that says what is in a library."""
    return library.with_suffix(".sha256")


def _sum(library: Path) -> bytes:
    return hashlib.sha256(library.read_bytes()).hexdigest().encode()


@contextmanager
def _alone(lock: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """One build of a library at a time: processes that start together wait for the first."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("waiting for another process, which builds the same ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _compile(target: Path, tell: Callable[[str], None], extra_flags: Sequence[str]) -> None:
    command = _compiler()
    units = _units()
    tell(f"building the CPU kernels with {command} (once, some seconds) ...")
    with _room(target) as name:
        folder = Path(name)

        def compile_unit(unit: _Unit) -> None:
            flags = (*_FLAGS, *_WARNINGS, *unit.flags, *extra_flags)
            source = str(SOURCE / unit.source)
            _call([command, *flags, "-c", source, "-o", str(folder / f"{unit.name}.o")])

        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as threads:
            list(threads.map(compile_unit, units))
        objects = [str(folder / f"{unit.name}.o") for unit in units]
        # Not linked to an OpenMP library: through libtorch_cpu the one that torch uses is found,
        # so that the process has one pool of threads.
        link = ("-Wl,--no-as-needed", f"-L{Path(torch.__file__).parent / 'lib'}", "-ltorch_cpu")
        _call([command, "-shared", *extra_flags, *objects, *link, "-o", str(folder / _NAME)])
        _move(folder / _NAME, target)
    tell(f"built {target}")


def _units() -> list[_Unit]:
    on_x86 = platform.machine().lower() in ("x86_64", "amd64")
    names = [name for name in _LEVELS if on_x86 or name == "portable"]
    # Compilers before 2021 do not know the tiles, and no other system hands them out.
    has_amx = on_x86 and platform.system() == "Linux" and _knows(_LEVELS["amx"][1])
    if "amx" in names and not has_amx:
        names.remove("amx")
    units = [
        _Unit(
            f"level_{name}",
            "level.cpp",
            (
                *_LEVEL_FLAGS,
                f"-DBL_LEVEL={name}",
                f"-DBL_VECTOR_BYTES={_LEVELS[name][0]}",
                *_LEVELS[name][1],
            ),
        )
        for name in names
    ]
    common = [("-DBL_X86", on_x86), ("-DBL_AMX", has_amx)]
    flags = tuple(flag for flag, wanted in common if wanted)
    return [*units, *(_Unit(name, f"{name}.cpp", flags) for name in ("plan", "api", "queue"))]


def _find_compiler() -> str | None:
    """Raises KernelBuildError where CXX names what is not there."""
    if chosen := os.environ.get("CXX"):
        if found := shutil.which(chosen):
            return found
        raise KernelBuildError(f"CXX names {chosen!r}, which is not there; {_ADVICE}")
    return next(filter(None, map(shutil.which, ("g++", "c++", "clang++"))), None)


def _compiler() -> str:
    if found := _find_compiler():
        return found
    raise KernelBuildError(f"there is no C++ compiler; {_ADVICE}")


@lru_cache(maxsize=4)
def _version(command: str) -> str:
    return _call([command, "--version"])


@lru_cache(maxsize=4)
def _knows(flags: tuple[str, ...]) -> bool:
    """Whether the compiler takes `flags`."""
    try:
        _call([_compiler(), *flags, "-E", "-x", "c++", os.devnull])
    except KernelBuildError:
        return False
    return True


def _call(arguments: list[str]) -> str:
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelBuildError(f"{arguments[0]} did not run: {error}") from None
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[:12])
        raise KernelBuildError(f"{' '.join(arguments)} failed:\n{said}")
    return done.stdout


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(root) if root else Path.home() / ".cache") / "branchline" / "kernels"
    except RuntimeError:
        raise KernelBuildError("there is no home folder; set XDG_CACHE_HOME") from None


def _check_ours(path: Path) -> None:
    """Refuse to load what another user may have written."""
    facts = path.stat()
    if facts.st_uid not in (0, os.geteuid()) or facts.st_mode & 0o022:
        raise KernelBuildError(
            f"{path} belongs to another user or can be written by others; remove it"
        )
