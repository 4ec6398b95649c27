"""JSON Schema to a language of JSON texts, exact or refused; called by compiler.py.

Each schema becomes the expression of the compact JSON texts that satisfy it. Where JSON Schema
leaves a choice that does not matter to a reader, one way is taken: properties come in the order
in which they are declared, an object that declares properties has no others unless
`additionalProperties` is given, a keyword that speaks of one type implies it.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from ..errors import RequestError
from . import json_text as text
from .expr import NEVER, Expr, Language, Ref, alt
from .limits import GrammarLimits
from .schema_arrays import array_expr
from .schema_check import (
    BY_TYPE,
    TYPES,
    check_keywords,
    list_of,
    listed,
    load,
    pointer_to,
    refuse,
    refuse_malformed,
)
from .schema_disjoint import check_disjoint
from .schema_merge import CannotMerge, Schema, constraints
from .schema_merge import merge as merge_schemas
from .schema_numbers import number_expr
from .schema_objects import object_expr
from .schema_strings import string_expr


def schema_language(source: str, limits: GrammarLimits) -> Language:
    """The language of a JSON Schema given as JSON text. Raises RequestError("grammar")."""
    builder = SchemaBuilder(load(source, limits), limits)
    try:
        root = builder.convert(builder.document, "#")
    except (TypeError, AttributeError, ValueError, KeyError, IndexError):
        # Keywords with values of the wrong kind meet code that trusts them; the metaschema says
        # which. If it finds nothing, the defect is ours and is reported as such.
        refuse_malformed(builder.document)
        raise
    return Language(root, builder.rules)


class SchemaBuilder:
    """Converts one schema document; holds its rules by name."""

    def __init__(self, document: Any, limits: GrammarLimits) -> None:
        self.document = document
        self.limits = limits
        self.rules: dict[str, Expr] = dict(text.ANY_VALUE_RULES)
        self._by_content: dict[str, str] = {}
        self._depth = 0
        self._spent = 0
        self.optional_pairs = 0  # kept by schema_objects: what xgrammar's time grows with

    def convert(self, schema: Any, pointer: str) -> Expr:
        """The texts of the values that a schema allows."""
        if schema is True or schema == {}:
            return text.ANY_VALUE
        if schema is False:
            return NEVER
        if not isinstance(schema, dict):
            refuse(pointer, f"a schema is an object or a boolean, not {type(schema).__name__}")
        self.spend()
        self._depth += 1
        if self._depth > self.limits.max_depth:
            refuse(pointer, f"the schema nests deeper than {self.limits.max_depth} schemas")
        try:
            return self._dispatch(schema, pointer)
        finally:
            self._depth -= 1

    def spend(self) -> None:
        """Count a piece of work: references shared by many branches multiply it."""
        self._spent += 1
        if self._spent > self.limits.max_nodes:
            refuse("#", f"the schema expands to over {self.limits.max_nodes} parts")

    def _dispatch(self, schema: Schema, pointer: str) -> Expr:
        if "enum" in schema or "const" in schema:
            return self._constants(schema, pointer)
        check_keywords(schema, pointer)
        if "$ref" in schema:
            return self._reference(schema, pointer)
        if "allOf" in schema:
            return self._all_of(schema, pointer)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._any_of(schema, keyword, pointer)
        types = self.types(schema, pointer)
        return alt(self._typed(schema, name, pointer) for name in types)

    # --- references and combinators -----------------------------------------------------------

    def resolve(self, schema: Schema, pointer: str) -> Any:
        """What `$ref` points to, following references to references; with keywords that stand
        beside it merged in."""
        seen: set[str] = set()
        while isinstance(schema, dict) and "$ref" in schema:
            reference = schema["$ref"]
            if reference in seen:
                return False  # it refers to nothing but itself: no value satisfies it
            seen.add(reference)
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            target = self._target(reference, pointer)
            schema = self.merge(target, rest, pointer) if constraints(rest) else target
        return schema

    def _target(self, reference: Any, pointer: str) -> Any:
        where = pointer_to(pointer, "$ref")
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            refuse(
                where,
                f"$ref {reference!r} is not a JSON pointer into this schema (`#/...`); "
                "references to anchors and to other documents are not followed",
            )
        node = self.document
        for name in unquote(reference[2:]).split("/") if len(reference) > 1 else []:
            name = name.replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict) and name in node:
                node = node[name]
            elif isinstance(node, list) and name.isdigit() and int(name) < len(node):
                node = node[int(name)]
            else:
                refuse(where, f"$ref {reference!r} points to nothing")
        return node

    def _reference(self, schema: Schema, pointer: str) -> Expr:
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        if constraints(rest):
            return self._shared(self.resolve(schema, pointer), pointer)
        target = self._target(schema["$ref"], pointer)
        where = unquote(schema["$ref"])
        return self._shared(target, where)

    def _shared(self, schema: Any, pointer: str) -> Expr:
        """A rule for a schema that may be used again, or by itself."""
        content = json.dumps(schema, sort_keys=True)
        name = self._by_content.get(content)
        if name is None:
            name = f"schema {len(self._by_content)} {pointer}"
            self._by_content[content] = name
            self.rules[name] = NEVER  # replaced below; recursion meets the name only
            self.rules[name] = self.convert(schema, pointer)
        return Ref(name)

    def merge(self, left: Any, right: Any, pointer: str) -> Any:
        self.spend()
        try:
            return merge_schemas(left, right, lambda schema: self.resolve(schema, pointer))
        except CannotMerge as error:
            refuse(
                pointer,
                f"`{error.args[0]}` is limited twice in ways that cannot be joined; "
                "write one schema with both conditions",
            )
        except RecursionError:
            refuse(pointer, "the schema refers to itself through allOf")

    def _all_of(self, schema: Schema, pointer: str) -> Expr:
        merged: Any = {key: value for key, value in schema.items() if key != "allOf"}
        for index, branch in enumerate(list_of(schema, "allOf", pointer)):
            if not isinstance(branch, (dict, bool)):
                refuse(pointer_to(pointer, "allOf", index), "a schema is an object or a boolean")
            if isinstance(branch, dict):
                check_keywords(branch, pointer_to(pointer, "allOf", index))
            merged = self.merge(merged, branch, pointer_to(pointer, "allOf", index))
        return self.convert(merged, pointer)

    def _any_of(self, schema: Schema, keyword: str, pointer: str) -> Expr:
        rest = {key: value for key, value in schema.items() if key != keyword}
        branches = list_of(schema, keyword, pointer)
        if constraints(rest):
            branches = [
                self.merge(branch, rest, pointer_to(pointer, keyword, index))
                for index, branch in enumerate(branches)
            ]
        if keyword == "oneOf":
            check_disjoint(self, branches, pointer)
        return alt(
            self.convert(branch, pointer_to(pointer, keyword, index))
            for index, branch in enumerate(branches)
        )

    # --- constants ----------------------------------------------------------------------------

    def _constants(self, schema: Schema, pointer: str) -> Expr:
        """enum and const: the listed values that the other keywords allow."""
        values = listed(schema)
        if values is None:
            refuse(pointer_to(pointer, "enum"), "`enum` must be a list with something in it")
        rest = {key: value for key, value in schema.items() if key not in ("enum", "const")}
        if "enum" in schema and "const" in schema:
            rest["enum"] = schema["enum"]
        if constraints(rest):
            values = [value for value in values if self.satisfies(value, rest)]
        try:
            return alt(text.constant(value) for value in values)
        except UnicodeEncodeError:
            refuse(pointer, "a constant holds half a surrogate pair, which has no UTF-8 form")

    def satisfies(self, value: Any, schema: Any) -> bool:
        import jsonschema  # 0.1 s to import; most schemas do without

        if self._circles(schema, frozenset()):
            raise RequestError("grammar", "constants stand beside a $ref that leads back to itself")
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        try:
            validator = jsonschema.Draft202012Validator(self.document, format_checker=checker)
            return bool(validator.evolve(schema=schema).is_valid(value))
        except Exception as error:  # an invalid sub-schema, or a reference out of the document
            message = f"constants cannot be compared with a broken schema: {error}"
            raise RequestError("grammar", message[:500]) from None

    def _circles(self, schema: Any, seen: frozenset[str]) -> bool:
        """Whether checking one value against a schema would never end: it leads back to itself
        without going into the value."""
        self.spend()
        if not isinstance(schema, dict):
            return False
        inner = [schema.get(name) for name in ("not", "if", "then", "else")]
        for name in ("allOf", "anyOf", "oneOf"):
            inner += schema[name] if isinstance(schema.get(name), list) else []
        if any(self._circles(part, seen) for part in inner):
            return True
        reference = schema.get("$ref")
        if reference is None:
            return False
        if not isinstance(reference, str) or reference in seen:
            return True
        return self._circles(self._target(reference, "#"), seen | {reference})

    # --- types --------------------------------------------------------------------------------

    def types(self, schema: Schema, pointer: str) -> list[str]:
        """The types that a schema allows; without `type`, those that its keywords speak of."""
        given = schema.get("type")
        if given is None:
            implied = [name for name, keywords in BY_TYPE.items() if keywords & schema.keys()]
            return implied or list(TYPES)
        names = given if isinstance(given, list) else [given]
        for name in names:
            if name not in TYPES:
                refuse(
                    pointer_to(pointer, "type"),
                    f"unknown type {name!r}; known: {', '.join(TYPES)}",
                )
        # An integer is a number: naming both says no more than number.
        return [name for name in names if not (name == "integer" and "number" in names)]

    def _typed(self, schema: Schema, name: str, pointer: str) -> Expr:
        if name == "null":
            return text.NULL
        if name == "boolean":
            return text.BOOLEAN
        if name in ("integer", "number"):
            return number_expr(schema, name, pointer)
        if name == "string":
            return string_expr(schema, pointer, self.limits)
        if name == "array":
            return array_expr(self, schema, pointer)
        return object_expr(self, schema, pointer)
