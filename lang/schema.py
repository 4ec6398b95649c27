"""From Python types to JSON Schema, and from schemas to the one-line outline that prompts show.

Called by api.py for `gen(schema=...)` and by users as `bl.schema_outline`. pydantic is imported
at first use.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from branchline.runtime.schema_outline import outline

from .typed_dicts import readable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Schema = dict[str, Any]


class NoSchemaError(TypeError):
    """A type whose outputs no schema can be made for, or none that makes them valid."""


def type_adapter(kind: Any) -> TypeAdapter[Any]:
    """pydantic's validator of a type: model, dataclass, TypedDict, Enum, Literal, list[T], ..."""
    try:
        return _cached_adapter(kind)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return _adapter(kind)


def json_schema_of(kind: Any) -> Schema:
    """The JSON Schema that outputs of a type are generated under.

    Stricter than pydantic's own: fields with a default are generated too and no others may
    appear, since a record with missing or invented keys is never what a program asked for.
    Decimals are strings of digits, so that no precision is lost.

    Raises NoSchemaError where outputs under it would not be read as the type.
    """
    from pydantic.errors import PydanticUserError
    from pydantic_core import SchemaError

    from .pydantic_schema import Generator

    if isinstance(kind, str):
        raise _no_json(kind, "a text is no type")
    try:
        schema = type_adapter(kind).json_schema(schema_generator=Generator)
    except NoSchemaError as error:
        raise NoSchemaError(f"{kind!r}: {error}") from None
    except (PydanticUserError, SchemaError, NameError, SyntaxError) as error:
        told = str(error).splitlines()[-1 if isinstance(error, SchemaError) else 0]
        told = told.split(" Set `")[0].split(", then call `.rebuild")[0]
        raise _no_json(kind, told) from error
    _close_objects(schema)
    return schema


def schema_outline(kind: Any) -> str:
    """A type or JSON Schema (dict or text) as one line such as
    `{"name":string,"due":date|null,"paid":boolean,"items":[{"quantity":integer}]}`.

    It is what a prompt shows; the embedded model is trained on exactly this form. Dates and
    decimal numbers are recognised by format or pattern, references are resolved, and a recursive
    type stands as its name where it comes up again.
    """
    if isinstance(kind, str):
        kind = json.loads(kind)
    schema = kind if isinstance(kind, dict) else json_schema_of(kind)
    return outline(schema)


def _no_json(kind: Any, told: str) -> NoSchemaError:
    return NoSchemaError(
        f"{kind!r}: no JSON is made of it ({told}); expected a pydantic model, dataclass, "
        "TypedDict, Enum, Literal, number, str, or a list, dict or union of these, or a JSON "
        "schema as a dict"
    )


def _close_objects(schema: Any) -> None:
    """Forbid undeclared keys in every object whose keys are declared."""
    if not isinstance(schema, dict):
        return
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
    for keyword in ("properties", "$defs"):
        for child in schema.get(keyword, {}).values():
            _close_objects(child)
    for keyword in ("items", "additionalProperties"):
        _close_objects(schema.get(keyword))
    for keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for child in schema.get(keyword, ()):
            _close_objects(child)


def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(readable(kind))


_cached_adapter = lru_cache(maxsize=256)(_adapter)
