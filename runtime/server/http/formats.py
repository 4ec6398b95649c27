"""The forms that an answer may be held to (`response_format`), and what they become on the wire.
Used by guided.py, responses_fields.py and native_fields.py."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from ...protocol import (
    Choices,
    Constraint,
    Ebnf,
    GrammarBackend,
    Island,
    Islands,
    JsonSchema,
    Regex,
    Separators,
)
from .errors import refuse

# Any JSON object; the grammar layer bounds its depth.
ANY_OBJECT: Final = '{"type":"object"}'


class TextFormat(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Free text."""


class JsonObjectFormat(Struct, tag_field="type", tag="json_object", forbid_unknown_fields=True):
    """Any JSON object."""


class JsonSchemaSpec(Struct, forbid_unknown_fields=True):
    """A JSON Schema. It is enforced whatever `strict` says. The last seven fields are ours, see
    `protocol.JsonSchema`."""

    schema: msgspec.Raw
    name: str | None = None
    description: str | None = None
    strict: bool | None = None
    reading: Literal["closed", "specification"] = "closed"
    any_order: bool = False
    on_unsupported: Literal["refuse", "validate"] = "refuse"
    backend: GrammarBackend = "auto"
    separators: Separators | None = None
    indent: Annotated[int, Meta(ge=0, le=8)] | None = None
    max_whitespace: Annotated[int, Meta(ge=0, le=32)] = 0

    def constraint(self) -> JsonSchema:
        return JsonSchema(
            bytes(self.schema).decode(),
            self.backend,
            self.reading,
            self.any_order,
            self.on_unsupported,
            self.separators,
            self.indent,
            self.max_whitespace,
        )


class JsonSchemaFormat(Struct, tag_field="type", tag="json_schema", forbid_unknown_fields=True):
    """JSON that validates against a schema."""

    json_schema: JsonSchemaSpec


class RegexFormat(Struct, tag_field="type", tag="regex", forbid_unknown_fields=True):
    """Text that matches a pattern as a whole."""

    pattern: str
    backend: GrammarBackend = "auto"


class ChoiceFormat(Struct, tag_field="type", tag="choice", forbid_unknown_fields=True):
    """One of these strings."""

    choices: list[str]
    backend: GrammarBackend = "auto"


class GrammarFormat(Struct, tag_field="type", tag="grammar", forbid_unknown_fields=True):
    """A sentence of a grammar in the GBNF dialect."""

    grammar: str
    backend: GrammarBackend = "auto"


class Structure(Struct, forbid_unknown_fields=True):
    """A stretch of text from `begin` to `end`; exactly one of the other fields says what stands
    between them."""

    begin: str
    end: str = ""
    # msgspec takes no union with raw JSON, and the document no default of it; empty is none.
    schema: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    regex: str | None = None
    grammar: str | None = None
    choices: list[str] | None = None

    def island(self, where: str) -> Island:
        contents: list[Choices | Regex | JsonSchema | Ebnf] = []
        if bytes(self.schema):
            contents.append(JsonSchema(bytes(self.schema).decode()))
        if self.regex is not None:
            contents.append(Regex(self.regex))
        if self.grammar is not None:
            contents.append(Ebnf(self.grammar))
        if self.choices is not None:
            contents.append(Choices(self.choices))
        if len(contents) != 1:
            raise refuse("give exactly one of schema, regex, grammar and choices", where)
        return Island(self.begin, contents[0], self.end)


class StructuralTagFormat(
    Struct, tag_field="type", tag="structural_tag", forbid_unknown_fields=True
):
    """Free text in which each of the `triggers` begins one of the structures (SGLang's and vLLM's
    form; the last two fields are ours)."""

    structures: list[Structure]
    triggers: list[str] = []
    min_structures: int = 0
    max_structures: int | None = None

    def constraint(self, where: str) -> Islands:
        islands = [
            structure.island(f"{where}.structures[{index}]")
            for index, structure in enumerate(self.structures)
        ]
        return Islands(islands, self.triggers, self.min_structures, self.max_structures)


ResponseFormat = (
    TextFormat
    | JsonObjectFormat
    | JsonSchemaFormat
    | RegexFormat
    | ChoiceFormat
    | GrammarFormat
    | StructuralTagFormat
)


def constraint_of(response_format: ResponseFormat | None) -> Constraint | None:
    """What the output must be."""
    match response_format:
        case JsonObjectFormat():
            return JsonSchema(ANY_OBJECT)
        case JsonSchemaFormat(json_schema=spec):
            return spec.constraint()
        case RegexFormat(pattern=pattern, backend=backend):
            return Regex(pattern, backend)
        case ChoiceFormat(choices=choices, backend=backend):
            return Choices(choices, backend)
        case GrammarFormat(grammar=grammar, backend=backend):
            return Ebnf(grammar, backend)
        case StructuralTagFormat():
            return response_format.constraint("response_format")
        case _:
            return None
