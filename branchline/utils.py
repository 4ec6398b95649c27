"""Small helpers around programs: reading JSON lines, writing states down. Named as in SGLang."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .lang.state import ProgramState


def read_jsonl(filename: str | Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file. Empty lines and lines that begin with # are passed over.

    Raises ValueError naming the line that is not JSON.
    """
    objects = []
    with open(filename, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                objects.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"{filename}:{number}: no JSON: {error}") from None
    return objects


def dump_state_text(
    filename: str | Path, states: Iterable[ProgramState | str], mode: str = "w"
) -> None:
    """Write the texts of states to a file, each under a line with its number."""
    with open(filename, mode, encoding="utf-8") as file:
        for number, state in enumerate(states):
            text = state if isinstance(state, str) else state.text()
            file.write(f"{'=' * 40} {number} {'=' * 40}\n{text}\n\n")
