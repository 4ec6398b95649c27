"""S19: nothing is checked by `assert`, which `python -O` leaves out; it only tells the type checker
what is so by construction."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "runtime").rglob("*.py"), *(ROOT / "lang").rglob("*.py")])


def narrows(test: ast.expr) -> bool:
    """Whether it says of a value that it is of a type, or there at all."""
    if isinstance(test, ast.Call):
        return ast.unparse(test.func) in ("isinstance", "issubclass", "asyncio.iscoroutine")
    if isinstance(test, ast.BoolOp):
        return all(map(narrows, test.values))
    return isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is | ast.IsNot)


def checks(source: str) -> list[int]:
    """The lines of assertions that do more."""
    nodes = ast.walk(ast.parse(source))
    return [n.lineno for n in nodes if isinstance(n, ast.Assert) and not narrows(n.test)]


def test_assertions_only_narrow_types() -> None:
    assert len(SOURCES) > 100
    found = {str(path.relative_to(ROOT)): checks(path.read_text()) for path in SOURCES}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize("source", ["assert x > 1", "assert f(x)", "assert x", "assert x == 'a'"])
def test_the_gate_sees_checks(source: str) -> None:
    assert checks(source) == [1]
