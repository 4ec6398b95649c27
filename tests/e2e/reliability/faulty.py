"""Runtimes in which something can be made to go wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HOOKS = Path(__file__).parent / "faults"


class Fault:
    """The next step of the engine does `kind`: loop, sleep, native (a native call that holds the
    interpreter's lock), exit or raise. A front that starts while one is planted ("litter") leaves
    its private folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._flag = folder / "fault"
        path = os.pathsep.join(filter(None, [str(HOOKS), os.environ.get("PYTHONPATH")]))
        monkeypatch.setenv("PYTHONPATH", path)
        monkeypatch.setenv("BRANCHLINE_FAULT_FLAG", str(self._flag))

    def plant(self, kind: str) -> None:
        temporary = self._flag.with_suffix(".new")
        temporary.write_text(kind)
        temporary.rename(self._flag)
