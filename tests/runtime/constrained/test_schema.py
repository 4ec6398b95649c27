"""JSON Schema: what comes out validates, whatever the budget; the rest is refused."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import random
import sys
from pathlib import Path

import jsonschema
import pytest

from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import JsonSchema

# Tests are no package; the module must be registered for pydantic to resolve its annotations.
_spec = importlib.util.spec_from_file_location(
    "constrained_schemas", Path(__file__).with_name("schemas.py")
)
_module = sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
SCHEMAS, Invoice, Everything = _module.SCHEMAS, _module.Invoice, _module.Everything


def wire(schema) -> JsonSchema:
    return JsonSchema(json.dumps(schema))


def valid(schema, value) -> bool:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return jsonschema.Draft202012Validator(schema, format_checker=checker).is_valid(value)


@pytest.mark.parametrize("name", SCHEMAS)
def test_random_tokens_under_the_masks_always_end_in_a_valid_value(name, compiler, generate):
    schema = SCHEMAS[name]
    if "exclusiveMinimum" in schema and schema["exclusiveMinimum"] is True:
        schema_to_check = {"type": "integer", "exclusiveMinimum": 5, "maximum": 9}
    else:
        schema_to_check = schema
    grammar = compiler.compile(wire(schema))
    for seed, extra in enumerate((0, 0, 1, 3, 10, 30)):
        text = generate(grammar, grammar.min_tokens + extra, seed)
        assert valid(schema_to_check, json.loads(text)), text


def test_pydantic_takes_what_was_generated_for_its_schema(compiler, generate):
    for model in (Invoice, Everything):
        grammar = compiler.compile(wire(model.model_json_schema()))
        for seed in range(5):
            model.model_validate_json(generate(grammar, grammar.min_tokens + 20 * seed, seed))


def test_output_is_compact_inside_free_values_too(compiler, accepts):
    grammar = compiler.compile(wire({"type": "object", "properties": {"a": {}}}))
    assert accepts(grammar, '{"a":{"b":[1,2,{}],"c":[]}}')
    for text in ('{"a": 1}', '{"a":[1, 2]}', '{"a":{"b": 1}}', "{ }", '{"a":1}\n'):
        assert not accepts(grammar, text)


def test_strings_take_escapes_and_no_raw_control_characters(compiler, accepts):
    for schema in ({"type": "string"}, {"type": "string", "minLength": 1, "maxLength": 9}):
        grammar = compiler.compile(wire(schema))
        assert accepts(grammar, json.dumps('\n"\\\t\x01', ensure_ascii=False))
        assert accepts(grammar, '"é霍\x7f"')
        for text in ('"\t"', '"\x00"', '"\n"', r'"\x"', '"\\"', '"a'):
            assert not accepts(grammar, text)


def test_length_counts_characters_not_bytes_or_escapes(compiler, accepts):
    grammar = compiler.compile(wire({"type": "string", "minLength": 2, "maxLength": 2}))
    assert accepts(grammar, '"é霍"')
    assert accepts(grammar, r'"\n\u0001"')
    assert not accepts(grammar, '"é"')
    assert not accepts(grammar, r'"\n\n\n"')


@pytest.mark.parametrize(
    ("pattern", "taken", "refused"),
    [
        (r"^\d{4}-\d{2}-\d{2}$", ["2024-13-99"], ["x2024-01-01", "2024-1-01", "٢٠٢٤-01-01"]),
        (r"^\d+\.\d{2}$", ["0.00", "19.99"], [".99", "1.9", "1.999"]),
        ("foo", ["foo", "a foo b"], ["fo", "bar"]),
        ("^a|b$", ["a", "ax", "b", "xb"], ["xa", "bx", ""]),
        ("(^a|b)c$", ["ac", "xbc"], ["xac", "ab"]),
        ("^[^a]$", ["b", "\n", "é", '"'], ["a", "bb"]),
        ("^.$", ["b", "\t"], ["\n"]),
        (r'^"\\"$', ['"\\"'], ["\\", '""']),
        (r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", ["1", "-0.5", ".5", "1."], ["", "-", ".", "1.2.3"]),
    ],
)
def test_patterns_mean_what_json_schema_says(pattern, taken, refused, compiler, accepts):
    grammar = compiler.compile(wire({"type": "string", "pattern": pattern}))
    for text in taken:
        assert accepts(grammar, json.dumps(text, ensure_ascii=False)), text
    for text in refused:
        assert not accepts(grammar, json.dumps(text, ensure_ascii=False)), text


def test_dates_exist(compiler, accepts):
    grammar = compiler.compile(wire({"type": "string", "format": "date"}))
    for day in ("2024-02-29", "2000-02-29", "0001-01-01", "1999-12-31", "2023-04-30"):
        assert accepts(grammar, f'"{day}"'), day
    for day in ("2023-02-29", "1900-02-29", "2024-02-30", "2024-04-31", "2024-13-01", "0000-01-01"):
        assert not accepts(grammar, f'"{day}"'), day


@pytest.mark.parametrize("low", [-12, -1, 0, 7, 95])
@pytest.mark.parametrize("width", [0, 5, 120])
def test_integer_bounds_are_exact(low, width, compiler, accepts):
    high = low + width
    grammar = compiler.compile(wire({"type": "integer", "minimum": low, "maximum": high}))
    for value in range(low - 15, high + 15):
        assert accepts(grammar, str(value)) == (low <= value <= high), value
    assert not accepts(grammar, f"0{high}")


def test_number_bounds_are_exact(compiler, accepts):
    schema = {"type": "number", "minimum": -0.25, "exclusiveMaximum": 10.5}
    grammar = compiler.compile(wire(schema))
    for text in ("0", "-0.25", "-0.2", "10.499", "10", "9.99", "0.0", "1.50"):
        assert accepts(grammar, text), text
    for text in ("10.5", "10.50", "11", "-0.26", "-0.251", "-1", "1e1", "01", "1.", ".5"):
        assert not accepts(grammar, text), text


def test_a_property_appears_once_and_in_its_place(compiler, accepts):
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "ab": {"type": "null"}},
        "additionalProperties": {"type": "boolean"},
    }
    grammar = compiler.compile(wire(schema))
    for text in ("{}", '{"a":1}', '{"ab":null}', '{"a":1,"ab":null,"abc":true}', '{"x":true}'):
        assert accepts(grammar, text), text
    for text in ('{"a":true}', '{"x":true,"a":true}', '{"ab":true}', '{"ab":null,"a":1}', "{,}"):
        assert not accepts(grammar, text), text


def test_an_object_that_declares_properties_has_no_others_by_default(compiler, accepts):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert not accepts(compiler.compile(wire(schema)), '{"b":1}')
    opened = compiler.compile(wire({**schema, "additionalProperties": True}))
    assert accepts(opened, '{"b":1}')


REFUSED = {
    "#/uniqueItems": {"type": "array", "uniqueItems": True, "contains": {"type": "integer"}},
    "#/multipleOf": {"type": "number", "multipleOf": 0.01},
    "#/properties/a~1b/pattern": {"properties": {"a/b": {"pattern": "a(?<=b)c"}}},
    "#/pattern": {"type": "string", "pattern": "(a)\\1"},
    "#/items/$ref": {"type": "array", "items": {"$ref": "https://example.org/x.json"}},
    "#/$ref": {"$ref": "#/$defs/missing"},
    "#/minLength": {"type": "string", "minLength": -1},
    "#/type": {"type": "text"},
    "#/enum": {"enum": []},
    "#/anyOf": {"anyOf": []},
    "#/properties": {"type": "object", "properties": []},
    "#/required": {"required": [1]},
    "#/$defs/a": {"$defs": {"a": 1.5}, "oneOf": [{"$ref": "#/$defs/a"}, {"type": "string"}]},
    "#/oneOf/0/properties": {"oneOf": [{"properties": None}, {"properties": {}}], "type": "object"},
    "#/minProperties": {
        "properties": {"a": {}},
        "additionalProperties": True,
        "minProperties": 3,
    },
}


@pytest.mark.parametrize("pointer", REFUSED)
def test_what_cannot_be_enforced_is_refused_with_its_place(pointer):
    with pytest.raises(RequestError) as caught:
        build_language(wire(REFUSED[pointer]), GrammarLimits())
    assert caught.value.code == "grammar"
    assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"enum": [1, 2], "type": "string"},
        False,
        {
            "$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}, "required": ["next"]}},
            "$ref": "#/$defs/n",
        },
    ],
)
def test_a_schema_that_nothing_satisfies_is_refused_when_compiled(schema, compiler):
    with pytest.raises(RequestError, match="nothing satisfies"):
        compiler.compile(wire(schema))


@pytest.mark.parametrize(
    "source",
    [
        "{",
        "[]",
        '{"const":NaN}',
        "[" * 5_000,
        '{"type":"array","items":' * 200 + "{}" + "}" * 200,
        json.dumps({"properties": {f"p{index}": {} for index in range(3_000)}}),
        json.dumps({"type": "string", "minLength": 10_000}),
        json.dumps({"type": "array", "minItems": 10_000}),
    ],
)
def test_schemas_that_are_broken_or_too_large_are_refused_at_once(source):
    with pytest.raises(RequestError) as caught:
        build_language(JsonSchema(source), GrammarLimits())
    assert caught.value.code == "grammar"


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {f"p{index}": {} for index in range(1_001)}},
        {
            "type": "array",
            "prefixItems": [
                {"type": "object", "properties": {f"{name}{index}": {} for index in range(800)}}
                for name in "ab"
            ],
            "minItems": 2,
        },
    ],
    ids=["in one object", "in two objects"],
)
def test_too_many_optional_properties_are_refused_at_once(schema):
    with pytest.raises(RequestError, match="too many optional properties: at most 1000") as caught:
        build_language(wire(schema), GrammarLimits())
    assert caught.value.code == "grammar"


def test_nested_oneof_does_not_explode():
    schema: dict = {"type": "string"}
    for depth in range(14):
        schema = {
            "oneOf": [{"type": "integer"}, {"type": "array", "items": schema, "title": f"{depth}"}]
        }
    build_language(wire(schema), GrammarLimits())


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_references_that_double_at_every_level_are_refused_or_cheap(keyword):
    levels = {
        f"l{index}": {
            keyword: [
                {"$ref": f"#/$defs/l{index + 1}"},
                {"$ref": f"#/$defs/l{index + 1}", "minLength": index},
            ]
        }
        for index in range(40)
    }
    schema = {"$defs": {**levels, "l40": {"type": "string"}}, "$ref": "#/$defs/l0"}
    for variant in (schema, {**schema, "enum": ["x"]}):
        with contextlib.suppress(RequestError):
            build_language(wire(variant), GrammarLimits())


def test_mutated_schemas_are_compiled_or_refused_and_nothing_else():
    rng = random.Random(5)
    wrong = [None, True, -1, 1.5, "x", [], {}, [1], {"a": 1}, "string", 10**30, {"$ref": "#"}, "("]
    values = [json.dumps(value) for value in wrong]

    def places(node, found):
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        for key, inner in pairs:
            found.append((node, key))
            if isinstance(inner, (dict, list)):
                places(inner, found)
        return found

    sources = [json.dumps(schema) for schema in SCHEMAS.values() if schema]
    for _ in range(1_500):
        schema = json.loads(rng.choice(sources))
        for _ in range(rng.randrange(1, 4)):
            node, key = rng.choice(places(schema, []) or [(schema, "type")])
            node[key] = json.loads(rng.choice(values))
        with contextlib.suppress(RequestError):
            build_language(wire(schema), GrammarLimits())
