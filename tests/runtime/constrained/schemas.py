"""Schemas that users write, with pydantic models among them; shared by the schema tests."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Any, Literal

from pydantic import AnyUrl, BaseModel, Field, HttpUrl, TypeAdapter


class Kind(enum.Enum):
    INVOICE = "invoice"
    ORDER = "order"


class Item(BaseModel):
    name: str = Field(min_length=1, max_length=40)
    quantity: int = Field(ge=1, le=999)
    price: str = Field(pattern=r"^\d+\.\d{2}$")


class Invoice(BaseModel):
    number: str = Field(pattern=r"^[A-Z]{2}-\d{4,6}$")
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    kind: Kind
    priority: Literal["low", "high"] = "low"
    note: str | None
    items: list[Item] = Field(min_length=1, max_length=4)


class Cat(BaseModel):
    species: Literal["cat"]
    lives: int = Field(ge=0, le=9)


class Dog(BaseModel):
    species: Literal["dog"]
    tricks: list[str] = Field(max_length=2)


class Everything(BaseModel):
    day: datetime.date
    at: datetime.datetime
    clock: datetime.time
    id: uuid.UUID
    maybe: int | None = None
    either: int | str | None
    tags: set[Kind]
    counts: dict[str, int]
    pair: tuple[int, str]
    free: Any
    pet: Cat | Dog = Field(discriminator="species")
    share: float = Field(gt=0, le=1)
    ratio: float
    flag: bool
    grid: list[list[int]] = Field(max_length=2)


class Node(BaseModel):
    name: str
    children: list[Node] = []


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


STRING: dict[str, Any] = {"type": "string"}

SCHEMAS: dict[str, Any] = {
    "invoice": Invoice.model_json_schema(),
    "everything": Everything.model_json_schema(),
    "decimal": TypeAdapter(decimal.Decimal).json_schema(),
    "any url": TypeAdapter(AnyUrl).json_schema(),
    "http url": TypeAdapter(HttpUrl).json_schema(),
    "recursive": Node.model_json_schema(),
    "anything": {},
    "any object": {"type": "object"},
    "any array": {"type": "array"},
    "string": STRING,
    "bounded string": {**STRING, "minLength": 3, "maxLength": 50},
    "empty string": {**STRING, "maxLength": 0},
    "pattern with quote and backslash": {**STRING, "pattern": r'^a"b\\c?$'},
    "searched pattern": {**STRING, "pattern": "foo"},
    "half anchored pattern": {**STRING, "pattern": "^a|b$"},
    "pattern and length": {**STRING, "pattern": "^[a-z]+$", "maxLength": 5},
    "pattern that excludes": {**STRING, "pattern": r"^[^\w\s]{2,3}$"},
    "number range": {"type": "number", "minimum": -1.5, "exclusiveMaximum": 2.25},
    "small numbers": {"type": "number", "exclusiveMinimum": 0, "maximum": 0.3},
    "number from": {"type": "number", "minimum": 10.25},
    "number to": {"type": "number", "maximum": -3},
    "integer range": {"type": "integer", "minimum": -17, "maximum": 1203},
    "positive integer": {"type": "integer", "exclusiveMinimum": 5},
    "draft 4 bound": {"type": "integer", "minimum": 5, "exclusiveMinimum": True, "maximum": 9},
    "multiples": {"type": "integer", "multipleOf": 7, "minimum": -20, "maximum": 50},
    "map": {
        "type": "object",
        "additionalProperties": {"type": "integer"},
        "minProperties": 1,
        "maxProperties": 3,
    },
    "map with key pattern": {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z]{1,3}$"},
        "additionalProperties": {"type": "boolean"},
    },
    "declared and others": {
        **_object(a={"type": "integer"}, ab=STRING),
        "required": ["a"],
        "additionalProperties": {"type": "boolean"},
    },
    "all optional": {**_object(a={"type": "integer"}, b={"type": "null"}), "required": []},
    "optional and others": {
        **_object(a={"type": "null"}),
        "required": [],
        "maxProperties": 2,
        "additionalProperties": {"type": "integer"},
    },
    "pattern properties": {
        "type": "object",
        "patternProperties": {"^x_": {"type": "integer"}},
        "additionalProperties": False,
    },
    "required but undeclared": {**_object(b={"type": "integer"}), "required": ["a"]},
    "tuple": {
        "type": "array",
        "prefixItems": [{"type": "integer"}, STRING],
        "items": {"type": "boolean"},
        "minItems": 1,
        "maxItems": 4,
    },
    "short tuple": {"type": "array", "prefixItems": [STRING, STRING], "items": False},
    "allOf of objects": {
        "allOf": [_object(a={"type": "integer"}), {**_object(b=STRING)}],
    },
    "allOf of bounds": {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 8}]},
    "keywords beside $ref": {
        "$defs": {"short": STRING, "a/b c": {"type": "null"}},
        **_object(a={"$ref": "#/$defs/short", "maxLength": 3}, b={"$ref": "#/$defs/a~1b%20c"}),
    },
    "keywords beside anyOf": {
        "type": "object",
        "properties": {"k": {**STRING, "maxLength": 4}},
        "anyOf": [{"required": ["k"]}, _object(z={"type": "integer"})],
    },
    "keywords beside enum": {**STRING, "enum": ["a", 1, 'b"', None, "ccc"], "maxLength": 2},
    "enum with not": {"enum": [1, 2, 3], "not": {"const": 2}},
    "const": {"const": {"a": [1, "é\n"]}},
    "oneOf by type": {"oneOf": [{"type": "integer"}, STRING]},
    "keywords without type": {"minLength": 2, "maxLength": 4},
    "several types": {"type": ["string", "null", "integer"], "maxLength": 2, "minimum": 3},
    "unique values": {
        "type": "array",
        "uniqueItems": True,
        "items": {"enum": ["a", "b", "c"]},
        "minItems": 1,
        "maxItems": 2,
    },
    **{
        kind: {**STRING, "format": kind}
        for kind in ("date", "time", "date-time", "duration", "uuid", "email", "ipv4", "ipv6")
    },
}
