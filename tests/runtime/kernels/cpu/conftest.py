"""The compiled kernels at every level that this machine has; skipped where nothing compiles."""

from __future__ import annotations

import pytest

from branchline.runtime.kernels.cpu.build import KernelBuildError
from branchline.runtime.kernels.cpu.library import LEVELS, CpuKernels, load_kernels


@pytest.fixture(params=LEVELS)
def kernels(request: pytest.FixtureRequest) -> CpuKernels:
    try:
        load_kernels("portable")
    except KernelBuildError as error:
        pytest.skip(str(error))
    try:
        return load_kernels(request.param)
    except KernelBuildError:
        pytest.skip(f"this processor has no {request.param}")
