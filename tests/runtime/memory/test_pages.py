"""What is given back to the system, and that nothing is lost by it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

from branchline.runtime.memory.pages import forget_code, zeros_by_page

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def code_of(library: str) -> int:
    """Resident kB of a library's code."""
    mapping = re.compile(rf"r-xp .*/{library}\n(?:\w+: .*\n)*?Rss: +(\d+) kB")
    return sum(map(int, mapping.findall(Path("/proc/self/smaps").read_text())))


def test_code_that_is_forgotten_leaves_memory_and_runs_again() -> None:
    x = torch.randn(40, 40)
    before, product = code_of("libtorch_cpu.so"), x @ x
    forget_code()
    assert code_of("libtorch_cpu.so") < before
    assert torch.equal(x @ x, product)


def test_data_stays_when_code_is_forgotten() -> None:
    numbers = zeros_by_page((3, 5000), torch.int32)
    numbers += 7
    forget_code()
    assert bool((numbers == 7).all())
