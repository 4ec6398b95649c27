"""Triton's kernels run in its interpreter here, on CPU tensors, unless TRITON_INTERPRET=0 is set.

`tests/conftest.py` chooses the interpreter, because triton looks when it is first imported.
"""

from __future__ import annotations

import os

import pytest
import torch


@pytest.fixture
def device() -> torch.device:
    """Where the kernels run: the CPU in the interpreter, else the GPU."""
    return torch.device("cuda" if os.environ["TRITON_INTERPRET"] == "0" else "cpu")
