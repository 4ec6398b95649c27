"""What `import branchline` costs and offers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import branchline as bl

# What of the runtime is open to the language: plain data and text.
OPEN = {"protocol", "tool_formats", "schema_outline", "reasoning"}


def python(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return result.stdout


def test_the_import_is_light():
    heavy = "'torch', 'transformers', 'pydantic', 'rich', 'zmq', 'numpy'"
    code = f"import sys, branchline; print([m for m in ({heavy}) if m in sys.modules])"
    assert python(code).strip() == "[]"


def test_defining_a_program_needs_neither_torch_nor_pydantic():
    code = (
        "import sys, branchline as bl\n"
        "@bl.function\n"
        "def program(s): s += bl.user(bl.gen('x', regex='a+')) + bl.select('y', ['a'])\n"
        "print([m for m in ('torch', 'transformers', 'pydantic') if m in sys.modules])"
    )
    assert python(code).strip() == "[]"


def test_the_import_takes_less_than_a_third_of_a_second():
    # In the process's own clock, so that a busy machine does not matter; the best of three.
    code = "import time; t = time.process_time(); import branchline; "
    code += "print(time.process_time() - t)"
    assert min(float(python(code)) for _ in range(3)) < 0.3


def test_every_public_name_is_there():
    for name in bl.__all__:
        assert getattr(bl, name) is not None
    assert set(bl.__all__) <= set(dir(bl))


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(bl, "no_such_name")


def test_the_language_knows_only_the_open_modules_of_the_runtime():
    used = set()
    for file in (Path(__file__).parents[2] / "lang").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        used |= set(re.findall(r"(?:from|import) branchline\.runtime\.(\w+)", text))
        for names in re.findall(r"from branchline\.runtime import ([\w, ]+)", text):
            used |= set(names.replace(" ", "").split(","))
    assert used <= OPEN
