"""Schemas read to the letter: every form of a format, ECMAScript's patterns, members wherever they
may stand; by the walker over single bytes, which needs no tokenizer."""

from __future__ import annotations

import json
import random

import jsonschema
import pytest

from branchline.runtime.constrained.determinise import _blocks, _blocks_by_tuples
from branchline.runtime.constrained.ecma_regex import python_pattern
from branchline.runtime.constrained.judging import fault
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.schema import Reading, schema_language
from branchline.runtime.constrained.vocabulary import Vocabulary
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import JsonSchema

BYTES = Vocabulary([bytes([byte]) for byte in range(256)])
DRAFT_7 = "http://json-schema.org/draft-07/schema#"


class Read:
    """A schema's language, read to the letter."""

    def __init__(self, schema, **options):
        reading = Reading(closed=False, **options)
        self.language = schema_language(json.dumps(schema), GrammarLimits(), reading)
        self.walker = Walker(self.language, BYTES)

    def state(self, text):
        return self.walker.walk(self.walker.start, text.encode())

    def takes(self, value):
        state = self.state(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
        return state is not None and state.accepting

    @property
    def supersets(self):
        return {entry.pointer for entry in self.language.report if entry.state == "superset"}


FORMATS = {
    "uri": (
        [
            "mailto:a@b.example",
            "urn:oasis:names:tc:SAML:2.0",
            "http://foo.bar/?q=Test%20URL",
            "ldap://[2001:db8::7]/c=GB?objectClass?one",
            "https://a.example/" + "x" * 99,
        ],
        ["//foo.bar/", "Invalid Uri", "http://foo:80a/", ":// none", "bar,baz:foo", "a:%zz"],
    ),
    "uri-reference": (
        ["", "#a", "/x", "//h/p", "x/y:z", "a:b"],
        ["\\\\WINDOWS\\share", "a b", "#\\"],
    ),
    "uri-template": (["http://a/{term:1}/{t*}{?q,n}", "é"], ["http://a/{term", "{}", "a b"]),
    "date-time": (
        ["1990-12-31t23:59:60.5z", "2024-02-29T00:00:00.123456789+01:00"],
        ["2023-02-29T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:60Z", "2024-01-01"],
    ),
    "duration": (["P4Y", "P1Y2M3DT4H5M6S", "PT36H", "P2W"], ["P", "PT", "P1D2H", "P2S", "P1Y2W"]),
    "ipv6": (
        ["::", "::ffff:192.168.0.1", "1:2:3:4:5:6:1.2.3.4", "1::d6:192.168.0.1"],
        ["1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "1::2::3", "::256.1.1.1", ":1"],
    ),
    "hostname": (["a" * 63 + ".com", "a-b.c"], ["a" * 64, "-a", "a-", "a_b", "a..b", "xn--X"]),
    "email": (
        ["te~st@example.com", '"joe bloggs"@example.com', "joe@[127.0.0.1]", "joe@[IPv6:::1]"],
        [".test@example.com", "te..st@example.com", "joe@[127.0.0.300]", "2962"],
    ),
    "json-pointer": (["", "/foo/bar~0/baz~1/%a", "/"], ["/foo/bar~", "foo", "/~2"]),
    "byte": (["not base64 at all!"], []),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_all_its_forms_and_no_others(name):
    read = Read({"type": "string", "format": name})
    taken, refused = FORMATS[name]
    assert [text for text in taken if not read.takes(text)] == []
    assert [text for text in refused if read.takes(text)] == []


@pytest.mark.parametrize(
    ("pattern", "taken", "refused"),
    [
        (r"^(?<year>\d{4})-(?<month>\d\d)$", ["2024-02"], ["2024-2", "x2024-02"]),
        (r"^\p{Lu}\p{Letter}*$", ["École", "A"], ["école", "A1"]),
        (r"^\P{L}+$", ["12_"], ["a"]),
        (r"^[\w-.]+$", ["a-.9"], ["a b", ""]),
        (r"^\u{1F432}|^\ud83d\udc32x", ["🐲", "🐲x"], ["x"]),
        (r"^\cA$", ["\x01"], ["A"]),
        (r"^[^]$", ["a", "\n"], ["", "ab"]),
        (r"^[[]$", ["["], ["", "a"]),
    ],
)
def test_patterns_are_those_of_ecmascript(pattern, taken, refused):
    read = Read({"type": "string", "pattern": pattern})
    assert [text for text in taken if not read.takes(text)] == []
    assert [text for text in refused if read.takes(text)] == []


def test_a_finished_value_is_held_against_ecmascripts_patterns():
    schema = {"uniqueItems": True, "items": {"type": "string", "pattern": r"^(?<a>\p{Lu})$"}}
    constraint = JsonSchema(json.dumps(schema), on_unsupported="validate")
    assert fault(constraint, '["A","B"]') == ""
    assert "pattern" in fault(constraint, '["A","b"]')


@pytest.mark.parametrize("source", [r"^a\.b[c-e]+(?:f|g)*$", "(?=x)y", r"[\]\\]", "a{2,3}(?<!b)"])
def test_patterns_on_which_both_dialects_agree_stay_as_they_are(source):
    assert python_pattern(source) == source


def test_joined_properties_come_in_the_order_of_the_text():
    schema = {
        "allOf": [
            {"oneOf": [{"properties": {"kind": {"const": k}, k: {}}} for k in ("a", "b")]},
            {"properties": {name: {"type": "integer"} for name in ("n", "m", "o", "p", "q")}},
        ],
        "required": ["kind", "z"],
    }
    read = Read(schema)
    assert read.takes({"kind": "a", "a": 0, "n": 1, "m": 2, "z": 3})
    assert not read.takes({"n": 1, "kind": "a", "z": 3})


def test_others_stand_between_declared_members_and_are_read_in_one_way():
    def ways(count):
        schema = {"properties": {f"name{n}": {"type": "integer"} for n in range(count)}}
        state = Read(schema, any_order=True).state('{"other":{"a":1},"name0":1,"x":[[{"y":"')
        return len(state.frames)

    assert ways(40) == ways(10)


@pytest.mark.parametrize("least", [0, 2])
def test_an_object_in_any_order_has_each_declared_member_once(least):
    schema = {
        "properties": {name: {"type": "integer"} for name in "abcdef"},
        "required": ["c"],
        "minProperties": least,
    }
    read = Read(schema, any_order=True)
    assert read.takes({"x": 0, "a": 1, "y": 0, "c": 2, "f": 3, "z": 0})
    for text in ('{"c":1,"c":2}', '{"a":1}', '{"a":1,"x":0,"a":1,"c":1}', '{"c":1,}'):
        state = read.state(text)
        assert state is None or not state.accepting, text
    assert read.takes({"c": 1}) is (least < 2)


def test_one_of_many_tagged_parts_without_a_type_is_exact():
    parts = [
        {"properties": {"type": {"const": f"t{n}"}, f"m{n}": {}}, "required": ["type"]}
        for n in range(30)
    ]
    read = Read({"oneOf": parts})
    assert read.supersets == set()
    assert read.takes({"type": "t29", "m29": 1})
    assert not read.takes({"type": "t30"})
    assert not read.takes(7)


def test_conditions_with_too_many_alternatives_are_refused_or_checked():
    either = [
        {"anyOf": [{"properties": {f"p{n}": {"type": t}}} for t in ("string", "integer", "null")]}
        for n in range(8)
    ]
    schema = {"type": "object", "allOf": either, "required": ["p0"]}
    with pytest.raises(RequestError, match="alternatives"):
        Read(schema)
    read = Read(schema, lenient=True)
    assert read.supersets == {"#"}
    assert read.takes({f"p{n}": "" for n in range(8)})


def test_a_negation_that_many_members_may_satisfy_is_refused_or_checked():
    closed = {
        "properties": {f"p{n}": {"type": "integer"} for n in range(9)},
        "additionalProperties": {"type": "null"},
    }
    schema = {
        "properties": {f"q{n}": {} for n in range(9)},
        "not": {"anyOf": [closed, {**closed, "additionalProperties": {"type": "string"}}]},
    }
    with pytest.raises(RequestError, match="negation"):
        Read(schema)
    read = Read(schema, lenient=True)
    assert read.supersets
    assert read.takes({"q0": 1})


def test_names_that_many_patterns_match_are_refused_or_checked():
    patterns = {f"{one}.*": {"type": "integer"} for one in "abcdefgh"}
    with pytest.raises(RequestError, match="patterns"):
        Read({"patternProperties": patterns})
    read = Read({"patternProperties": patterns}, lenient=True)
    assert len(read.supersets) == 2
    assert read.takes({"abcdefgh": 1})
    assert not read.takes({"a": ""})


def test_an_id_inside_an_unknown_keyword_names_nothing():
    schema = {
        "$defs": {
            "unknown": {"never": {"$id": "https://a.example/b.json", "type": "null"}},
            "real": {"$id": "https://a.example/b.json", "type": "string"},
        },
        "$ref": "https://a.example/b.json",
    }
    read = Read(schema)
    assert read.takes("text")
    assert not read.takes(None)


def test_what_an_unknown_keyword_holds_is_reached_by_its_pointer():
    schema = {"x-types": {"short": {"type": "string", "maxLength": 2}}, "$ref": "#/x-types/short"}
    read = Read(schema)
    assert read.takes("ab")
    assert not read.takes("abc")


def test_content_of_strings_is_enforced_in_draft_7_and_described_later():
    schema = {"type": "string", "contentEncoding": "base64"}
    assert not Read({"$schema": DRAFT_7, **schema}).takes("eyJmb28iOi%iYmFyIn0K")
    assert Read({"$schema": DRAFT_7, **schema}).takes("eyJmb28iOiAiYmFyIn0K")
    assert Read(schema).takes("%")


def test_json_inside_a_string_is_refused_or_checked():
    schema = {"$schema": DRAFT_7, "type": "string", "contentMediaType": "application/json"}
    with pytest.raises(RequestError, match="contentMediaType"):
        Read(schema)
    assert Read(schema, lenient=True).supersets == {"#/contentMediaType"}
    constraint = JsonSchema(json.dumps(schema), on_unsupported="validate")
    assert fault(constraint, json.dumps('{"foo": "bar"}')) == ""
    assert "no JSON" in fault(constraint, json.dumps("{:}"))


def test_equal_states_are_found_as_by_comparing_all_of_them():
    def renamed(block):
        names = {}
        return [names.setdefault(one, len(names)) for one in block]

    chance = random.Random(5)
    for _ in range(200):
        size, classes = chance.randint(1, 25), chance.randint(1, 4)
        table = [
            tuple(chance.choice([-1, chance.randrange(size)]) for _ in range(classes))
            for _ in range(size)
        ]
        accepting = [chance.random() < 0.4 for _ in table]
        assert renamed(_blocks(table, accepting)) == renamed(_blocks_by_tuples(table, accepting))


def test_what_is_taken_validates_whatever_joins_the_members():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"enum": [1, 2]}},
        "patternProperties": {"^x": {"type": "null"}},
        "additionalProperties": {"type": "boolean"},
        "required": ["b"],
    }
    read = Read(schema, any_order=True)
    chance = random.Random(3)
    values = [1, 3, None, True, "a"]
    for _ in range(300):
        names = chance.sample(["a", "b", "x1", "other", "bb"], chance.randint(0, 4))
        value = {name: chance.choice(values) for name in names}
        assert read.takes(value) == jsonschema.Draft202012Validator(schema).is_valid(value), value


def test_nested_alternatives_that_begin_alike_are_read_in_few_ways():
    def part(name):
        return {"properties": {"a": {"$ref": "#"}, name: {"type": "integer"}}, "type": "object"}

    read = Read({"anyOf": [part("b"), part("c"), {"type": "null"}]})
    counts = []
    for depth in (2, 20):
        text = '{"a":' * depth + "null" + "}" * depth
        state = read.state(text)
        assert state is not None
        assert state.accepting
        counts.append(len(read.state(text[: -depth + 1]).frames))
    assert counts[0] == counts[1]
    assert read.takes({"a": {"a": None, "c": 1}, "b": 2})
    assert not read.takes({"a": {"a": None, "c": "x", "b": "y"}, "b": "z"})
