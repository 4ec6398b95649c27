"""Cases on which grammar engines are known to fail, by kind. Texts are given as they stand; what is
tested elsewhere (matchers, budgets, caches, patterns against `re`) is not repeated."""

from __future__ import annotations

import json

import numpy as np
import pytest

from branchline.runtime.constrained.byte_dfa import byte_dfa
from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.native_masks import NativeMasks, TokenColumns
from branchline.runtime.constrained.vocabulary import INFINITE, Vocabulary
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Choices, Constraint, Ebnf, JsonSchema, Regex

BYTES = Vocabulary([bytes([byte]) for byte in range(256)])
DRAFT7 = "http://json-schema.org/draft-07/schema#"


def walker_of(constraint: Constraint, vocabulary: Vocabulary = BYTES) -> Walker:
    return Walker(build_language(constraint, GrammarLimits()), vocabulary)


def schema_walker(schema: object) -> Walker:
    return walker_of(JsonSchema(json.dumps(schema), reading="specification"))


def takes(walker: Walker, text: str | bytes) -> bool:
    state = walker.walk(walker.start, text.encode() if isinstance(text, str) else text)
    return state is not None and state.accepting


def string(**keywords: object) -> dict[str, object]:
    return {"type": "string", **keywords}


STRINGS = {
    "escapes": (
        string(),
        [r'"\n\"\\\b\f\r\t"', '"/é\x7f"', '"😀"'],
        [r'"\/"', r'"\ud83d"', '"\t"'],
    ),
    "nothing at all": (string(maxLength=0), ['""'], ['"a"']),
    "a newline class": (string(pattern="^[^\\n]$"), ['"a"', r'"\""'], [r'"\n"', '"\n"']),
    "quotes and backslashes": (string(pattern='^["\\\\]{2}$'), [r'"\"\\"'], ['"""', r'"\\"']),
    "pattern and length": (string(pattern="^a*b*$", minLength=2, maxLength=3), ['"ab"'], ['"b"']),
    "format and length": (string(format="date", maxLength=9), [], ['"2024-01-01"']),
    "format and pattern": (
        string(format="date", pattern="^2024"),
        ['"2024-02-29"'],
        ['"2023-01-01"'],
    ),
    "offsets": (
        string(format="date-time"),
        ['"2024-02-29T23:59:59Z"', '"2024-01-01T00:00:00.5+05:30"'],
        ['"2024-01-01"', '"2024-01-01T24:00:00Z"', '"2023-02-29T00:00:00Z"'],
    ),
    "letters of a uuid": (
        string(format="uuid"),
        ['"2EB8AA08-AA98-11EA-B4AA-73B441D16380"', '"2eb8aa08-aa98-11ea-b4aa-73b441d16380"'],
        ['"2eb8aa08aa9811eab4aa73b441d16380"'],
    ),
    "ipv6": (string(format="ipv6"), ['"::1"', '"1:2:3:4:5:6:7:8"'], ['"1::2::3"', '":1"']),
    "ipv4": (string(format="ipv4"), ['"127.0.0.1"'], ['"256.0.0.1"', '"01.1.1.1"']),
    "an unknown format": (string(format="colour"), ['"red"', '""'], ["1"]),
}
NUMBERS = {
    "whole numbers": ({"type": "integer"}, ["0", "-7", "123456"], ["-", "01", "1.5", "+1"]),
    "a fraction as bound of whole ones": (
        {"type": "integer", "minimum": 2.5, "maximum": 3.5},
        ["3"],
        ["2", "4", "2.5"],
    ),
    "64 bits": (
        {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
        ["9223372036854775807", "-9223372036854775808"],
        ["9223372036854775808", "-9223372036854775809"],
    ),
    "exclusive": (
        {"exclusiveMinimum": 0, "exclusiveMaximum": 1, "type": "number"},
        ["0.5", "0.0000001"],
        ["0", "1", "1.0", "0.0"],
    ),
    "exponents": (
        {"type": "number"},
        ["1e3", "-2.5E-7", "1.2345678901"],
        ["1e", ".5", "1.", "1e400"],
    ),
    "large constants": ({"enum": [10**30, 1.5]}, [str(10**30), "1.5"], [str(10**30 + 1), "1"]),
    "sevens": ({"type": "integer", "multipleOf": 7, "minimum": 1}, ["7", "700"], ["0", "8", "-7"]),
    "no zero twice": ({"type": "integer", "const": 0}, ["0"], ["00", "1"]),
}
ODD_NAMES = ["$ref", "type", "properties", "__proto__", "", 'a"b', "a.b*", "é", "a\nb"]
OBJECTS = {
    "odd names": (
        {
            "type": "object",
            "properties": {name: {"const": 1} for name in ODD_NAMES},
            "required": ODD_NAMES,
            "additionalProperties": False,
        },
        [json.dumps(dict.fromkeys(ODD_NAMES, 1), ensure_ascii=False, separators=(",", ":"))],
        ["{}", '{"$ref":1}'],
    ),
    "declared members keep their schema": (
        {"type": "object", "properties": {"a": {"const": 1}}, "additionalProperties": {"const": 2}},
        ['{"a":1}', '{"a":1,"b":2}', '{"b":2}', "{}"],
        ['{"a":2}', '{"b":1}'],
    ),
    "required and undeclared": (
        {"type": "object", "required": ["x"]},
        ['{"x":1}', '{"x":null}'],
        ["{}", '{"y":1}'],
    ),
    "all or none of the optional": (
        {"type": "object", "properties": {"a": {}, "b": {}}, "additionalProperties": False},
        ["{}", '{"a":1,"b":2}', '{"b":2}'],
        ['{"a":1,}', '{,"b":2}', '{"c":1}'],
    ),
    "patterns find": (
        {
            "type": "object",
            "patternProperties": {"a": {"const": 1}, "b": {"type": "integer"}},
            "additionalProperties": False,
        },
        ['{"xax":1}', '{"b":5}', '{"ab":1}'],
        ['{"xax":2}', '{"ab":2}', '{"c":1}'],
    ),
    "names": (
        {"type": "object", "propertyNames": {"maxLength": 1}},
        ['{"a":1}', "{}"],
        ['{"ab":1}'],
    ),
    "sizes": (
        {"type": "object", "maxProperties": 1, "minProperties": 1},
        ['{"a":1}'],
        ["{}", '{"a":1,"b":2}'],
    ),
}
ARRAYS = {
    "none": ({"type": "array", "maxItems": 0}, ["[]"], ["[1]", "[ ]"]),
    "very many": ({"type": "array", "maxItems": 100_000}, ["[]", "[1,2]"], ["[1,]"]),
    "a tuple and no more": (
        {"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": False},
        ["[]", "[1]", "[1,2]"],
        ["[2]", "[1,2,3]"],
    ),
    "draft 7's tuple": (
        {
            "$schema": DRAFT7,
            "type": "array",
            "items": [{"const": 1}],
            "additionalItems": {"const": 2},
        },
        ["[]", "[1]", "[1,2,2]"],
        ["[2]", "[1,1]"],
    ),
    "unique": (
        {"type": "array", "uniqueItems": True, "items": {"enum": [1, 2]}},
        ["[]", "[2,1]"],
        ["[1,1]"],
    ),
    "contains": (
        {"type": "array", "contains": {"const": 1}, "items": {"enum": [1, 2]}},
        ["[2,1]"],
        ["[]", "[2]"],
    ),
}
COMBINED = {
    "a reference and its neighbours": (
        {"$defs": {"s": {"type": "string"}}, "$ref": "#/$defs/s", "maxLength": 1},
        ['"a"'],
        ['"ab"', "1"],
    ),
    "a reference alone in draft 7": (
        {
            "$schema": DRAFT7,
            "definitions": {"s": {"type": "string"}},
            "properties": {"a": {"$ref": "#/definitions/s", "maxLength": 1}},
            "type": "object",
        },
        ['{"a":"long"}'],
        ['{"a":1}'],
    ),
    "escaped pointers": (
        {
            "$defs": {"a/b": {"const": 1}, "c d": {"const": 2}, "e~f": {"const": 3}},
            "anyOf": [
                {"$ref": "#/$defs/a~1b"},
                {"$ref": "#/$defs/c%20d"},
                {"$ref": "#/$defs/e~0f"},
            ],
        },
        ["1", "2", "3"],
        ["4"],
    ),
    "anchors and addresses": (
        {
            "$id": "https://example.org/root",
            "$defs": {"a": {"$anchor": "here", "const": 1}, "b": {"$id": "other", "const": 2}},
            "anyOf": [{"$ref": "#here"}, {"$ref": "other"}],
        },
        ["1", "2"],
        ["3"],
    ),
    "overlapping oneOf": (
        {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 5}]},
        ["1", "5.5"],
        ["6", "0.5"],
    ),
    "type and enum": ({"type": "string", "enum": [1, "a"]}, ['"a"'], ["1"]),
    "const and pattern": ({"enum": ["ab", "b"], "pattern": "^a"}, ['"ab"'], ['"b"']),
    "a condition": (
        {"type": "integer", "if": {"minimum": 5}, "then": {"multipleOf": 2}},
        ["1", "6"],
        ["7"],
    ),
    "anything but": ({"not": {"type": ["string", "object", "array"]}}, ["1", "null"], ['""', "[]"]),
    "everything": (True, ["1", '{"a":[]}', '""'], ["", "{", "1 "]),
    "keywords without a type": (
        {"minimum": 3, "maxLength": 1},
        ["3", '"a"', "null"],
        ["2", '"ab"'],
    ),
    "a circle with a way out": (
        {
            "$ref": "#/$defs/l",
            "$defs": {
                "l": {
                    "anyOf": [
                        {"type": "null"},
                        {
                            "type": "array",
                            "prefixItems": [{"$ref": "#/$defs/l"}],
                            "items": False,
                            "minItems": 1,
                        },
                    ]
                }
            },
        },
        ["null", "[null]", "[[[null]]]"],
        ["[]", "[1]"],
    ),
}
CASES = {**STRINGS, **NUMBERS, **OBJECTS, **ARRAYS, **COMBINED}


@pytest.mark.parametrize("name", CASES)
def test_a_schema_takes_exactly_its_values(name):
    schema, taken, refused = CASES[name]
    try:
        walker = schema_walker(schema)
    except RequestError:
        assert not taken
        return
    assert [text for text in taken if not takes(walker, text)] == []
    assert [text for text in refused if takes(walker, text)] == []


@pytest.mark.parametrize(
    ("constraint", "told"),
    [
        (JsonSchema('{"$ref":"https://example.org/x"}'), "example.org"),
        (JsonSchema(json.dumps({"description": "x" * 300_000})), "at most 262144"),
        (JsonSchema(json.dumps(string(minLength=5_000))), "256"),
        (JsonSchema(json.dumps({"const": "\ud800"})), "surrogate"),
        (
            JsonSchema(json.dumps({"properties": {f"p{n}": {} for n in range(1_100)}})),
            "too many optional properties",
        ),
        (Regex("(a{1000}){1000}"), "limit"),
        (Regex("(" * 50_000 + "a" + ")" * 50_000), "nests deeper"),
        (Regex(r"\p{L}"), "invalid regular expression"),
        (Regex(r"(?=a)b"), "lookahead"),
        (Regex(r"(a)\1"), "backreferences"),
        (Choices(["\ud800"]), "surrogate"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_costs_too_much_or_cannot_be_is_refused_by_name(constraint, told):
    with pytest.raises(RequestError, match=told):
        build_language(constraint, GrammarLimits())


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {
            "$defs": {"n": {"type": "array", "items": {"$ref": "#/$defs/n"}, "minItems": 1}},
            "$ref": "#/$defs/n",
        },
        {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
        {"type": "string", "pattern": "^a$", "minLength": 2},
    ],
)
def test_what_nothing_satisfies_is_known_before_the_first_token(schema):
    assert schema_walker(schema).start.cost >= INFINITE


def test_values_may_nest_a_thousand_deep():
    walker = schema_walker({})
    assert takes(walker, "[" * 1_000 + "]" * 1_000)


def test_thousands_of_constants_are_one_schema():
    walker = schema_walker({"enum": [f"v{number}" for number in range(2_000)]})
    assert takes(walker, '"v1999"')
    assert not takes(walker, '"v2000"')


def test_text_of_several_readings_is_followed_in_few_places():
    # After n letters there are 2**n ways in which it may go on.
    walker = walker_of(Ebnf('root ::= "a" root "b" | "a" root "c" | "x"'))
    assert takes(walker, "aaxbc")
    state = walker.walk(walker.start, b"a" * 40)
    assert len(state.frames) < 100
    assert takes(walker, "a" * 40 + "x" + "bc" * 20)
    assert not takes(walker, "a" * 40 + "x" + "bc" * 19)


CHOICES = {
    "one": ["only"],
    "beginnings of each other": ["a", "ab", "abc"],
    "different at the end": ["x" * 60 + "1", "x" * 60 + "2"],
    "spaces at the end": ["a", "a ", " a"],
    "an empty one": ["", "a"],
    "twice the same": ["a", "a"],
    "alike to the eye": ["é", "e\u0301"],
}


@pytest.mark.parametrize("name", CHOICES)
def test_exactly_the_choices_are_taken(name):
    choices = CHOICES[name]
    walker = walker_of(Choices(choices))
    near = {choice[:-1] for choice in choices} | {choice + " " for choice in choices}
    assert all(takes(walker, choice) for choice in choices)
    assert not any(takes(walker, text) for text in near - set(choices))


def masks_of(constraint: Constraint, tokens: list[bytes], eos: tuple[int, ...]) -> NativeMasks:
    vocabulary = Vocabulary(tokens)
    dfa = byte_dfa(build_language(constraint, GrammarLimits()))
    return NativeMasks(dfa, TokenColumns(vocabulary), eos, vocabulary)


def ids(masks: NativeMasks, state: int = 0) -> set[int]:
    bits = np.unpackbits(masks.row(state).view(np.uint8), bitorder="little")
    return set(np.flatnonzero(bits).tolist())


def test_tokens_of_equal_bytes_are_allowed_alike_and_empty_ones_never():
    masks = masks_of(Regex("ab"), [b"a", b"", b"a", b"ab", b"b", b""], (5,))
    assert ids(masks) == {0, 2, 3}


def test_every_end_token_may_end_a_text():
    masks = masks_of(Regex("a*"), [b"a", b"", b""], (1, 2))
    assert ids(masks) == {0, 1, 2}


def test_characters_may_be_split_over_tokens_and_tokens_over_characters():
    text = "é霍😀".encode()
    tokens = [bytes([byte]) for byte in sorted(set(text))] + [text[1:4], text[:1], text]
    masks = masks_of(Regex("é霍😀"), tokens, ())
    whole = len(tokens) - 1
    assert whole in ids(masks)
    state = masks.dfa.walk(0, text[:1])
    assert tokens.index(text[1:4]) in ids(masks, state)


@pytest.mark.parametrize(
    "data", [b"\xed\xa0\x80", b"\xc0\x80", b"\xff", b"\xf4\x90\x80\x80", b"\x80"]
)
def test_bytes_that_are_no_text_are_never_part_of_it(data):
    assert not takes(walker_of(Regex("(?s:.)*")), data)
    assert not takes(schema_walker({"type": "string"}), b'"' + data + b'"')


def test_a_vocabulary_that_lacks_a_byte_is_known_before_the_first_token():
    lacking = Vocabulary([b"a", b"b", b"ab"])
    assert walker_of(Choices(["abc"]), lacking).start.cost >= INFINITE
    assert walker_of(Regex("abc|ba"), lacking).start.cost == 2
