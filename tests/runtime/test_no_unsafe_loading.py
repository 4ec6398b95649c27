"""A gate over the source: nothing in the project unpickles, evaluates, or runs code from data."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in ("branchline", "lang", "runtime", "bench", "frontend_examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not path.is_relative_to(ROOT / "branchline" / "lang")
    and not path.is_relative_to(ROOT / "branchline" / "runtime")
]
MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
ATTRIBUTES = {"recv_pyobj", "send_pyobj", "trust_remote_code"}
BUILTINS = {"eval", "exec", "__import__"}


def findings(source: str) -> Iterator[str]:
    """What a source does that it must not do."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (n.name for n in names if n.name.split(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in MODULES:
                yield module
            case ast.Attribute(attr=name) if name in ATTRIBUTES:
                yield name
            case ast.Call(func=ast.Name(id=name)) if name in BUILTINS:
                yield name
            case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="load")):
                yield "torch.load"
            case ast.keyword(arg="trust_remote_code"):
                yield "trust_remote_code"


def test_the_sources_are_found() -> None:
    assert len(SOURCES) > 50


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_or_evaluated(path: Path) -> None:
    assert list(findings(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "socket.recv_pyobj()",
        "torch.load('x')",
        "eval('1')",
        "from_pretrained('x', trust_remote_code=True)",
    ],
)
def test_the_gate_sees_what_it_looks_for(source: str) -> None:
    assert list(findings(source))
