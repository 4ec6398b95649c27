"""The front process stays light: it starts while the engine loads, and it must answer at once."""

from __future__ import annotations

import subprocess
import sys


def test_the_front_process_imports_no_torch() -> None:
    code = (
        "import sys, branchline.runtime.server.front, branchline.runtime.server.options\n"
        "print(sorted({'torch', 'transformers', 'numpy', 'xgrammar'} & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_a_runtime_without_http_does_not_import_what_http_needs() -> None:
    code = (
        "import sys, branchline.runtime.server.front, branchline.runtime.server.options\n"
        "heavy = {'fastapi', 'starlette', 'uvicorn', 'prometheus_client'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
