"""The compiled kernels at every level: as they are where this processor has it, or emulated."""

from __future__ import annotations

import pytest

from branchline.runtime.kernels.cpu.build import KernelBuildError
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
        if level in available_levels(load_kernels("portable").library):
            return load_kernels(level)
        # Its instructions are amx's, too: emulated by the campaign (test_sanitizers.py) alone.
        if level == "avx512":
            pytest.skip(f"this processor has no {level}")
        monkeypatch.setenv(FLAGS_VARIABLE, emulated.FLAGS)
        return load_kernels(level)
    except KernelBuildError as error:
        pytest.skip(str(error))
