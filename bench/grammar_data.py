"""Schemas with values that are valid or not, as bench.grammar reads them from files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DRAFTS = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
}


@dataclass(frozen=True)
class Case:
    """A schema with values and whether they are valid."""

    name: str
    schema: Any
    tests: list[tuple[bool, Any]]


def cases(path: Path) -> Iterator[Case]:
    """What a file of JSON lines, or a folder of JSON files, holds."""
    if path.is_file():
        for line in path.read_text().splitlines():
            yield _case(json.loads(line))
        return
    for file in sorted(path.rglob("*.json")):
        content = json.loads(file.read_text())
        if isinstance(content, dict) and "tests" in content:
            yield _case(content)
        elif isinstance(content, list):  # a file of the test suite
            draft = next((part for part in file.parts if part in _DRAFTS), "")
            for group in content:
                tests = [(test["valid"], test["data"]) for test in group["tests"]]
                schema = group["schema"]
                if draft and isinstance(schema, dict):
                    schema = {"$schema": _DRAFTS[draft], **schema}
                yield Case(f"{file.stem}: {group['description']}", schema, tests)


def _case(content: dict[str, Any]) -> Case:
    tests = [(test["valid"], test["data"]) for test in content["tests"]]
    return Case(content["id"], content["schema"], tests)


def spelled(value: Any) -> bytes | None:
    """Compact JSON with whole numbers written as such; None where it has no UTF-8 form."""
    try:
        text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e18:
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value
