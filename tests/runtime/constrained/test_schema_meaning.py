"""What the language of a schema holds, read as the specification says, value by value."""

from __future__ import annotations

import json

import jsonschema
import pytest

from branchline.runtime.constrained import json_text
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.schema import Reading, schema_language
from branchline.runtime.constrained.vocabulary import Vocabulary
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.errors import RequestError

BYTES = Vocabulary([bytes([byte]) for byte in range(256)])


def walker_of(schema, **reading) -> Walker:
    reading = Reading(**{"closed": False, **reading})
    return Walker(schema_language(json.dumps(schema), GrammarLimits(), reading), BYTES)


def takes(walker: Walker, value) -> bool:
    state = walker.walk(walker.start, json_text.dumps(value).encode())
    return state is not None and state.accepting


VALUES = [
    *(None, True, False, 0, 1, -1, 2, 3, 6, 7, 1.5, -2.5, 14),
    *("", "a", "ab", "abc", "b", "foobar", "foo", "é", '"', "2024-02-29", "x" * 12),
    *([], [1], [1, 2], [2, 1], [1, 1], ["a"], [1, "a"], ["a", 1], [1, 2, 3], [None], [[]]),
    *({}, {"a": 1}, {"b": 1}, {"a": "x"}, {"a": 1, "b": 2}, {"a": 1, "b": "y"}, {"z": 1}),
    *(
        {"a": 1, "z": 1},
        {"ab": 1},
        {"x_a": 1},
        {"x_a": "s"},
        {"a": {"a": 1}},
        {"a": 1, "b": 2, "c": 3},
    ),
]
SCHEMAS = {
    "not a type": {"not": {"type": "integer"}},
    "not a constant": {"type": "string", "not": {"enum": ["a", "ab"]}},
    "not an object": {"not": {"const": {"a": 1}}},
    "not a list": {"not": {"enum": [[1, 2], []]}},
    "not a property": {"not": {"properties": {"a": {"type": "integer"}}, "required": ["a"]}},
    "not required": {"type": "object", "not": {"required": ["a", "b"]}},
    "not closed": {
        "type": "object",
        "not": {"properties": {"a": True}, "additionalProperties": False},
    },
    "not not": {"not": {"not": {"minLength": 2}}},
    "not a pattern": {"type": "string", "not": {"pattern": "^a"}},
    "not a multiple": {"type": "integer", "not": {"multipleOf": 3}},
    "not items": {"type": "array", "not": {"items": {"type": "integer"}}},
    "if then else": {
        "if": {"type": "string"},
        "then": {"minLength": 2},
        "else": {"not": {"type": "object"}},
    },
    "if a property": {
        "properties": {"a": {"type": ["integer", "string"]}},
        "if": {"properties": {"a": {"type": "string"}}, "required": ["a"]},
        "then": {"required": ["b"]},
    },
    "one of overlapping": {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 2}]},
    "one of required": {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "all of strings": {"allOf": [{"pattern": "^a"}, {"pattern": "b"}, {"maxLength": 2}]},
    "pattern and length": {
        "type": "string",
        "pattern": "^(ab|foo)",
        "minLength": 3,
        "maxLength": 5,
    },
    "pattern and format": {"type": "string", "pattern": "^2024", "format": "date"},
    "lookahead": {"type": "string", "pattern": "^(?!foo)[a-z]+$"},
    "untyped length": {"minLength": 2},
    "bounds in parts": {"allOf": [{"minimum": 1}, {"exclusiveMaximum": 7}]},
    "multiples in a half-open range": {"type": "integer", "minimum": 3, "multipleOf": 7},
    "contains": {"type": "array", "contains": {"type": "string"}},
    "contains exactly": {"contains": {"const": 1}, "minContains": 1, "maxContains": 1},
    "contains none": {"contains": {"const": 1}, "minContains": 0, "maxContains": 0},
    "first items": {"prefixItems": [{"type": "integer"}, {"type": "string"}]},
    "first items only": {"type": "array", "prefixItems": [{"const": 1}], "items": False},
    "unique listed": {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True},
    "dependent": {"dependentRequired": {"a": ["b"]}},
    "dependent schema": {"dependentSchemas": {"a": {"properties": {"b": {"type": "string"}}}}},
    "pattern properties": {
        "patternProperties": {"^x_": {"type": "integer"}, "a$": {"type": "integer"}}
    },
    "patterns and others": {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "patternProperties": {"b$": {"type": "integer"}},
        "additionalProperties": {"type": "string"},
    },
    "property names": {"propertyNames": {"pattern": "^[ab]$"}},
    "at most one": {"type": "object", "maxProperties": 1},
    "at least one": {"type": "object", "minProperties": 1},
    "two of three": {
        "type": "object",
        "properties": {"a": {}, "b": {}, "c": {}},
        "additionalProperties": False,
        "minProperties": 2,
        "maxProperties": 2,
    },
    "unevaluated": {
        "allOf": [{"properties": {"a": {"type": "integer"}}}],
        "properties": {"b": {"type": "integer"}},
        "unevaluatedProperties": False,
    },
    "unevaluated in any": {
        "anyOf": [
            {"properties": {"a": {"const": 1}}, "required": ["a"]},
            {"properties": {"b": True}},
        ],
        "unevaluatedProperties": False,
    },
    "anchor": {"$defs": {"x": {"$anchor": "here", "type": "integer"}}, "$ref": "#here"},
    "own address": {
        "$id": "https://example.org/root.json",
        "$defs": {"x": {"$id": "part.json", "$defs": {"y": {"type": "string"}}}},
        "$ref": "part.json#/$defs/y",
    },
    "escaped pointer": {"$defs": {"a/b%": {"type": "null"}}, "$ref": "#/$defs/a~1b%25"},
    "reference and sibling": {
        "$defs": {"s": {"type": "string"}},
        "$ref": "#/$defs/s",
        "maxLength": 1,
    },
    "recursion": {
        "type": "object",
        "additionalProperties": {"anyOf": [{"$ref": "#"}, {"const": 1}]},
    },
    "constant with siblings": {"enum": [1, "a", "abc"], "type": "string", "maxLength": 2},
    "nothing beside": {"type": ["string", "null"], "minLength": 12},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_language_holds_the_values_that_a_validator_takes(name):
    schema = SCHEMAS[name]
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    validator = jsonschema.Draft202012Validator(schema, format_checker=checker)
    walker = walker_of(schema, any_order=True)
    wrong = [value for value in VALUES if takes(walker, value) != validator.is_valid(value)]
    assert wrong == []


def test_few_properties_come_in_any_order_if_asked_for():
    schema = {"properties": {"a": {"type": "null"}, "b": {"type": "null"}}, "required": ["a"]}
    backwards, twice = {"b": None, "a": None}, '{"a":null,"b":null,"a":null}'
    assert not takes(walker_of(schema), backwards)
    walker = walker_of(schema, any_order=True)
    assert takes(walker, backwards)
    assert walker.walk(walker.start, twice.encode()) is None


def test_many_properties_come_in_their_order_with_others_between():
    schema = {"properties": {name: {"const": 1} for name in "abcdefgh"}}
    walker = walker_of(schema, any_order=True)
    assert takes(walker, {"x": 2, "a": 1, "y": 2, "h": 1, "z": 2})
    assert not takes(walker, {"h": 1, "a": 1})


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        (
            {"type": "array", "prefixItems": [{"type": "string"}], "uniqueItems": True},
            "#/uniqueItems",
        ),
        (
            {"properties": {"a": {}}, "additionalProperties": True, "minProperties": 3},
            "#/minProperties",
        ),
        ({"type": "string", "pattern": r"(a)\1"}, "#/pattern"),
    ],
)
def test_what_is_not_enforced_is_taken_as_a_superset_only_if_asked_for(schema, pointer):
    with pytest.raises(RequestError) as caught:
        walker_of(schema)
    assert caught.value.pointer == pointer
    assert 'on_unsupported="validate"' in caught.value.message
    report = schema_language(json.dumps(schema), GrammarLimits(), Reading(lenient=True)).report
    assert [entry.pointer for entry in report if entry.state == "superset"] == [pointer]


def test_the_report_names_every_keyword():
    schema = {"type": "string", "title": "t", "minLength": 1, "format": "isbn"}
    report = {
        e.pointer: e.state for e in schema_language(json.dumps(schema), GrammarLimits()).report
    }
    assert report == {
        "#/type": "enforced",
        "#/title": "described",
        "#/minLength": "enforced",
        "#/format": "described",
    }


def test_names_that_many_choices_must_not_take_are_written_once(monkeypatch):
    written = []
    write = json_text.string_except
    monkeypatch.setattr(json_text, "string_except", lambda names: written.append(1) or write(names))
    choices = [{"properties": {"a": {"enum": [n]}, "b": {"minimum": n}}} for n in range(20)]
    schema = {"type": "object", "anyOf": choices, "required": ["a"]}
    walker = walker_of(schema)
    assert len(written) == 1
    assert takes(walker, {"a": 3, "b": 3, "c": 0})
