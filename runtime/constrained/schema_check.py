"""The words of JSON Schema and the checks of their values; called by the schema front end before
and while it converts. Whatever is wrong is refused with the JSON pointer at which it stands."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NoReturn

from ..errors import RequestError
from .limits import GrammarLimits

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")

BY_TYPE: dict[str, frozenset[str]] = {
    "string": frozenset(
        {
            *("minLength", "maxLength", "pattern", "format"),
            *("contentEncoding", "contentMediaType"),
        }
    ),
    "number": frozenset(
        {
            *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
            "divisibleBy",
        }
    ),
    "array": frozenset(
        {
            *("items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"),
            *("contains", "minContains", "maxContains", "unevaluatedItems"),
        }
    ),
    "object": frozenset(
        {
            *("properties", "required", "additionalProperties", "patternProperties"),
            *("propertyNames", "minProperties", "maxProperties", "dependentRequired"),
            *("dependentSchemas", "dependencies", "unevaluatedProperties"),
        }
    ),
}

# What only describes. Schemas under `$defs` count where they are referred to.
ANNOTATIONS = frozenset(
    {
        *("title", "description", "default", "examples", "example", "deprecated", "readOnly"),
        *("writeOnly", "$comment", "$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$defs"),
        *("definitions", "$vocabulary", "$recursiveAnchor", "discriminator", "contentEncoding"),
        *("contentMediaType", "contentSchema", "externalDocs", "xml"),
    }
)


def pointer_to(pointer: str, *names: str | int) -> str:
    """The JSON pointer of something below `pointer`."""
    for name in names:
        text = str(name)
        if "~" in text or "/" in text:
            text = text.replace("~", "~0").replace("/", "~1")
        pointer = f"{pointer}/{text}"
    return pointer


def refuse(pointer: str, message: str) -> NoReturn:
    raise RequestError("grammar", f"{message} (at {pointer})", pointer=pointer)


def load(text: str, limits: GrammarLimits) -> Any:
    """Parse schema text within the limits."""
    if len(text) > limits.max_source_chars:
        refuse("#", f"schema of {len(text)} characters, at most {limits.max_source_chars}")
    try:
        schema = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        refuse("#", f"the schema nests deeper than {limits.max_depth} levels")
    except ValueError as error:
        refuse("#", f"the schema is not JSON: {error}")
    if not isinstance(schema, (dict, bool)):
        refuse("#", f"a schema is an object or a boolean, not {type(schema).__name__}")
    _check_size(schema, limits)
    return schema


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_size(schema: Any, limits: GrammarLimits) -> None:
    """Depth and number of properties, without recursion."""
    level, depth, properties = [schema], 0, 0
    while level:
        depth += 1
        # A schema level is two JSON levels: the keyword and what stands under it.
        if depth > 2 * limits.max_depth:
            refuse("#", f"the schema nests deeper than {limits.max_depth} schemas")
        following: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                named = node.get("properties")
                properties += len(named) if isinstance(named, dict) else 0
                following += node.values()
            elif isinstance(node, list):
                following += node
        level = following
    if properties > limits.max_properties:
        refuse("#", f"the schema has {properties} properties, at most {limits.max_properties}")


def refuse_malformed(schema: Any) -> None:
    """Refuse a schema that its metaschema does not allow, naming the place."""
    import jsonschema  # 0.1 s to import; only broken schemas come here

    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    for validator in (kind, jsonschema.Draft202012Validator):
        error = next(validator(validator.META_SCHEMA).iter_errors(schema), None)
        if error is not None:
            refuse(
                pointer_to("#", *error.absolute_path), f"malformed schema: {error.message[:300]}"
            )


def integer_of(schema: dict[str, Any], keyword: str, pointer: str) -> int | None:
    """A count such as maxLength; None where it is not given."""
    value = schema.get(keyword)
    if value is None and keyword not in schema:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        refuse(pointer_to(pointer, keyword), f"`{keyword}` must be a number of at least 0")
    return value


def object_of(schema: dict[str, Any], keyword: str, pointer: str) -> dict[str, Any]:
    """A keyword that maps names to schemas."""
    value = schema.get(keyword, {})
    if not isinstance(value, dict):
        refuse(pointer_to(pointer, keyword), f"`{keyword}` must be an object")
    return value


def list_of(schema: dict[str, Any], keyword: str, pointer: str) -> list[Any]:
    """A keyword that holds a list, empty where it is not given."""
    value = schema.get(keyword, [])
    if not isinstance(value, list) or (keyword != "required" and keyword in schema and not value):
        refuse(pointer_to(pointer, keyword), f"`{keyword}` must be a list with something in it")
    return value


def number_of(schema: dict[str, Any], keyword: str, pointer: str) -> Decimal:
    """A bound such as maximum."""
    value = schema[keyword]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        refuse(pointer_to(pointer, keyword), f"`{keyword}` must be a number")
    number = Decimal(repr(value))
    exponent = number.as_tuple().exponent
    if abs(number) >= Decimal(10) ** 100 or not isinstance(exponent, int) or exponent < -30:
        refuse(pointer_to(pointer, keyword), f"`{keyword}` {value} is out of range")
    return number
