"""JSON Schema by pydantic, with what it leaves out: what makes outputs be read as the type is
enforced, and what no grammar can enforce is refused. Imported by schema.py at first use."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import SchemaValidator, ValidationError

from .ranges import MAX_PLACES, date_pattern, decimal_pattern
from .schema import NoSchemaError, Schema

_HEX: Final = "[0-9a-f]"
# Formats of pydantic's that no one else knows.
_PATTERNS: Final = {"fraction": r"^-?\d+(/[1-9]\d*)?$"} | {
    f"uuid{n}": rf"^{_HEX}{{8}}-{_HEX}{{4}}-{n}{_HEX}{{3}}-[89ab]{_HEX}{{3}}-{_HEX}{{12}}$"
    for n in range(1, 9)
}
# Without the 29th of February in years that end in 00.
_NAIVE_DATETIME: Final = (
    r"^(\d{3}[1-9]-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)"
    r"|02-(0[1-9]|1\d|2[0-8]))|\d\d(0[48]|[2468][048]|[13579][26])-02-29)"
    r"T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?$"
)

_NOTHING: Final = ("bounds with nothing between them", "a lower and a higher one")
_BOUNDS: Final = ("ge", "gt", "le", "lt")

# What cannot be enforced, by pydantic's format or validator, and what to use instead.
_FILE: Final = ("a path that is looked up", "pathlib.Path")
_NETWORK: Final = ("an IP network or interface", "an IPv4Address or IPv6Address and an int, or str")
_REFUSED: Final = {
    "file-path": _FILE,
    "directory-path": _FILE,
    "PathType.validate_new": _FILE,
    "ipv4network": _NETWORK,
    "ipv6network": _NETWORK,
    "ipv4interface": _NETWORK,
    "ipv6interface": _NETWORK,
    "name-email": ("an address with a name (NameEmail)", "a str for each"),
    "color": ("a Color", "a str with a pattern"),
    "import_string": ("what is to be imported (ImportString)", "a Literal of names"),
    "pattern_bytes_validator": ("a pattern of bytes", "re.Pattern[str]"),
    "EncodedStr.decode_str": ("an encoded text", "str, or Base64Bytes"),
    "ByteSize._validate": ("a size with a unit (ByteSize)", "NonNegativeInt"),
}


class Generator(GenerateJsonSchema):
    """Raises NoSchemaError. A JSON schema that a type brings along (`WithJsonSchema`) is taken."""

    def generate_inner(self, schema: Any) -> Schema:
        told = super().generate_inner(schema)
        if told.keys() & {"pattern", "enum", "const"}:
            return told
        function = schema.get("function")
        validator = function.get("function") if isinstance(function, dict) else None
        for name in (told.get("format"), getattr(validator, "__qualname__", None)):
            if name in _REFUSED:
                raise _refusal(*_REFUSED[name])
        if (pattern := _PATTERNS.get(told.get("format", ""))) is not None:
            return {"type": "string", "pattern": pattern}
        return told

    def field_is_required(self, field: Any, total: bool) -> bool:
        if field["type"] == "typed-dict-field":
            return super().field_is_required(field, total)
        return True

    def decimal_schema(self, schema: Any) -> Schema:
        return {"type": "string", "pattern": _decimal(schema)}

    def fraction_schema(self, schema: Any) -> Schema:
        return {"type": "string", "format": "fraction"}

    def str_schema(self, schema: Any) -> Schema:
        told = super().str_schema(schema)
        if schema.get("strip_whitespace") and told.get("minLength"):
            # What is stripped does not count.
            told.setdefault("pattern", r"^\S([\s\S]*\S)?$")
        return told

    def literal_schema(self, schema: Any) -> Schema:
        return _read_back(schema, super().literal_schema(schema))

    def enum_schema(self, schema: Any) -> Schema:
        return _read_back(schema, super().enum_schema(schema))

    def dict_schema(self, schema: Any) -> Schema:
        values: Any = {name: value for name, value in schema.items() if name != "keys_schema"}
        told = super().dict_schema(values)
        names = self._names(self.generate_inner(schema.get("keys_schema", {"type": "str"})))
        if names.keys() - {"type", "title"}:
            told["propertyNames"] = names
        return told

    # Kinds of their own in later versions.
    ordered_dict_schema = frozendict_schema = counter_schema = dict_schema

    def date_schema(self, schema: Any) -> Schema:
        if "now_op" in schema:
            raise _refusal(
                f"a date in the {schema['now_op']}", "datetime.date, with a bound as lt or gt"
            )
        told = super().date_schema(schema)
        return told | {"pattern": _dates(schema)} if schema.keys() & {*_BOUNDS} else told

    def time_schema(self, schema: Any) -> Schema:
        return _unbounded(schema, super().time_schema(schema))

    def timedelta_schema(self, schema: Any) -> Schema:
        return _unbounded(schema, super().timedelta_schema(schema))

    def datetime_schema(self, schema: Any) -> Schema:
        if schema.get("tz_constraint") == "naive":
            return _unbounded(schema, {"type": "string", "pattern": _NAIVE_DATETIME})
        return _unbounded(schema, super().datetime_schema(schema))

    def url_schema(self, schema: Any) -> Schema:
        told = super().url_schema(schema)
        schemes = schema.get("allowed_schemes") or ["http", "https"]
        known = [scheme for scheme in ("http", "https") if scheme in schemes]
        if not known:
            raise _refusal(f"a URL of {', '.join(schemes)}", "str")
        return told if len(known) == 2 else told | {"pattern": f"^{known[0]}:"}

    def multi_host_url_schema(self, schema: Any) -> Schema:
        raise _refusal("a URL of several hosts", "str")

    def complex_schema(self, schema: Any) -> Schema:
        raise _refusal("a complex number", "a float for each part")

    def json_schema(self, schema: Any) -> Schema:
        raise _refusal("JSON in a string (Json)", "the type inside it")

    def is_subclass_schema(self, schema: Any) -> Schema:
        raise _refusal("a class (type[...])", "a Literal of names")

    def _resolved(self, schema: Schema) -> Schema:
        found = self.get_schema_from_definitions(schema["$ref"]) if "$ref" in schema else None
        return schema if found is None else found

    def _names(self, keys: Schema) -> Schema:
        """The texts that are read as such keys."""
        told = self._resolved(keys)
        if "anyOf" in told:
            return {"anyOf": [self._names(one) for one in told["anyOf"] if one != {"type": "null"}]}
        if "enum" in told or "const" in told:
            constants = told.get("enum", [told.get("const")])
            if texts := [one for one in constants if isinstance(one, str)]:
                return {"enum": texts}
            raise _refusal("keys that are constants but no texts", "str or int for the keys")
        match told.get("type"):
            case "integer":
                whole = _bounds(told) | {"decimal_places": 0}
                return {"type": "string", "pattern": _decimal(whole)}
            case "number":
                return {"type": "string", "pattern": _decimal(_bounds(told))}
            case "boolean":
                return {"enum": ["true", "false"]}
            case "string" | None:
                return told
            case other:
                raise _refusal(f"keys of JSON's type {other}", "str or int for the keys")


def _refusal(what: str, instead: str) -> NoSchemaError:
    return NoSchemaError(f"no output can be held to {what}; use {instead}")


def _read_back(schema: Any, told: Schema) -> Schema:
    """Constants as pydantic tells them, where it reads them itself."""
    validator = SchemaValidator(schema)
    for constant in told.get("enum", [told.get("const")]):
        text = json.dumps(constant)
        try:
            validator.validate_json(text)
        except ValidationError:
            what = "an Enum" if schema["type"] == "enum" else "a Literal"
            raise _refusal(
                f"{what} whose {text} pydantic does not read",
                "an Enum, or a Literal of texts and numbers",
            ) from None
    return told


def _decimal(schema: Any) -> str:
    """The pattern of a number as digits, all of them within its bounds."""
    if schema.get("multiple_of") is not None:
        raise _refusal("a Decimal or key with multiple_of", "decimal_places")
    bounds = {
        name: [Decimal(str(schema[name]))]
        for name in _BOUNDS
        if schema.get(name) is not None and Decimal(str(schema[name])).is_finite()
    }
    places, max_digits = schema.get("decimal_places"), schema.get("max_digits")
    positive = bounds == {"ge": [0]}
    if max_digits is None and (not bounds or positive):
        fraction = r"(\.\d+)?" if places is None else rf"\.\d{{{places}}}" if places else ""
        return f"^{'' if positive else '-?'}\\d+{fraction}$"
    most = MAX_PLACES if max_digits is None else max_digits
    counts = range(most + 1) if places is None else [min(places, most)]
    if (pattern := decimal_pattern(bounds, counts, max_digits)) is None:
        raise _refusal(*_NOTHING)
    return pattern


def _bounds(told: Schema) -> Schema:
    """The bounds of a number's schema as pydantic names them."""
    names = {
        "minimum": "ge",
        "exclusiveMinimum": "gt",
        "maximum": "le",
        "exclusiveMaximum": "lt",
        "multipleOf": "multiple_of",
    }
    return {name: told[keyword] for keyword, name in names.items() if keyword in told}


def _dates(schema: Any) -> str:
    """The pattern of a date within its bounds."""
    days = {name: schema[name].toordinal() for name in _BOUNDS if schema.get(name) is not None}
    first = max(days.get("ge", 1), days.get("gt", 0) + 1)
    end = date.max.toordinal() + 1
    last = min(days.get("le", end), days.get("lt", end) - 1)
    if first > last:
        raise _refusal(*_NOTHING)
    return date_pattern(date.fromordinal(first), date.fromordinal(last))


def _unbounded(schema: Any, told: Schema) -> Schema:
    """The schema of a time that has no bounds."""
    found = [f"with {name}" for name in _BOUNDS if schema.get(name) is not None]
    if "now_op" in schema:
        found.append(f"in the {schema['now_op']}")
    if isinstance(schema.get("tz_constraint"), int):
        found.append("of one offset")
    if found:
        kind = f"datetime.{schema['type']}"
        raise _refusal(f"a {kind} {found[0]}", f"{kind} and compare what comes out")
    return told
