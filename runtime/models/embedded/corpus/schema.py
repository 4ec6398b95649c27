"""Record schemas as the prompts show them: a one-line outline, and compact JSON records."""

from __future__ import annotations

import json
from dataclasses import dataclass

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


def compact_json(value: Value) -> str:
    """JSON without spaces, non-ASCII as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
