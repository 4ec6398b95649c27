"""What the reliability tests share. Each test's docstring says which entry of docs/reliability.md
it is; nightly campaigns print their figures.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from faulty import Fault


@pytest.fixture
def fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fault:
    return Fault(tmp_path, monkeypatch)
