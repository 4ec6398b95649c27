"""The forms that `gen` holds an output to, from its arguments to a constraint. Called by api.py."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec

from branchline.runtime import protocol

from . import ir
from .schema import NoSchemaError, json_schema_of
from .values import ValueKind

GrammarBackend = protocol.GrammarBackend
Reading = Literal["closed", "specification"]
OnUnsupported = Literal["refuse", "validate"]
Separators = tuple[str, str]
DType = type[int] | type[float] | type[bool] | type[str] | Literal["int", "float", "bool", "str"]

_DTYPES: dict[str, tuple[ValueKind, str, tuple[str, ...]]] = {
    "int": ("int", ir.REGEX_INT, (" ", "\n")),
    "float": ("float", ir.REGEX_FLOAT, (" ", "\n")),
    "bool": ("bool", ir.REGEX_BOOL, ()),
    "str": ("string", ir.REGEX_STR, ()),
}
_FIELDS = {field.name: field.type for field in msgspec.structs.fields(protocol.JsonSchema)}
_LAYOUT = {
    "separators": (_FIELDS["separators"], "a comma and a colon with up to four spaces around each"),
    "indent": (_FIELDS["indent"], "a number of spaces from 0 to 8"),
    "max_whitespace": (_FIELDS["max_whitespace"], "a number of characters from 0 to 32"),
}


@dataclass(frozen=True)
class SchemaOptions:
    """How a schema is taken; what is None is as the runtime has it. See `protocol.JsonSchema`."""

    reading: Reading | None = None
    any_order: bool | None = None
    on_unsupported: OnUnsupported | None = None
    separators: Separators | None = None
    indent: int | None = None
    max_whitespace: int | None = None

    def given(self, where: str) -> dict[str, Any]:
        """The fields that are not None, checked."""
        for name, kind in (("reading", Reading), ("on_unsupported", OnUnsupported)):
            value = getattr(self, name)
            if value is not None and value not in get_args(kind):
                allowed = " or ".join(map(repr, get_args(kind)))
                raise ValueError(f"{where}: {name}={value!r}: expected {allowed}")
        fields = {name: value for name, value in vars(self).items() if value is not None}
        for name in ("separators", "indent", "max_whitespace"):
            if name in fields:
                fields[name] = _layout_field(name, fields[name], where)
        if fields.get("max_whitespace") and ("separators" in fields or "indent" in fields):
            raise ValueError(
                f"{where}: max_whitespace leaves white space to the model; give it without "
                "separators and indent"
            )
        return fields


def _layout_field(name: str, value: object, where: str) -> Any:
    """A field of a text's layout as the wire takes it."""
    kind, allowed = _LAYOUT[name]
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise ValueError(f"{where}: {name}={value!r}: expected {allowed}") from None


class Island:
    """A stretch of free text that is held to a form: `begin`, then what one of the other arguments
    allows (as in `gen`), then `end`."""

    def __init__(
        self,
        begin: str,
        end: str = "",
        *,
        regex: str | None = None,
        json_schema: str | dict[str, Any] | None = None,
        schema: Any = None,
        choices: Sequence[str] | None = None,
        grammar: str | None = None,
    ) -> None:
        where = f"Island({begin!r})"
        if not begin:
            raise ValueError(f"{where}: begin must not be empty: it is how an island is known")
        forms = {
            "regex": regex,
            "json_schema": json_schema,
            "schema": schema,
            "choices": choices,
            "grammar": grammar,
        }
        name = only_form(forms, where)
        content: protocol.Choices | protocol.Regex | protocol.JsonSchema | protocol.Ebnf
        if name == "regex" and regex is not None:
            content = protocol.Regex(_pattern(regex, where))
        elif name == "choices" and choices is not None:
            content = protocol.Choices(list(choices))
        elif name == "grammar" and grammar is not None:
            content = protocol.Ebnf(grammar)
        elif name in ("json_schema", "schema"):
            content = protocol.JsonSchema(_schema(name, forms[name], where)[0])
        else:
            raise ValueError(f"{where}: give one of {', '.join(forms)}")
        self._island = protocol.Island(begin, content, end)

    def __repr__(self) -> str:
        return f"Island({self._island.begin!r}, {self._island.end!r})"


@dataclass(frozen=True)
class Form:
    """A constraint and how its output is read."""

    constraint: protocol.Constraint | None = None
    kind: ValueKind = "text"
    extra_stops: tuple[str, ...] = ()


def only_form(forms: dict[str, object], where: str) -> str | None:
    """The name of the form that is given."""
    given = [name for name, value in forms.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"{where}: {' and '.join(given)} contradict each other; give one of them")
    return given[0] if given else None


def form_of(
    where: str,
    name: str | None,
    value: Any,
    backend: GrammarBackend | None,
    options: SchemaOptions,
) -> Form:
    """The form that the argument `name` of `gen` gives. Raises ValueError, `re.error`."""
    chosen = _backend(backend, where)
    schema_options = options.given(where)
    if schema_options and name not in ("json_schema", "schema"):
        raise ValueError(f"{where}: {next(iter(schema_options))} goes with json_schema or schema")
    if backend is not None and name in (None, "islands"):
        raise ValueError(
            f"{where}: grammar_backend goes with dtype, regex, json_schema, schema and grammar"
        )
    match name:
        case "dtype":
            kind, pattern, stops = _dtype(value, where)
            return Form(protocol.Regex(pattern, chosen), kind, stops)
        case "regex":
            return Form(protocol.Regex(_pattern(value, where), chosen))
        case "grammar":
            if not isinstance(value, str) or not value:
                raise ValueError(f"{where}: grammar: expected the text of a grammar, got {value!r}")
            return Form(protocol.Ebnf(value, chosen))
        case "islands":
            return Form(_islands(value, where))
        case "json_schema" | "schema":
            text, kind = _schema(name, value, where)
            return Form(protocol.JsonSchema(text, chosen, **schema_options), kind)
    return Form()


def _islands(islands: object, where: str) -> protocol.Islands:
    found = [islands] if isinstance(islands, Island) else islands
    if not isinstance(found, Sequence) or not found:
        raise ValueError(f"{where}: islands={islands!r}: expected a list of bl.Island")
    for one in found:
        if not isinstance(one, Island):
            raise ValueError(f"{where}: islands: expected bl.Island, got {one!r}")
    return protocol.Islands([one._island for one in found])


def _backend(backend: GrammarBackend | None, where: str) -> GrammarBackend:
    if backend is not None and backend not in get_args(GrammarBackend):
        allowed = ", ".join(map(repr, get_args(GrammarBackend)))
        raise ValueError(f"{where}: grammar_backend={backend!r}: expected one of {allowed}")
    return backend or "auto"


def _pattern(regex: object, where: str) -> str:
    if isinstance(regex, re.Pattern):
        if regex.flags != re.compile(regex.pattern).flags:
            raise ValueError(f"{where}: {regex!r} has flags; write them into the expression")
        regex = regex.pattern
    if not isinstance(regex, str):
        raise ValueError(f"{where}: regex={regex!r}: expected a string")
    try:
        re.compile(regex)
    except re.error as error:
        raise re.error(f"{where}: regex={regex!r}: {error.msg}", regex, error.pos) from None
    return regex


def _dtype(dtype: object, where: str) -> tuple[ValueKind, str, tuple[str, ...]]:
    key = dtype.__name__ if isinstance(dtype, type) else dtype
    if not isinstance(key, str) or key not in _DTYPES:
        raise ValueError(f"{where}: dtype={dtype!r}: expected one of {', '.join(_DTYPES)}")
    return _DTYPES[key]


def _schema(name: str, value: Any, where: str) -> tuple[str, ValueKind]:
    """The schema that `schema` or `json_schema` gives as JSON text, and how outputs are read. A
    dict is a schema under either name."""
    if name == "schema" and not isinstance(value, dict):
        return _type_schema(value, where), "type"
    return _schema_text(value, where), "json"


def _type_schema(kind: object, where: str) -> str:
    """The schema of a Python type as JSON text."""
    try:
        return _compact(json_schema_of(kind))
    except NoSchemaError as error:
        raise TypeError(f"{where}: schema={error}") from error.__cause__


def _schema_text(schema: str | dict[str, Any], where: str) -> str:
    """The schema as JSON text; only its form is checked, its keywords are the runtime's matter."""
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: json_schema is not JSON: {error}") from None
    if not isinstance(schema, dict):
        raise ValueError(
            f"{where}: json_schema: expected an object, got {schema!r}; a type goes as schema="
        )
    return _compact(schema)


def _compact(schema: dict[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
