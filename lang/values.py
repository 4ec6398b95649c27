"""Reading an output as a Python value: what `s.value("x")` returns. Called by state.py."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Protocol, cast, get_args, get_origin

from .errors import GenerationError
from .schema import type_adapter

# How an output is to be read: as it stands, as JSON, as a Python type's JSON, by its dtype, or as
# tool calls.
ValueKind = Literal["text", "json", "type", "int", "float", "bool", "string", "calls"]


class Reader(Protocol):
    """What reads outputs of kind "calls" (tool_calls.py)."""

    def read(self, output: str, /) -> object: ...


class InvalidOutput(GenerationError):
    """An output cannot be read as the value that was asked for, for example because it was cut
    at `max_tokens`. `text` holds the output."""

    def __init__(self, message: str, *, text: str = "", **details: Any) -> None:
        super().__init__(message, **details)
        self.text = text


def read_value(text: str, kind: ValueKind, value_type: object) -> Any:
    """The value of an output under the constraint that it was generated with."""
    try:
        match kind:
            case "text":
                return text
            case "json":
                return json.loads(text)
            case "type":
                return type_adapter(value_type).validate_json(text)
            case "calls":
                return cast("Reader", value_type).read(text)
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "bool":
                return {"True": True, "False": False}[text]
            case "string":
                return text.removeprefix('"').removesuffix('"')
    except (ValueError, KeyError) as error:
        wanted = {"type": value_type, "calls": "list of valid tool calls"}.get(kind, kind)
        raise _invalid(text, wanted, error) from error


def read_as(text: str, value_type: Any) -> Any:
    """An output as `value_type`: its JSON where it is JSON, else the plain text (for an enum,
    a number, a date)."""
    if value_type is str:
        return text
    adapter = type_adapter(value_type)
    try:
        return adapter.validate_json(text)
    except ValueError as json_error:
        try:
            return adapter.validate_strings(text)
        except ValueError:
            raise _invalid(text, value_type, json_error) from json_error


def _invalid(text: str, wanted: object, error: Exception) -> InvalidOutput:
    shown = text if len(text) <= 200 else f"{text[:200]}..."
    return InvalidOutput(
        f"the output is no {_name(wanted)}: {_summary(error)}; it is {shown!r}", text=text
    )


def _name(wanted: Any) -> str:
    if get_origin(wanted) is Annotated:
        return _name(wanted.__origin__)
    plain = None if get_args(wanted) else getattr(wanted, "__name__", None)
    return plain or str(wanted).removeprefix("typing.")


def _summary(error: Exception) -> str:
    """The first things that pydantic found, on one line; the exception itself is the cause."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    found = [
        f"{'.'.join(map(str, one['loc']))}: {one['msg']}" if one["loc"] else one["msg"]
        for one in errors()[:3]
    ]
    return "; ".join(found)
