"""Fixtures of the language's tests; `scripted.py` beside this file is their model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scripted import Scripted


@pytest.fixture
def model() -> Scripted:
    return Scripted()
