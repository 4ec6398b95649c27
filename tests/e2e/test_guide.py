"""The guide to the language: its snippets run in order, in one namespace, on a real runtime."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import branchline as bl
from branchline.lang.launch import RuntimeProcess

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "language.md"
# Blocks that are marked `python notest` show what needs other machines.
SNIPPET = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


def test_the_snippets_of_the_guide_run(
    runtime: RuntimeProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    snippets = list(SNIPPET.finditer(text))
    assert len(snippets) >= 10
    namespace: dict[str, object] = {}
    with bl.RuntimeEndpoint(runtime.address) as endpoint:
        bl.set_default_backend(endpoint)
        try:
            for snippet in snippets:
                # Line numbers in errors are those of the page.
                line = text.count("\n", 0, snippet.start(1))
                source = "\n" * line + snippet[1]
                exec(compile(source, str(GUIDE), "exec", dont_inherit=True), namespace)
        finally:
            bl.set_default_backend(None)
    assert "%0 = Constant" in capsys.readouterr().out
