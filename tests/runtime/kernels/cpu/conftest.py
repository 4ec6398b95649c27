"""The compiled kernels at every level: as they are where this processor has it, or emulated."""

from __future__ import annotations

import platform
import shlex
import sys
from functools import cache

import pytest

from branchline.runtime.kernels.cpu.build import KernelBuildError, build
from branchline.runtime.kernels.cpu.library import (
    FLAGS_VARIABLE,
    LEVELS,
    CpuKernels,
    available_levels,
    load_kernels,
)

from . import emulated


@pytest.fixture(params=LEVELS)
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> CpuKernels:
    """Skipped where nothing compiles, or not for this level."""
    level = request.param
    try:
        known = available_levels(load_kernels("portable").library)
    except KernelBuildError as error:
        pytest.skip(str(error))
    if level not in known:
        # Most of what avx512 does amx does, too: there the campaign (test_sanitizers.py) alone
        # emulates it.
        is_seen = level == "avx512" and request.path.name != "test_quantized.py"
        if is_seen or sys.platform != "linux" or platform.machine() != "x86_64":
            pytest.skip(f"this processor has no {level}")
        if why_not := _why_not_emulated():
            pytest.fail(why_not)
        monkeypatch.setenv(FLAGS_VARIABLE, emulated.FLAGS)
    return load_kernels(level)


@cache
def _why_not_emulated() -> str:
    """What the compiler says, of an instruction that emulated.h lacks, say."""
    try:
        build(print, shlex.split(emulated.FLAGS))
    except KernelBuildError as error:
        return str(error)
    return ""
