"""Items that all differ: the machine allows what the walker does, token by token and whatever the
budget, and what leaves is valid under `jsonschema`."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest

from branchline.runtime.constrained import json_text as text
from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.expr import (
    Chars,
    Distinct,
    Expr,
    Language,
    Repeat,
    alt,
    lit,
    seq,
)
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.machine_library import machine_library
from branchline.runtime.constrained.machine_masks import MachineMasks, MachineVocabulary
from branchline.runtime.constrained.machine_tables import machine_tables
from branchline.runtime.constrained.nodes import NodeGraph
from branchline.runtime.constrained.rows import Rows
from branchline.runtime.constrained.schema import Reading, schema_language
from branchline.runtime.constrained.vocabulary import INFINITE, Vocabulary
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import JsonSchema

needs_machine = pytest.mark.skipif(machine_library() is None, reason="needs a C++ compiler")

# Tokens that end an item and begin the next, that hold whole items, and that go on like others.
TOKENS = [
    *(bytes([byte]) for byte in range(256)),
    *(b'","', b'",', b'["', b'["a"', b'"a"', b'"]', b"aa", b"ab", b"abc", b"bb", b'","a"', b'a","'),
    *(b'","b","', b"1,1", b"1,", b",1", b",2,", b"12", b'ab"', b'{"k":', b"}]", b"},{", b',"'),
    *(b'"a","a"', b'"a","b"', b'"],["', b'["a"],', b"ba", b'a"', b'b",', b"ca", b"x"),
]
VOCABULARY = Vocabulary(TOKENS)
SHORT = seq(lit('"'), Repeat(Chars(((97, 98),)), 0, 2), lit('"'))


def row(item: Expr, low: int = 1, high: int = 40) -> Expr:
    return seq(lit("["), Distinct(item, lit(","), low, high), lit("]"))


def words(*texts: str) -> Expr:
    return alt(map(lit, texts))


ROWS = {
    "any strings": row(text.ANY_STRING),
    "strings of one character": row(text.string(0, 1), 2),
    "seven strings": row(SHORT, 3, 9),
    "five words": row(words('"a"', '"ab"', '"abc"', '"b"', '"bb"')),
    "four of five words": row(words('"a"', '"ab"', '"abc"', '"b"', '"bb"'), 4),
    "many words": row(words(*(f'"w{number}"' for number in range(20))), 3),
    "integers": row(text.INTEGER, 2),
    "rows of rows": row(row(SHORT, 1, 3), 1, 9),
    "integers and rows of them": row(alt([text.INTEGER, row(text.INTEGER, 1, 5)]), 1, 9),
    "objects": row(seq(lit('{"k":'), text.ANY_STRING, lit("}"))),
    "two readings": alt(
        [
            row(text.ANY_STRING),
            seq(lit("["), text.ANY_STRING, Repeat(seq(lit(","), text.INTEGER), 0, 3), lit("]")),
        ]
    ),
    "names": seq(
        lit("{"), Distinct(SHORT, seq(lit(":"), text.INTEGER, lit(",")), 2, 5), lit(":1}")
    ),
    "one after another": seq(row(SHORT, 1, 3), row(SHORT, 2, 3)),
}


@needs_machine
@pytest.mark.parametrize("name", ROWS)
def test_masks_are_those_of_the_walker(name):
    rng = np.random.default_rng(5)
    graph = NodeGraph(Language(ROWS[name], dict(text.ANY_VALUE_RULES)), VOCABULARY)
    vocabulary = MachineVocabulary(machine_library(), VOCABULARY)
    masks = MachineMasks(vocabulary, machine_tables(graph.root), (), Rows(1_000_000))
    walker = Walker.over(graph)
    for extra in (None, 0, 3, 9, None):
        handle, state = masks.handle(), walker.start
        for used in range(14):
            budget = INFINITE - 1 if extra is None else walker.start.cost + extra - used
            after = [walker.walk(state, token) for token in TOKENS]
            costs = [INFINITE if one is None else one.cost for one in after]
            wanted = [
                token for token, cost in enumerate(costs) if cost <= min(budget, INFINITE - 1)
            ]
            if not wanted:
                assert state.accepting
                break
            found = np.zeros(vocabulary.num_words, np.int32)
            assert handle.fill(found, None if extra is None else budget, None)
            bits = np.unpackbits(found.view(np.uint8), bitorder="little")[: len(TOKENS)]
            assert np.flatnonzero(bits).tolist() == wanted
            alike = [token for token in wanted if set(TOKENS[token]) <= set(b'ab12"[],{}k:w')]
            token = int(rng.choice(alike or wanted))
            assert handle.accept_token(token)
            state = walker.walk(state, TOKENS[token])


@pytest.fixture(scope="module")
def takes():
    def check(expr: Expr, *texts: str) -> list[bool]:
        walker = Walker(Language(expr, dict(text.ANY_VALUE_RULES)), VOCABULARY)
        states = [walker.walk(walker.start, one.encode()) for one in texts]
        return [state is not None and state.accepting for state in states]

    return check


def test_an_item_is_written_once(takes):
    assert takes(ROWS["any strings"], '["a"]', '["a","b"]', '["a","ab","b"]') == [True] * 3
    assert takes(ROWS["any strings"], '["a","a"]', '["a","b","a"]', '["",""]') == [False] * 3


def test_an_item_that_others_begin_with_may_go_on(takes):
    assert takes(row(text.INTEGER), "[1,12,123]", "[12,1]", "[1,12,1]") == [True, True, False]


def test_no_comma_comes_where_no_item_is_left():
    walker = Walker(Language(row(words("true", "false")), {}), VOCABULARY)
    state = walker.walk(walker.start, b"[false,true")
    assert walker.step(state, ord(",")) is None
    assert walker.forced(state) == b"]"


def test_a_beginning_of_which_all_is_used_up_is_left_out():
    walker = Walker(Language(ROWS["strings of one character"], {}), VOCABULARY)
    state = walker.walk(walker.start, b'["a","')
    assert walker.step(state, ord("a")) is None
    assert walker.step(state, ord("b")) is not None


def test_more_items_than_there_are_satisfy_nothing():
    graph = NodeGraph(Language(row(words("1", "2", "3"), 4), {}), VOCABULARY)
    assert graph.root.cost >= INFINITE


def test_items_that_end_in_a_late_letter_are_found():
    """Of the bytes that may come next, those that lead to an end are tried, not the first few."""
    item = seq(lit('"'), Repeat(Chars(((ord("a"), ord("m")),)), 0, None), lit('z"'))
    graph = NodeGraph(Language(row(item, 3), {}), VOCABULARY)
    assert graph.root.cost < INFINITE


STRINGS = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
PART = {"properties": {"id": {"type": "integer"}, "tags": STRINGS}, "required": ["id"]}
SCHEMAS = {
    "strings": STRINGS,
    "at least three": {**STRINGS, "minItems": 3, "maxItems": 4},
    "short strings": {**STRINGS, "items": {"type": "string", "maxLength": 1, "pattern": "^[ab]*$"}},
    "numbers": {"type": "array", "items": {"type": "number"}, "uniqueItems": True},
    "anything": {"type": "array", "uniqueItems": True},
    "many constants": {"type": "array", "items": {"enum": [*range(90)]}, "uniqueItems": True},
    "records": {"type": "array", "items": PART, "uniqueItems": True},
    "records and names": {
        "type": "array",
        "items": {"anyOf": [{"type": "string"}, {**PART, "additionalProperties": False}]},
        "uniqueItems": True,
    },
    "names with a late letter": {
        "type": "object",
        "minProperties": 3,
        "propertyNames": {"pattern": "^[a-y]*z$"},
        "additionalProperties": {"type": "null"},
    },
    "three names": {"type": "object", "minProperties": 3, "additionalProperties": {"type": "null"}},
}


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("reading", ["closed", "specification"])
def test_outputs_are_valid(name, reading, compiler, generate):
    schema = SCHEMAS[name]
    grammar = compiler.compile(JsonSchema(json.dumps(schema), reading=reading))
    assert all(entry.state != "superset" for entry in grammar.report)
    for seed in range(6):
        budget = grammar.min_tokens + 4 * seed
        value = json.loads(generate(grammar, budget, seed))
        jsonschema.Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize(
    "items",
    [
        # {"a":1,"b":2} of one is {"b":2,"a":1} of the other.
        {
            "anyOf": [
                {"properties": {"a": {}, "b": {}}},
                {"properties": {"b": {}, "a": {"type": "null"}}},
            ]
        },
        {"anyOf": [{"properties": {"a": {}}}, {"required": ["b"]}]},
        {"type": "number", "minimum": 0.5},
        {"minProperties": 2},
    ],
)
def test_values_that_are_spelled_in_several_ways_are_not_compared(items):
    schema = {"type": "array", "items": items, "uniqueItems": True}
    with pytest.raises(RequestError) as caught:
        schema_language(json.dumps(schema), GrammarLimits(), Reading(closed=False))
    assert caught.value.pointer == "#/uniqueItems"


def test_where_white_space_is_free_items_are_not_compared():
    wire = JsonSchema(json.dumps(STRINGS), max_whitespace=2)
    with pytest.raises(RequestError) as caught:
        build_language(wire, GrammarLimits())
    assert caught.value.pointer == "#/uniqueItems"


def test_indented_items_are_compared(compiler, accepts):
    grammar = compiler.compile(JsonSchema(json.dumps(STRINGS), indent=2))
    assert accepts(grammar, json.dumps(["a", "b"], indent=2))
    assert not accepts(grammar, json.dumps(["a", "a"], indent=2))


def test_a_backend_that_cannot_compare_says_so(compiler):
    for backend in ("native", "xgrammar"):
        with pytest.raises(RequestError, match="uniqueItems"):
            compiler.compile(JsonSchema(json.dumps(STRINGS), backend=backend))
