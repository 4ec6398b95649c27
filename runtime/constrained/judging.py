"""Whether a finished value satisfies its schema, keyword by keyword; run by worker.py, because a
pattern may take Python's `re` for ever."""

from __future__ import annotations

import json
from typing import Any

from ..protocol import JsonSchema
from .schema_check import pointer_to


def fault(constraint: JsonSchema, text: str) -> str:
    """What is wrong with a text, empty where nothing is. Formats are checked where jsonschema
    knows them; an unknown one limits nothing."""
    import jsonschema
    from jsonschema_specifications import REGISTRY

    schema: Any = json.loads(constraint.schema)
    try:
        value = json.loads(text)
    except ValueError as broken:
        return f"it is not JSON: {broken}"
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    # With a registry of its own it never fetches a schema from the network.
    validator = kind(schema, registry=REGISTRY, format_checker=kind.FORMAT_CHECKER)
    error = next(validator.iter_errors(value), None)
    if error is None:
        return ""
    where = pointer_to("#", *error.absolute_schema_path)
    return f"{error.message[:300]} (at {where})"
