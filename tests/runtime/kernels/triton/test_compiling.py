"""Every kernel passes Triton's compiler and ptxas for an H200, on a machine without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.nightly  # 4 s of processor time each
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("case", ["attention", "elementwise", "sampling", "quantized", "moe"])
def test_the_kernels_compile(case: str, tmp_path: Path) -> None:
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, str(HERE / "compile_launches.py"), case],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1100,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    assert "compiled" in run.stdout
