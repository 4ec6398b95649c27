"""Join two schemas that must both hold into one; used by schema.py for allOf and for keywords
that stand beside `$ref`, `anyOf` or `oneOf`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]

ANNOTATIONS = frozenset(
    {
        *("title", "description", "default", "examples", "example", "deprecated", "readOnly"),
        *("writeOnly", "$comment", "$schema", "$id", "$defs", "definitions", "discriminator"),
        *("contentEncoding", "contentMediaType", "contentSchema", "externalDocs", "xml"),
    }
)
_LARGEST = {"minimum", "minLength", "minItems", "minProperties"}
_SMALLEST = {"maximum", "maxLength", "maxItems", "maxProperties"}


class CannotMerge(Exception):
    """Both schemas limit the same thing in ways that one schema cannot say; args[0] is the
    keyword."""


def constraints(schema: Schema) -> Schema:
    """The schema without what only describes."""
    return {key: value for key, value in schema.items() if key not in ANNOTATIONS}


def merge(left: Any, right: Any, resolve: Callable[[Schema], Any]) -> Any:
    """A schema for the values that both allow. `resolve` replaces a schema that is a `$ref` by
    what it refers to. Raises CannotMerge."""
    if left is False or right is False:
        return False
    if left is True:
        return right
    if right is True:
        return left
    if not constraints(left):
        return {**left, **right}
    if not constraints(right):
        return {**right, **left}
    if _same(left, right):
        return left
    if "$ref" in left:
        return merge(resolve(left), right, resolve)
    if "$ref" in right:
        return merge(left, resolve(right), resolve)
    for one, other in ((left, right), (right, left)):
        if "patternProperties" in one and {"properties", "additionalProperties"} & other.keys():
            raise CannotMerge("patternProperties")
        by_place = {"prefixItems", "additionalItems"} & one.keys() or isinstance(
            one.get("items"), list
        )
        if by_place and {"items", "prefixItems", "additionalItems"} & other.keys():
            raise CannotMerge("items")
    result = {**left}
    for key, value in right.items():
        if key in ANNOTATIONS or key not in left or _same(left[key], value):
            result.setdefault(key, value)
        elif key not in ("properties", "additionalProperties"):
            result[key] = _merge_keyword(key, left[key], value, resolve)
    return _merge_objects(result, left, right, resolve)


def _merge_keyword(key: str, left: Any, right: Any, resolve: Callable[[Schema], Any]) -> Any:
    try:
        if key in _LARGEST:
            return max(left, right)
        if key in _SMALLEST:
            return min(left, right)
        if key == "type":
            return _merge_types(left, right)
        if key == "required":
            return [*left, *(name for name in right if name not in left)]
        if key == "enum":
            return [value for value in left if any(_same(value, other) for other in right)]
    except TypeError:
        raise CannotMerge(key) from None
    if key in ("items", "propertyNames"):
        return merge(left, right, resolve)
    if key == "uniqueItems":
        return bool(left or right)
    if key == "allOf":
        return [*left, *right]
    if key in ("anyOf", "oneOf") and len(left) * len(right) <= 64 and key == "anyOf":
        return [{"allOf": [one, other]} for one in left for other in right]
    raise CannotMerge(key)


def _same(left: Any, right: Any) -> bool:
    """Equal as JSON: Python takes true for 1."""
    return left == right and json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def _merge_types(left: Any, right: Any) -> list[str]:
    lefts = left if isinstance(left, list) else [left]
    rights = right if isinstance(right, list) else [right]
    both = [name for name in lefts if name in rights]
    # Integers are numbers.
    for one, other in ((lefts, rights), (rights, lefts)):
        if "integer" in one and "number" in other and "integer" not in both:
            both.append("integer")
    return both


def _merge_objects(
    result: Schema, left: Schema, right: Schema, resolve: Callable[[Schema], Any]
) -> Schema:
    """Properties and additionalProperties: a property that only one side declares must also be
    allowed by the other side's additionalProperties."""
    if "properties" not in left and "properties" not in right:
        if "additionalProperties" in left and "additionalProperties" in right:
            result["additionalProperties"] = merge(
                left["additionalProperties"], right["additionalProperties"], resolve
            )
        return result
    mine, theirs = left.get("properties", {}), right.get("properties", {})
    rest_left = left.get("additionalProperties", True)
    rest_right = right.get("additionalProperties", True)
    result["properties"] = {
        name: merge(mine.get(name, rest_left), theirs.get(name, rest_right), resolve)
        for name in [*mine, *(name for name in theirs if name not in mine)]
    }
    if "additionalProperties" in left or "additionalProperties" in right:
        result["additionalProperties"] = merge(rest_left, rest_right, resolve)
    return result
