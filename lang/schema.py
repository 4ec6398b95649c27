"""From Python types to JSON Schema, and from schemas to the one-line outline that prompts show.

Called by api.py for `gen(schema=...)` and by users as `bl.schema_outline`. pydantic is imported
here and in values.py only, at first use.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .typed_dicts import readable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Schema = dict[str, Any]


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
    """
    schema = type_adapter(kind).json_schema(schema_generator=_generator())
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
    return _Outliner(schema).outline(schema, ())


class _Outliner:
    def __init__(self, root: Schema) -> None:
        self.root = root

    def outline(self, schema: Schema | bool, above: tuple[str, ...]) -> str:
        """`above` holds the references that are being expanded around this place."""
        if isinstance(schema, bool):
            return "any"
        if (ref := schema.get("$ref")) is not None:
            return ref.split("/")[-1] if ref in above else self._resolved(ref, above)
        if "enum" in schema:
            return "|".join(_literal(option) for option in _null_last(schema["enum"]))
        if "const" in schema:
            return _literal(schema["const"])
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._union([self.outline(part, above) for part in schema[keyword]])
        if len(schema.get("allOf", ())) == 1:
            return self.outline(schema["allOf"][0], above)
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._union([self.outline({**schema, "type": one}, above) for one in kind])
        if kind == "object" or "properties" in schema:
            return self._object(schema, above)
        if kind == "array":
            return self._array(schema, above)
        if kind == "string":
            return _string_kind(schema)
        return str(kind) if kind is not None else "any"

    def _resolved(self, ref: str, above: tuple[str, ...]) -> str:
        target: Any = self.root
        for key in ref.removeprefix("#").split("/")[1:]:
            target = target[key.replace("~1", "/").replace("~0", "~")]
        return self.outline(target, (*above, ref))

    def _union(self, parts: list[str]) -> str:
        return "|".join(_null_last(list(dict.fromkeys(parts)), null="null"))

    def _object(self, schema: Schema, above: tuple[str, ...]) -> str:
        if schema.get("properties"):
            pairs = (
                f"{_literal(key)}:{self.outline(value, above)}"
                for key, value in schema["properties"].items()
            )
            return "{" + ",".join(pairs) + "}"
        values = schema.get("additionalProperties", True)
        return "object" if isinstance(values, bool) else f"{{string:{self.outline(values, above)}}}"

    def _array(self, schema: Schema, above: tuple[str, ...]) -> str:
        if "prefixItems" in schema:
            return "[" + ",".join(self.outline(i, above) for i in schema["prefixItems"]) + "]"
        return f"[{self.outline(schema.get('items', True), above)}]"


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _null_last(values: list[Any], null: object = None) -> list[Any]:
    return sorted(values, key=lambda value: value == null)


def _string_kind(schema: Schema) -> str:
    """Patterns are told apart by what they match, so that every spelling of one counts."""
    if schema.get("format") == "date":
        return "date"
    try:
        pattern = re.compile(schema.get("pattern", ""))
    except re.error:
        return "string"

    def matches_only(*right: str, wrong: tuple[str, ...]) -> bool:
        return all(pattern.search(text) for text in right) and not any(
            pattern.search(text) for text in (*wrong, "", "x", "ABC-12", "10:30")
        )

    if matches_only("2024-03-15", "1999-12-01", wrong=("12.50", "20240315", "2024-03-15x")):
        return "date"
    if matches_only("12.50", "1234.56", wrong=("2024-03-15", "1.2.3", "12.50x")):
        return "decimal"
    return "string"


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


@lru_cache(maxsize=1)
def _generator() -> Any:
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        def field_is_required(self, field: Any, total: bool) -> bool:
            if field["type"] == "typed-dict-field":
                return super().field_is_required(field, total)
            return True

        def decimal_schema(self, schema: Any) -> dict[str, Any]:
            places = schema.get("decimal_places")
            if places is None:
                fraction = r"(\.\d+)?"
            else:
                fraction = rf"\.\d{{{places}}}" if places else ""
            least = schema.get("ge", schema.get("gt"))
            sign = "" if least is not None and least >= 0 else "-?"
            return {"type": "string", "pattern": f"^{sign}\\d+{fraction}$"}

    return Generator
