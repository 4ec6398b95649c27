"""A JSON Schema as one line for a prompt. Used by tool_formats.py and by the language's
`schema_outline`; it imports nothing of the runtime.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

Schema = dict[str, Any]

# References that refer to references twice each would write a line without end.
_MAX_PLACES: Final = 20_000
# Some of which are within the bounds that a pattern of decimal numbers may have.
_DECIMALS: Final = (
    *("12.50", "1234.56", "0.5", "0.05", "5.5", "5.25", "25.00", "75.00", "250.00", "50000.00"),
    *("-0.5", "-5.25", "-25.00", "-250.00"),
)


def outline(schema: Schema, *, match_patterns: bool = True) -> str:
    """One line such as `{"name":string,"due":date|null,"items":[{"quantity":integer}]}`.

    match_patterns: whether strings are told apart by trying their `pattern`, which for a pattern
    from elsewhere may take any time; without it only `format` tells a date.
    """
    return _Outliner(schema, match_patterns).outline(schema, ())


class _Outliner:
    def __init__(self, root: Schema, match_patterns: bool) -> None:
        self.root = root
        self._match_patterns = match_patterns
        self._num_places = 0

    def outline(self, schema: Schema | bool, above: tuple[str, ...]) -> str:
        """`above` holds the references that are being expanded around this place."""
        self._num_places += 1
        if self._num_places > _MAX_PLACES:
            raise ValueError(f"the schema has over {_MAX_PLACES} places when written out")
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
            return self._string(schema)
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

    def _string(self, schema: Schema) -> str:
        if schema.get("format") == "date":
            return "date"
        return _kind_by_pattern(schema.get("pattern", "")) if self._match_patterns else "string"


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _null_last(values: list[Any], null: object = None) -> list[Any]:
    return sorted(values, key=lambda value: value == null)


def _kind_by_pattern(given: str) -> str:
    """Patterns are told apart by what they match, so that every spelling of one counts."""
    try:
        pattern = re.compile(given)
    except re.error:
        return "string"

    def matches(*texts: str) -> list[bool]:
        return [pattern.search(text) is not None for text in texts]

    if any(matches("", "x", "ABC-12", "10:30")):
        return "string"
    if all(matches("2024-03-15", "1999-12-01")):
        return "string" if any(matches("12.50", "20240315", "2024-03-15x")) else "date"
    if any(matches(*_DECIMALS)):
        return "string" if any(matches("2024-03-15", "1.2.3", "12.50x")) else "decimal"
    return "string"
