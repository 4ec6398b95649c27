"""Record schemas as the prompts show them: a one-line outline, and compact JSON records."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

Value = str | int | bool | None | list["Value"] | dict[str, "Value"]

PLAIN_KINDS = ("string", "integer", "decimal", "date", "boolean")


@dataclass(frozen=True)
class Field:
    """One field of a record. kind: a plain kind, "enum", "strings" or "items"."""

    key: str
    kind: str
    options: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    nullable: bool = False


def outline_type(field: Field) -> str:
    """The part of the outline behind the key."""
    if field.kind == "enum":
        text = "|".join(compact_json(option) for option in field.options)
    elif field.kind == "strings":
        text = "[string]"
    elif field.kind == "items":
        text = f"[{outline(field.fields)}]"
    else:
        text = field.kind
    return text + "|null" if field.nullable else text


def outline(fields: tuple[Field, ...]) -> str:
    """The skeleton of a record, such as {"name":string,"paid":boolean,"due":date|null}."""
    return "{" + ",".join(f'"{field.key}":{outline_type(field)}' for field in fields) + "}"


def json_schema(fields: tuple[Field, ...]) -> dict[str, Any]:
    """The JSON Schema of a record, as a program would ask for it."""
    return {
        "type": "object",
        "properties": {field.key: _value_schema(field) for field in fields},
        "required": [field.key for field in fields],
        "additionalProperties": False,
    }


def _value_schema(field: Field) -> dict[str, Any]:
    if field.kind == "strings":
        schema: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
    elif field.kind == "items":
        schema = {"type": "array", "items": json_schema(field.fields)}
    else:
        schema = plain_schema(field.kind, field.options)
    return {"anyOf": [schema, {"type": "null"}]} if field.nullable else schema


def plain_schema(kind: str, options: tuple[str, ...] = ()) -> dict[str, Any]:
    """The JSON Schema of a plain kind, or of an enum where there are options."""
    if options:
        return {"enum": list(options)}
    if kind == "date":
        return {"type": "string", "format": "date"}
    if kind == "decimal":
        return {"type": "string", "pattern": r"^\d+\.\d{2}$"}
    return {"type": kind}


def compact_json(value: Value) -> str:
    """JSON without spaces, non-ASCII as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
