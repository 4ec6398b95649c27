"""More schemas on which grammar engines are known to fail: one spelling of each value, places of
members, what nothing satisfies. The first cases are in test_nasty.py."""

from __future__ import annotations

import json

import pytest

from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.vocabulary import INFINITE, Vocabulary
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import JsonSchema

BYTES = Vocabulary([bytes([byte]) for byte in range(256)])
DRAFT = "http://json-schema.org/draft-0{}/schema#"


def walker_of(schema: object, **options: object) -> Walker:
    constraint = JsonSchema(json.dumps(schema), **{"reading": "specification", **options})
    return Walker(build_language(constraint, GrammarLimits()), BYTES)


def takes(walker: Walker, text: str) -> bool:
    state = walker.walk(walker.start, text.encode())
    return state is not None and state.accepting


def string(**keywords: object) -> dict[str, object]:
    return {"type": "string", **keywords}


def closed(required: list[str], **properties: object) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


CASES = {
    # One spelling: escapes only where JSON needs them.
    "escapes that are not needed": (string(), ['"é😀"'], [r'"\u00e9"', r'"\ud83d\ude00"', r'"\/"']),
    "a NUL": (string(), [r'"\u0000"'], ['"\0"', r'"\0"']),
    "escapes count as one character": (
        string(minLength=2, maxLength=2),
        [r'"\n\""', '"😀é"', r'"\u0000a"'],
        [r'"\n"', r'"\n\n\n"'],
    ),
    "two thousand characters": (
        string(minLength=1, maxLength=2_000),
        ['"a"', f'"{"x" * 2_000}"'],
        ['""', f'"{"x" * 2_001}"'],
    ),
    "a leap second": (
        string(format="date-time"),
        ['"1998-12-31T23:59:60Z"'],
        ['"1998-12-31T22:59:60Z"', '"1998-12-31T23:59:61Z"'],
    ),
    "days that are not": (
        string(format="date"),
        ['"2000-02-29"', '"2024-02-29"'],
        ['"1900-02-29"', '"2024-02-30"', '"2024-02-31"', '"2024-04-31"', '"0000-01-01"'],
    ),
    "capital letters of a host": (
        string(format="hostname"),
        ['"EXAMPLE.com"', '"a"'],
        ['"-a.com"', '"a..b"', '"a-"'],
    ),
    "a relative address": (
        string(format="uri-reference"),
        ['"/a/b"', '"a@b/c?d#e"', '""', '"/"', '"#x"', '"//a"', '"a:b"'],
        ['"//a@b@example.com/"', '"1a:b"'],
    ),
    "short ipv6": (
        string(format="ipv6"),
        ['"::"', '"fe80::1"', '"1::8"'],
        ['"1:2:3:4:5:6:7"', '"12345::"', '"::g"', '":::"'],
    ),
    "half an anchor": (string(pattern="^a|b$"), ['"ax"', '"xb"'], ['"xa"', '"bx"', '"ba"']),
    "zero with a sign": ({"type": "integer"}, ["0"], ["-0", "0.0", "-"]),
    "zero with a sign among numbers": ({"type": "number"}, ["-0", "0.0"], ["--0", "00"]),
    "a whole number with a point": ({"type": "integer"}, ["1"], ["1.0", "1e0"]),
    "no exponent beside a bound": (
        {"type": "number", "maximum": 5},
        ["5", "-7.25", "4.99999999"],
        ["1e3", "1e-3", "5.1", "6"],
    ),
    "sevens below zero": (
        {"type": "integer", "multipleOf": 7, "maximum": -1},
        ["-7", "-700"],
        ["0", "7", "-8"],
    ),
    "a declared name twice": (
        closed([], a={"type": "integer"}, b={}),
        ['{"a":1,"b":2}'],
        ['{"a":1,"a":1}', '{"b":1,"a":1}', '{"b":1,"b":1}'],
    ),
    "optional first and last": (
        closed(["b"], a={}, b={}, c={}),
        ['{"b":1}', '{"a":1,"b":1}', '{"b":1,"c":1}', '{"a":1,"b":1,"c":1}'],
        ["{}", '{"a":1}', '{"c":1}', '{"a":1,"c":1}', '{"b":1,}', '{,"b":1}'],
    ),
    "a pattern over a declared name": (
        {
            "type": "object",
            "properties": {"ab": {"type": "integer"}},
            "patternProperties": {"a": {"minimum": 5}},
            "additionalProperties": False,
        },
        ['{"ab":5}', '{"ac":"x"}', '{"ab":5,"xa":7}'],
        ['{"ab":4}', '{"ab":"x"}', '{"xa":4}', '{"b":1}'],
    ),
    "dependents": (
        {
            "type": "object",
            "properties": {"a": {}, "b": {}},
            "additionalProperties": False,
            "dependentRequired": {"a": ["b"]},
        },
        ["{}", '{"b":1}', '{"a":1,"b":1}'],
        ['{"a":1}'],
    ),
    "a value or null": ({"type": ["integer", "null"]}, ["1", "null"], ['"1"', "nul"]),
    "draft 4": (
        {
            "$schema": DRAFT.format(4),
            "id": "https://example.org/s",
            "definitions": {"n": {"type": "integer", "minimum": 0, "exclusiveMinimum": True}},
            "allOf": [{"$ref": "s#/definitions/n"}],
        },
        ["1"],
        ["0", "-1"],
    ),
    "an address that is a name": (
        {
            "$schema": DRAFT.format(7),
            "$id": "urn:uuid:deadbeef-1234-00ff-ff00-4321feebdaed",
            "definitions": {"n": {"$id": "#here", "type": "integer"}},
            "type": "array",
            "items": {"$ref": "#here"},
            "contains": {"$ref": "urn:uuid:deadbeef-1234-00ff-ff00-4321feebdaed#/definitions/n"},
        },
        ["[1]"],
        ["[]", '["a"]'],
    ),
    "constants without a fraction": (
        {"enum": [-2.0, [1.0], {"a": 3.5}]},
        ["-2", "[1]", '{"a":3.5}'],
        ["-2.0", "[1.0]"],
    ),
    "draft 6": (
        {
            "$schema": DRAFT.format(6),
            "definitions": {"n": {"exclusiveMinimum": 0, "type": "integer"}},
            "type": "array",
            "items": {"$ref": "#/definitions/n", "maximum": 0},
            "contains": {"const": 2},
        },
        ["[2]", "[1,2]"],
        ["[]", "[1]", "[0,2]"],
    ),
    "a member named like a keyword": (
        closed(["properties"], properties=closed(["type"], type={"const": "$ref"})),
        ['{"properties":{"type":"$ref"}}'],
        ['{"properties":{}}', '{"properties":{"type":1}}'],
    ),
    "all of bounds and references": (
        {
            "$defs": {"low": {"minimum": 3}},
            "allOf": [{"type": "integer"}, {"$ref": "#/$defs/low"}, {"maximum": 5}],
        },
        ["3", "5"],
        ["2", "6", '"a"'],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_schema_takes_exactly_its_values(name):
    schema, taken, refused = CASES[name]
    walker = walker_of(schema)
    assert [text for text in taken if not takes(walker, text)] == []
    assert [text for text in refused if takes(walker, text)] == []


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"not": {}},
        {"type": "string", "enum": [1]},
        {"allOf": [{"const": 1}, {"const": 2}]},
        closed(["a"], a=False),
        {
            "$defs": {
                "a": closed(["b"], b={"$ref": "#/$defs/b"}),
                "b": closed(["a"], a={"$ref": "#/$defs/a"}),
            },
            "$ref": "#/$defs/a",
        },
        {"type": "array", "minItems": 1, "items": False},
        {"oneOf": [True, True]},
    ],
    ids=lambda schema: json.dumps(schema)[:40],
)
def test_what_nothing_satisfies_is_known_before_the_first_token(schema):
    assert walker_of(schema).start.cost >= INFINITE


def test_an_order_that_was_turned_round_is_taken_if_asked_for():
    schema = closed(["a", "b"], a={"const": 1}, b={"const": 2})
    turned = '{"b":2,"a":1}'
    assert not takes(walker_of(schema), turned)
    assert takes(walker_of(schema, any_order=True), turned)


@pytest.mark.parametrize("depth", [50, 1_000])
def test_a_list_of_itself_may_nest(depth):
    walker = walker_of({"type": "array", "items": {"$ref": "#"}})
    assert takes(walker, "[" * depth + "]" * depth)
    assert not takes(walker, "[" * depth + "]" * (depth - 1))


def test_five_hundred_optional_members_are_one_schema():
    walker = walker_of(closed([], **{f"p{n}": {"type": "integer"} for n in range(500)}))
    for text in ("{}", '{"p0":1,"p499":2}', '{"p250":3}'):
        assert takes(walker, text)
    for text in ('{"p500":1}', '{"p1":1,"p0":1}', '{"p3":1,"p3":1}'):
        assert not takes(walker, text)


def test_twenty_thousand_constants_are_one_schema():
    walker = walker_of({"enum": [f"v{number}" for number in range(20_000)]})
    assert takes(walker, '"v19999"')
    assert not takes(walker, '"v20000"')


def test_a_pattern_that_nobody_can_check_is_refused_though_others_are_checked_later():
    later = walker_of(string(pattern="(?<=a)b"), on_unsupported="validate")
    assert takes(later, '"b"')
    with pytest.raises(RequestError, match="invalid regular expression") as caught:
        walker_of(string(pattern=r"\k<a>"), on_unsupported="validate")
    assert caught.value.pointer == "#/pattern"


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "array", "minItems": 100_000}, "#/minItems"),
        ({"type": "string", "minLength": 5_000}, "#/minLength"),
        (string(pattern="(?<=a)b"), "#/pattern"),
        ({"type": "number", "multipleOf": 0.01}, "#/multipleOf"),
        ({"$ref": "#/$defs/gone"}, "#/$ref"),
        ({"$ref": "other.json#/x"}, "#/$ref"),
        ({"type": "array", "uniqueItems": True, "contains": {"const": 1}}, "#/uniqueItems"),
    ],
)
def test_what_cannot_be_enforced_is_refused_by_its_pointer(schema, pointer):
    with pytest.raises(RequestError) as caught:
        walker_of(schema)
    assert caught.value.pointer == pointer
