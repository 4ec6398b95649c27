"""Fixtures of the language's tests; `scripted.py` beside this file is their model, `fake_front.py`
their runtime."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_front import FakeFront
from scripted import Scripted


@pytest.fixture
def model() -> Scripted:
    return Scripted()


@pytest.fixture
def front() -> Iterator[FakeFront]:
    front = FakeFront("tcp://127.0.0.1:0")
    yield front
    front.close()
