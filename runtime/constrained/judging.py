"""Whether a finished value satisfies its schema, keyword by keyword; run by worker.py, because a
pattern may take Python's `re` for ever."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from ..protocol import JsonSchema
from .ecma_regex import python_pattern
from .schema_check import pointer_to


def fault(constraint: JsonSchema, text: str) -> str:
    """What is wrong with a text, empty where nothing is. Formats are checked where jsonschema
    knows them; an unknown one limits nothing."""
    import jsonschema
    from jsonschema_specifications import REGISTRY

    schema = _with_pythons_patterns(json.loads(constraint.schema))
    try:
        value = json.loads(text)
    except ValueError as broken:
        return f"it is not JSON: {broken}"
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    if kind is jsonschema.Draft7Validator:
        extra = {"contentMediaType": _content_faults}
        kind = jsonschema.validators.extend(kind, extra)  # type: ignore[no-untyped-call]
    # With a registry of its own it never fetches a schema from the network.
    validator = kind(schema, registry=REGISTRY, format_checker=kind.FORMAT_CHECKER)
    error = next(validator.iter_errors(value), None)
    if error is None:
        return ""
    where = pointer_to("#", *error.absolute_schema_path)
    return f"{error.message[:300]} (at {where})"


def _content_faults(validator: Any, media_type: Any, value: Any, schema: Any) -> Iterator[Any]:
    """JSON inside a string: draft 7 lets it be asserted, jsonschema leaves that to others."""
    import jsonschema

    if media_type != "application/json" or not isinstance(value, str):
        return
    try:
        if schema.get("contentEncoding") == "base64":
            value = base64.b64decode(value, validate=True)
        json.loads(value)
    except ValueError as error:
        yield jsonschema.ValidationError(f"the string holds no JSON: {error}")


def _with_pythons_patterns(schema: Any) -> Any:
    """jsonschema gives patterns to `re` as they are."""
    if isinstance(schema, list):
        return [_with_pythons_patterns(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        name: inner if name in ("enum", "const") else _with_pythons_patterns(inner)
        for name, inner in schema.items()
    }
    if isinstance(made.get("pattern"), str):
        made["pattern"] = python_pattern(made["pattern"])
    if isinstance(named := made.get("patternProperties"), dict):
        made["patternProperties"] = {python_pattern(name): inner for name, inner in named.items()}
    return made
