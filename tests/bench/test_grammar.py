"""What bench.grammar says of an engine: verdicts, members in a schema's order, runs that go on."""

from __future__ import annotations

import json

import pytest

from bench.grammar_costs import num_forced
from bench.grammar_data import Case
from bench.grammar_forced import num_forceable
from bench.grammar_judging import Verdicts, judge
from bench.grammar_order import SchemaOrder
from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.models.resolve import resolve_model
from branchline.runtime.protocol import JsonSchema
from branchline.runtime.tokenizer import Tokenizer

SCHEMA = {
    "definitions": {
        "base": {"properties": {"name": {}, "size": {}}},
        "box": {
            "properties": {"kind": {"const": "box"}},
            "allOf": [{"$ref": "#/definitions/base"}],
        },
        "bag": {"properties": {"kind": {"const": "bag"}, "name": {}, "weight": {}}},
    },
    "oneOf": [{"$ref": "#/definitions/box"}, {"$ref": "#/definitions/bag"}],
}


@pytest.fixture(scope="module")
def tokens() -> Tokenizer:
    """The embedded model's."""
    return Tokenizer.load(resolve_model("embedded"))


def test_members_come_in_the_order_of_the_parts_that_speak_of_them():
    order = SchemaOrder(SCHEMA)
    box = order.of({"other": 1, "kind": "box", "size": 2, "name": 3})
    assert [*box] == ["name", "size", "kind", "other"]
    bag = order.of({"weight": 1, "other": 2, "name": 3, "kind": "bag"})
    assert [*bag] == ["kind", "name", "weight", "other"]


def test_a_value_that_no_part_takes_is_put_in_order_by_its_names():
    assert [*SchemaOrder(SCHEMA).of({"weight": 1, "name": 2, "kind": "?"})] == [
        *("kind", "name", "weight")
    ]


def test_an_engine_is_judged_by_what_it_takes():
    def kind(taken):
        case = Case("", SCHEMA, [(True, {"kind": "bag"}), (False, 1)])
        return judge(case, lambda schema: lambda text: json.loads(text) in taken).kind

    assert kind([{"kind": "bag"}]) == "right"
    assert kind([]) == "over"
    assert kind([{"kind": "bag"}, 1]) == "under"


def test_a_run_goes_on_with_the_verdicts_of_the_one_before(tmp_path):
    file = tmp_path / "verdicts.jsonl"
    every = [Case(str(n), {"const": n}, [(True, n), (False, n + 1)]) for n in range(3)]
    for some in (every[:2], every):
        verdicts = Verdicts(1, 20.0, file)
        found = verdicts.of("data", "branchline", some, lambda count: None)
        verdicts.close()
        assert [verdict.kind for verdict in found] == ["right"] * len(some)
    assert [json.loads(line)["name"] for line in file.read_text().splitlines()] == ["0", "1", "2"]


def test_a_schema_over_the_time_limit_is_late(tmp_path):
    verdicts = Verdicts(1, 0.05, None)
    schema = {"type": "string", "pattern": "^([ab]*a[ab]{11}|[bc]*b[bc]{11})$", "maxLength": 50}
    (found,) = verdicts.of("data", "branchline", [Case("", schema, [])], lambda count: None)
    verdicts.close()
    assert found.kind == "late"
    assert "0.05 s" in found.why


def test_no_more_is_forced_than_any_engine_could_and_no_choice_counts(tokens):
    compiler = GrammarCompiler(tokens, tokens.vocab_size)
    record = {"type": "object", "properties": {"name": {"enum": ["x", "y"]}}, "required": ["name"]}
    grammar = compiler.compile(JsonSchema(json.dumps(record)))
    ids = tokens.encode_text('{"name":"x"}')
    most = num_forceable(tokens, grammar, ids)
    assert num_forced(grammar, ids) <= most < len(ids)  # the value is a choice
    only = compiler.compile(JsonSchema(json.dumps({"const": "only this"})))
    ids = tokens.encode_text('"only this"')
    assert num_forceable(tokens, only, ids) == num_forced(only, ids) == len(ids)
