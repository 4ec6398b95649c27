"""The kernel tests once more on a library built with AddressSanitizer and UBSan, at every level:
emulated, the instructions of tiles are watched, too, which a processor's own would not be."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from branchline.runtime.kernels.cpu.library import FLAGS_VARIABLE

from . import emulated

FLAGS = f"{emulated.FLAGS} -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined"
# Writes 64 bytes behind the output of a normalisation, which is the caller's mistake.
OVERFLOW = """
import torch
from branchline.runtime.kernels.cpu.library import load_kernels
kernels = load_kernels("portable")
x, weight, out = torch.ones(1, 80), torch.ones(80), torch.empty(1, 64)
addresses = [tensor.data_ptr() for tensor in (x, weight, out)]
kernels.library.bl_rms_norm(kernels.level_address, 1, 80, *addresses, 1e-5, False, 1)
"""


@pytest.fixture(scope="module")
def sanitized() -> dict[str, str]:
    """The environment of a Python whose kernels and memory are watched."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("the sanitizers' libraries are found through g++")
    libraries = [
        subprocess.run(
            [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    if not all(os.path.isabs(path) for path in libraries):
        pytest.skip("g++ comes without libasan or libubsan")
    return os.environ | {
        FLAGS_VARIABLE: FLAGS,
        "LD_PRELOAD": " ".join(libraries),
        # Python and torch keep memory until the process ends.
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_the_kernel_tests_pass_with_every_access_watched(sanitized: dict[str, str]) -> None:
    here = Path(__file__)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout=3600"]
        + ["-n", "2", "--dist", "loadfile"]
        + [str(path) for path in sorted(here.parent.glob("test_*.py")) if path != here],
        env=sanitized,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert re.search(r"[1-9]\d* passed|\[100%\]", done.stdout), done.stdout[-2000:]


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_a_planted_overflow_is_found(sanitized: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OVERFLOW], env=sanitized, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr, done.stderr[-2000:]
