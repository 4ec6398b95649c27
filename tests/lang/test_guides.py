"""The guides to coroutines and batches: their snippets run in order, with the scripted model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import branchline as bl

GUIDES = Path(__file__).parents[2] / "docs" / "guide"
SNIPPET = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


@pytest.mark.parametrize("name", ["async.md", "batches.md"])
def test_the_snippets_of_a_guide_run(model, name, capsys):
    text = (GUIDES / name).read_text(encoding="utf-8")
    snippets = list(SNIPPET.finditer(text))
    assert len(snippets) >= 4
    namespace: dict[str, object] = {}
    bl.set_default_backend(model)
    try:
        for snippet in snippets:
            # Line numbers in errors are those of the page.
            source = "\n" * text.count("\n", 0, snippet.start(1)) + snippet[1]
            exec(compile(source, name, "exec", dont_inherit=True), namespace)
    finally:
        bl.set_default_backend(None)
    assert capsys.readouterr().out
