"""What an answer is held to, in OpenAI's field and in those that clients of vLLM and SGLang send
beside it. Used by chat.py and completions.py."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from ...protocol import Choices, Constraint, Ebnf, JsonSchema, Regex
from .errors import refuse
from .formats import ANY_OBJECT, ResponseFormat, constraint_of

# A schema as an object, or as the JSON text of one.
Schema = dict[str, Any] | str


class StructuredOutputs(Struct, forbid_unknown_fields=True):
    """vLLM's later form; exactly one of them."""

    json: Schema | None = None
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    json_object: bool | None = None


class HeldRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """`response_format` is OpenAI's; `guided_*` and `structured_outputs` are vLLM's names for the
    same, `json_schema`, `regex` and `ebnf` are SGLang's. One of them at most."""

    response_format: ResponseFormat | None = None

    guided_json: Schema | None = None
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    guided_grammar: str | None = None
    structured_outputs: StructuredOutputs | None = None
    json_schema: Schema | None = None
    regex: str | None = None
    ebnf: str | None = None

    def constraint(self) -> Constraint | None:
        """What the output must be. Raises ApiError for several."""
        given = [name for name in _FIELDS if getattr(self, name) is not None]
        if len(given) > 1:
            raise refuse(f"give one of {' and '.join(given)}", given[1])
        if not given:
            return constraint_of(self.response_format)
        if self.structured_outputs is not None:
            return _of_structured(self.structured_outputs)
        value = getattr(self, given[0])
        return constraint_of(value) if given[0] == "response_format" else _of(given[0], value)


_FIELDS: Final = HeldRequest.__struct_fields__


def _of_structured(outputs: StructuredOutputs) -> Constraint | None:
    where = "structured_outputs"
    given = [name for name in outputs.__struct_fields__ if getattr(outputs, name) is not None]
    if len(given) > 1:
        raise refuse(f"give one of {' and '.join(given)}", where)
    if not given:
        raise refuse("give one of json, regex, choice, grammar and json_object", where)
    if given == ["json_object"]:
        return JsonSchema(ANY_OBJECT) if outputs.json_object else None
    return _of(given[0], getattr(outputs, given[0]))


def _of(name: str, value: Any) -> Constraint:
    match name.removeprefix("guided_"):
        case "json" | "json_schema":
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            return JsonSchema(text)
        case "regex":
            return Regex(value)
        case "choice":
            return Choices(value)
        case _:
            return Ebnf(value)
