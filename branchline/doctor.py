"""`branchline doctor`: what is installed here, what runs, and what would make it faster. Called by
cli.py. Every finding is looked up, none is guessed; what is missing is no error."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from rich.table import Table

# Packages that the runtime needs, and those that add something.
_NEEDED: Final = ("torch", "transformers", "tokenizers", "safetensors", "xgrammar", "pyzmq")
_OPTIONAL: Final = {
    "openai": "programs on OpenAI-compatible servers: pip install 'branchline[openai]'",
    "anthropic": "programs on Anthropic's models: pip install 'branchline[anthropic]'",
    "matplotlib": "plots of `branchline bench serve`: pip install matplotlib",
    "triton": "kernels on GPUs: pip install 'branchline[gpu]'",
}
_WITHOUT_KERNELS: Final = (
    "torch serves instead, slower; --quantization and --deterministic are refused, and grammars "
    "take longer"
)
_LITTLE_MEMORY: Final = 4 * 1024**3

State = Literal["good", "slow", "missing", "broken"]


@dataclass(frozen=True, slots=True)
class Finding:
    """advice: what to do about it, where there is something."""

    subject: str
    state: State
    found: str
    advice: str = ""


def examine() -> list[Finding]:
    """Everything, in the order in which a user reads it."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python,
        _packages,
        _model,
        _processor,
        _gpu,
        _kernels,
        _memory,
    )
    found: list[Finding] = []
    for check in checks:
        try:
            found.extend(check())
        except Exception as error:
            # A doctor who faints is of no use: what broke a check is a finding.
            name = check.__name__.strip("_")
            found.append(Finding(name, "broken", f"{type(error).__name__}: {error}"))
    return found


def table_of(found: list[Finding]) -> Table:
    """The findings for a terminal."""
    colours = {"good": "green", "slow": "yellow", "missing": "dim", "broken": "red"}
    table = Table(title="branchline doctor", title_justify="left")
    for name in ("", "state", "found", "what would help"):
        table.add_column(name, overflow="fold")
    for each in found:
        state = f"[{colours[each.state]}]{each.state}[/]"
        table.add_row(each.subject, state, _plain(each.found), _plain(each.advice))
    return table


def as_json(found: list[Finding]) -> list[dict[str, str]]:
    """The findings for a program."""
    return [asdict(each) for each in found]


def _plain(text: str) -> str:
    # Brackets are rich's markup.
    return text.replace("[", r"\[")


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    if sys.version_info >= (3, 14):
        yield Finding("Python", "broken", version, "Branchline is for Python 3.11 to 3.13")
    else:
        yield Finding("Python", "good", f"{version} on {platform.system()} {platform.machine()}")


def _packages() -> Iterator[Finding]:
    for name in _NEEDED:
        version = _version(name)
        if version is None:
            yield Finding(name, "broken", "not installed", "pip install branchline")
        else:
            yield Finding(name, "good", version)
    for name, what in _OPTIONAL.items():
        version = _version(name)
        if version is not None:
            yield Finding(name, "good", version)
        else:
            yield Finding(name, "missing", "not installed", what)


def _model() -> Iterator[Finding]:
    from branchline.runtime.models.resolve import resolve_model

    folder = resolve_model("embedded")
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if size:
        yield Finding("embedded model", "good", f"{size / 1e6:.0f} MB of weights")
    else:
        yield Finding("embedded model", "broken", f"no weights in {folder}", "install again")


def _processor() -> Iterator[Finding]:
    import torch

    from branchline.runtime.device.cpu import default_threads, num_cores

    cores = num_cores()
    level = torch.backends.cpu.get_cpu_capability()
    threads = default_threads()
    found = f"{_processor_name()}, {cores} cores here, torch uses {threads} threads and {level}"
    if threads < cores // 2:
        limited = "OMP_NUM_THREADS" if "OMP_NUM_THREADS" in os.environ else "a limit"
        yield Finding("CPU", "slow", found, f"{limited} keeps torch from using more: --num-threads")
    else:
        yield Finding("CPU", "good", found)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > cores:
        advice = "others compete for these cores; what runs now is slower than it could be"
        yield Finding("load", "slow", f"{load:.1f} on {cores} cores", advice)


def _gpu() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            memory = about.total_memory / 1024**3
            yield Finding(f"GPU {index}", "good", f"{about.name}, {memory:.0f} GiB")
    elif torch.version.cuda is None and shutil.which("nvidia-smi"):
        advice = "an NVIDIA driver is here, but this torch is for CPUs: install torch for CUDA"
        yield Finding("GPU", "slow", f"torch {torch.__version__} has no CUDA", advice)
    else:
        yield Finding("GPU", "missing", "none; the CPU serves")


def _kernels() -> Iterator[Finding]:
    yield Finding("kernels: torch", "good", "the reference, on any device")
    yield _cpu_kernels()


def _cpu_kernels() -> Finding:
    """Looks, and builds nothing: that takes a while and belongs to `build-kernels`."""
    subject = "kernels: C++"
    if importlib.util.find_spec("branchline.runtime.kernels.cpu") is None:
        return Finding(subject, "missing", "not part of this installation")
    from branchline.runtime.kernels.cpu.build import (
        KernelBuildError,
        check_cache,
        is_built,
        library_path,
    )
    from branchline.runtime.kernels.cpu.library import load_kernels

    try:
        path = library_path()
        if not is_built(path):
            check_cache()
            advice = "`branchline build-kernels` builds them now; else the first start does it"
            return Finding(subject, "slow", "a compiler is here, but nothing is built", advice)
        return Finding(subject, "good", f"level {load_kernels().level}, {path}")
    except (KernelBuildError, OSError) as error:
        return Finding(subject, "slow", str(error), _WITHOUT_KERNELS)


def _memory() -> Iterator[Finding]:
    from branchline.runtime.memory.available import available_bytes

    free = available_bytes()
    found = f"{free / 1024**3:.1f} GiB free"
    if free < _LITTLE_MEMORY:
        yield Finding("memory", "slow", found, "the KV cache will be small: --kv-slots sets it")
    else:
        yield Finding("memory", "good", found)


def _processor_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "a processor"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
