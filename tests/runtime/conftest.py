"""Makes `tokenizer_specs.py` beside this file importable, and ends what engines start."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from branchline.runtime.engine import loading
from branchline.runtime.engine.compiling import Compiler

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def compilers_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The processes that an engine compiles with end with the test that made it."""
    made: list[Compiler] = []
    load_compiler = loading.load_compiler

    def load_and_note(*given: object) -> Compiler:
        made.append(load_compiler(*given))
        return made[-1]

    monkeypatch.setattr(loading, "load_compiler", load_and_note)
    yield
    for compiler in made:
        compiler.close()
