"""Constraints that ended or stalled other servers, and their like: some may be refused, some must
be; none may take long, grow large, connect to anything or end its process (S9). Used by
test_bombs.py beside this file and tests/e2e/reliability/test_bombs.py."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

from branchline.runtime.protocol import Constraint, Ebnf, JsonSchema, Regex, Tag, Tagged

Schema = object


def nested_one_of(depth: int, *, twice: bool = False) -> Schema:
    """Compile time that grows faster than exponentially elsewhere; `twice` doubles the text with
    every level."""
    schema: Schema = {"type": "string"}
    for level in range(depth):
        inner = schema if twice else {"type": "integer", "minimum": level}
        schema = {"oneOf": [schema, {"type": "object", "properties": {f"p{level}": inner}}]}
    return schema


def nested(depth: int, keyword: str) -> Schema:
    schema: Schema = {"type": "integer"}
    for _ in range(depth):
        match keyword:
            case "properties":
                schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
            case "items" | "not":
                schema = {keyword: schema}
            case _:
                schema = {keyword: [schema, {"type": "null"}]}
    return schema


# A keyword with values that it cannot have, as the official suite's meta-schemas refuse them.
ILL_TYPED: dict[str, list[object]] = {
    "type": [1, "alien", ["string", "alien"], [], {}, None],
    "enum": [1, "a", {}, None],
    "properties": [1, [], {"a": 1}, {"a": "string"}, None],
    "required": [1, "a", [1], {}, [None]],
    "items": [1, "string", None],
    "prefixItems": [{}, [1], "a"],
    "minItems": [-1, 1.5, "1", None, 2**70],
    "maxItems": [-1, "1", []],
    "minLength": [-1, "1", 2**70],
    "maxLength": [-1, None, {}],
    "pattern": [1, "(", "[", "(?P<a", "\\", "a{2,1}", None],
    "minimum": ["1", None, []],
    "multipleOf": [0, -1, "1"],
    "anyOf": [1, {}, [], [1]],
    "oneOf": [1, {}, [], ["a"]],
    "allOf": [1, {}, [], [None]],
    "not": [1, "a", []],
    "$ref": [1, None, [], "", "#nowhere", "#/$defs/none", "#/~2", "%", "\\", "a b"],
    "$defs": [1, [], {"a": 1}],
    "additionalProperties": [1, "a", []],
    "patternProperties": [1, {"(": {}}, {"a": 1}],
    "propertyNames": [1, []],
    "minProperties": [-1, "a"],
    "if": [1, "a"],
    "dependentRequired": [1, {"a": 1}, {"a": [1]}],
    "const": ["\ud800"],
    "format": [1, [], None],
}
DEFS_LOOP = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}
CONTRADICTIONS: list[Schema] = [
    {"type": "integer", "minimum": 2, "maximum": 1},
    {"type": "string", "minLength": 2, "maxLength": 1},
    {"type": "array", "minItems": 2, "maxItems": 1},
    {"type": "object", "minProperties": 2, "maxProperties": 1},
    {"type": "object", "required": ["a"], "properties": {"a": False}},
    {"type": "object", "required": ["a"], "maxProperties": 0},
    {"allOf": [{"type": "string"}, {"type": "integer"}]},
    {"type": "string", "enum": [1, 2]},
    {"not": {}},
    {"type": "array", "uniqueItems": True, "items": {"const": 1}, "minItems": 2},
    {"type": "integer", "multipleOf": 2, "enum": [1, 3]},
    {"oneOf": [{"type": "string"}, {"type": "string"}]},
    False,
]
REMOTE = [
    "http://127.0.0.1:9/x.json",
    "https://example.org/schema",
    "http://169.254.169.254/latest",
    "file:///etc/passwd",
    "//example.org/x",
    "ftp://example.org/x#/a",
    "urn:uuid:deadbeef-0000-0000-0000-000000000000",
]


def schemas() -> Iterator[Schema]:
    yield from (nested_one_of(depth) for depth in (8, 10, 12, 14, 16, 18, 20))
    yield from (nested_one_of(depth, twice=True) for depth in (6, 8, 10, 12))
    for keyword in ("properties", "items", "anyOf", "allOf", "oneOf", "not"):
        yield from (nested(depth, keyword) for depth in (60, 200, 300))
    for keyword, values in ILL_TYPED.items():
        for value in values:
            yield {keyword: value}
    yield from ({"properties": {"a": {"$ref": url}}, "type": "object"} for url in REMOTE)
    yield {"$ref": "#"}
    yield {"$ref": "#/$defs/a", "$defs": DEFS_LOOP}
    yield {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}
    yield {"$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}}
    yield {
        "$defs": {"n": {"type": "array", "items": {"$ref": "#/$defs/n"}, "minItems": 1}},
        "$ref": "#/$defs/n",
    }
    yield from CONTRADICTIONS
    yield {"enum": [f"value-{number}" for number in range(15_000)]}
    yield {"enum": ["x" * length for length in range(600)]}
    yield {"type": "object", "properties": {f"p{number}": {} for number in range(2_000)}}
    yield {
        "type": "object",
        "properties": {f"p{number}": {"type": "string"} for number in range(6_000)},
        "required": [f"p{number}" for number in range(6_000)],
    }
    yield {"type": "string", "maxLength": 10**6}
    yield {"type": "string", "minLength": 10**6}
    yield {"type": "array", "items": {"type": "string"}, "minItems": 10**6, "maxItems": 10**6}
    yield {"type": "integer", "minimum": -(10**300), "maximum": 10**300}
    yield {"type": "number", "multipleOf": 1e-300}
    yield {"type": "string", "pattern": "^(a+)+b$"}
    yield {"type": "string", "pattern": "(x{1,200}){1,200}"}
    yield {"type": "string", "pattern": "[ab]*a[ab]{30}", "maxLength": 5_000}
    yield {"properties": {"a\0b": {"const": "\0"}}, "type": "object"}
    yield {"required": ["\udfff"], "type": "object"}
    yield {"patternProperties": {f"^p{number}": {} for number in range(300)}, "type": "object"}
    yield {"propertyNames": {"pattern": "(a|b|ab)*c"}, "minProperties": 50, "type": "object"}
    yield {"uniqueItems": True, "items": {"enum": list(range(60))}, "minItems": 40}
    yield {"contains": {"type": "integer"}, "minContains": 500, "type": "array"}
    yield {"if": nested_one_of(6), "then": nested_one_of(6), "else": nested_one_of(6)}
    yield {"anyOf": [{"properties": {f"p{n}": {"const": n}}} for n in range(500)]}
    yield {"allOf": [{"properties": {f"p{n}": {"enum": [n, -n]}}} for n in range(200)]}


# Texts that are no JSON, or hardly.
TEXTS = [
    "",
    "{",
    "[]",
    "null",
    '"string"',
    "NaN",
    '{"type":"string"',
    '{"type":"string"}}',
    '{"a":' * 5_000 + "1" + "}" * 5_000,
    "[" * 100_000 + "]" * 100_000,
    '{"const":' + "9" * 100_000 + "}",
    '{"const":1e999999}',
    '{"enum":["\\ud800"]}',
    '{"type":"string","type":"integer"}',
    "\0",
    '{"description":"' + "x" * 300_000 + '"}',
]
PATTERNS = [
    *("(a+)+b", "(a|a)*b", "(a|ab|b)*c", "(.*)*x", "(a*)*(b*)*(c*)*"),
    *("(a{1,999}){999}", "a{2000}{2000}", "((a{100}){100}){100}", ".{8000}", "(.{1,90}){1,90}"),
    "(" * 4_000 + "a" + ")" * 4_000,
    "|".join(f"word{number}" for number in range(900)),
    "[ab]*a" + "[ab]" * 40,
    "(?:a?){400}a{400}",
    *(r"(a)\1", "(?<=a)b", "(?=a)b", "(?!a)b", r"\p{L}+", "(?P<n>a)(?P=n)", "(?R)", "(?1)"),
    *("[", "(", ")", "*", "a**", "a{2,1}", "a{-1}", "[z-a]", "\\", "(?", "(?i", "[[:alpha:]", "{"),
    *("\0", "\ud800", "é{300}", "[^\0-\U0010ffff]", "\U0010ffff{100}", "(?s:.){3000}x"),
    r"[\u0000-\uffff]{500}",
    "".join(f"(a{number}|" for number in range(60)) + "x" + ")" * 60,
    r"\b" * 500,
    "(" + "|".join("a" * length for length in range(1, 110)) + ")*b",
]
GRAMMARS = [
    *("", "root", "root ::=", "root ::= missing", "a ::= b", "root ::= root", "::=", "root ::= ("),
    'root ::= root "a"',
    'root ::= root root | "a" | ""',
    'root ::= a "x"\na ::= root "y" | a',
    'root ::= ""',
    'root ::= (("")*)*',
    'root ::= "a" root "b" | "a" root "c" | "x"',
    'root ::= ("a"* "a"*)* "b"',
    'root ::= "a"{1000000}',
    'root ::= ("a"{1,999}){999}',
    "root ::= " + "(" * 5_000 + '"a"' + ")" * 5_000,
    "root ::= " + " | ".join(f'"w{number}"' for number in range(9_000)),
    "\n".join([f"r{n} ::= r{n + 1} r{n + 1}" for n in range(60)] + ['r60 ::= "a"', "root ::= r0"]),
    "\n".join(
        [f"r{n} ::= r{n + 1} | r{n + 1}" for n in range(60)] + ['r60 ::= "a"', "root ::= r0"]
    ),
    "\n".join([f'r{n} ::= "x" r{(n * 7 + 1) % 500}?' for n in range(500)] + ["root ::= r0"]),
    *(
        "root ::= [",
        "root ::= [z-a]",
        'root ::= "\\',
        'root ::= "\\ud800"',
        "root ::= [^\\x00-\\U0010FFFF]",
    ),
    *(
        'root ::= "a"{2,1}',
        'root ::= "a"{-1}',
        'root ::= "a"{99999999999999999999}',
        "\0",
        "root ::= \ud800",
    ),
    'root ::= "a" # ' + "x" * 250_000,
    "root ::= root2\n" * 2_000,
    'root ::= "' + "x" * 100_000 + '"',
]


def tool(schema_text: str) -> Tagged:
    """What a tool with these parameters is to the engine."""
    begin, end = '<tool_call>{"name":"f","arguments":', "}</tool_call>"
    return Tagged([Tag(begin, schema_text, end)], text="before", trigger="<tool_call>")


def bombs() -> Iterator[Constraint]:
    """All of them, of every kind."""
    texts = [*(json.dumps(schema) for schema in schemas()), *TEXTS]
    yield from (JsonSchema(text) for text in texts)
    yield from (tool(text) for text in itertools.islice(texts, 0, None, 3))
    yield from map(Regex, PATTERNS)
    yield from map(Ebnf, GRAMMARS)
