"""Whether the branches of oneOf exclude each other; used by schema.py.

A grammar takes either branch, so it can stand for oneOf only where no value satisfies two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .schema_check import TYPES, list_of, listed, pointer_to, refuse
from .schema_merge import Schema

if TYPE_CHECKING:
    from .schema import SchemaBuilder


def check_disjoint(builder: SchemaBuilder, branches: list[Any], pointer: str) -> None:
    compared = [whole(builder, branch, pointer) for branch in branches]
    for index, one in enumerate(compared):
        for other in range(index + 1, len(compared)):
            if not _disjoint(builder, one, compared[other], pointer, 0):
                refuse(
                    pointer_to(pointer, "oneOf"),
                    f"branches {index} and {other} of `oneOf` may both hold for one value; use "
                    "anyOf, or give each branch a required property with its own const",
                )


def whole(builder: SchemaBuilder, schema: Any, pointer: str) -> Any:
    """A schema with its references followed, as far as comparing it with others needs."""
    schema = builder.resolve(schema, pointer) if isinstance(schema, dict) else schema
    if isinstance(schema, dict) and "allOf" in schema:
        merged: Any = {key: value for key, value in schema.items() if key != "allOf"}
        for branch in list_of(schema, "allOf", pointer):
            merged = builder.merge(merged, branch, pointer)
        return whole(builder, merged, pointer)
    return schema


def _disjoint(builder: SchemaBuilder, left: Any, right: Any, pointer: str, depth: int) -> bool:
    """Whether no value satisfies both, as far as types, constants and required properties
    tell."""
    builder.spend()
    left, right = whole(builder, left, pointer), whole(builder, right, pointer)
    if left is False or right is False:
        return True
    if left is True or right is True or depth > 4:
        return False
    for one, other in ((left, right), (right, left)):
        values = listed(one)
        if values is not None:
            return not any(builder.satisfies(value, other) for value in values)
        for keyword in ("anyOf", "oneOf"):
            if keyword in one:
                return all(
                    _disjoint(builder, branch, other, pointer, depth + 1) for branch in one[keyword]
                )
    # A branch yields the types that its keywords imply; the other rejects them only where it
    # declares types of its own.
    both = set[str]()
    for one, other in ((left, right), (right, left)):
        yields, takes = builder.types(one, pointer), set(_declared_types(other))
        takes |= {"integer"} if "number" in takes else set()
        both |= {name for name in yields if name in takes}
        both |= {"number"} if "number" in yields and "integer" in takes else set()
    if both - {"object"}:
        return False
    if not both:
        return True
    shared = set(left.get("required", [])) & set(right.get("required", []))
    mine, theirs = left.get("properties", {}), right.get("properties", {})
    return any(
        _disjoint(builder, mine[name], theirs[name], pointer, depth + 1)
        for name in shared
        if name in mine and name in theirs
    )


def _declared_types(schema: Schema) -> list[str]:
    given = schema.get("type", list(TYPES))
    return given if isinstance(given, list) else [given]
