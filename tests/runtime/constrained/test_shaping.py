"""What crosses from the process that shapes a grammar to the one that uses it, and how little of
the work is left there."""

from __future__ import annotations

import json

import pytest

from branchline.runtime.constrained.compiler import GrammarCompiler, build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.machine_library import machine_library
from branchline.runtime.constrained.nodes import NodeGraph, StoredGraph
from branchline.runtime.constrained.shaping import decode_shaped, shaped
from branchline.runtime.constrained.vocabulary import Vocabulary
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.constrained.workers import Workers
from branchline.runtime.protocol import Choices, Ebnf, Island, Islands, JsonSchema, Regex

TOKENS = Vocabulary([*(bytes([byte]) for byte in range(256)), b"ab", b'":', b'{"name'])
RECORD = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 300},
        "tree": {"$ref": "#"},
        "price": {"type": "number", "minimum": 0.5},
    },
    "required": ["name"],
}
CONSTRAINTS = [
    (JsonSchema(json.dumps(RECORD)), ['{"name":"xé","tree":{"name":""}}', '{"name":1', "[]"]),
    (Regex("(a|é){2,5}[^x]*"), ["aéaé😀", "aax", "a"]),
    (Choices(["a", "ab", "abc"]), ["ab", "abc", "b"]),
    (Ebnf('root ::= "(" root ")" | ""'), ["(())", "(()", ")"]),
]


@pytest.mark.parametrize(("constraint", "texts"), CONSTRAINTS, ids=lambda one: type(one).__name__)
def test_nodes_that_were_sent_are_walked_like_those_that_were_built(constraint, texts):
    graph = NodeGraph(build_language(constraint, GrammarLimits()), TOKENS)
    here, there = Walker.over(graph), Walker.over(StoredGraph(graph.encoded()))
    assert here.most == there.most
    for text in texts:
        data = text.encode()
        for end in range(len(data) + 1):
            seen = []
            for walker in (here, there):
                state = walker.walk(walker.start, data[:end])
                seen.append(
                    state and (state.accepting, state.cost, state.slack, walker.forced(state))
                )
            assert seen[0] == seen[1]


def test_of_a_large_schema_only_the_nodes_are_read_that_are_met():
    def part(n: int) -> dict[str, object]:
        patterns = {f"q{m}": f"^[a-z]{{2,4}}(é|{n}|{m}x)[0-9]*x?$" for m in range(8)}
        members = {name: {"type": "string", "pattern": one} for name, one in patterns.items()}
        return {"type": "object", "properties": members}

    wide = {"type": "object", "properties": {f"p{n}": part(n) for n in range(20)}}
    language = build_language(JsonSchema(json.dumps(wide)), GrammarLimits())
    shape = shaped(language, TOKENS, GrammarLimits(), "xgrammar")
    graph = decode_shaped(shape.encoded()).graph
    walker = Walker.over(graph)
    total = len(graph._ends) - 1
    assert len(graph._nodes) < 10 < total / 100
    assert walker.walk(walker.start, b'{"p0":{"q0":"ab0","q1":"a') is not None
    assert len(graph._nodes) < total / 5


def test_an_automaton_crosses_whole():
    language = build_language(Regex("[a-c]{2,30}(é|d)"), GrammarLimits())
    shape = shaped(language, TOKENS, GrammarLimits(), "native")
    back = decode_shaped(shape.encoded())
    assert (back.dfa.table == shape.dfa.table).all()
    assert (back.dfa.byte_class == shape.dfa.byte_class).all()
    assert (back.dfa.accepting == shape.dfa.accepting).all()


def test_nothing_is_taken_apart_in_the_engines_process(tokenizer, monkeypatch):
    """Whatever Python a compilation runs there holds up the loop, which shares its interpreter."""
    workers = Workers(GrammarLimits())
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size, workers=workers)
    for name in ("compiler.build_language", "nodes.NodeGraph", "shaping.shaped"):
        monkeypatch.setattr(f"branchline.runtime.constrained.{name}", lambda *_: 1 / 0)
    islands = Islands([Island("<n>", Regex("[0-9]+"))])
    for constraint in (*(one for one, _ in CONSTRAINTS), islands):
        assert compiler.compile(constraint).min_tokens >= 0
    assert workers.num_started == 1
    compiler.close()


def test_nothing_is_loaded_between_two_steps(tokenizer):
    """What forced text is looked up in is there when a grammar is."""
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size)
    compiler.compile(Choices(["abc"]))
    compiler.compile(Islands([Island("<n>", Regex("[0-9]+"))]))
    for engine in (compiler._engine, compiler._engine_of_tags()):
        assert {"_known", "_sorted"} <= engine.vocabulary.__dict__.keys()


@pytest.mark.skipif(machine_library() is None, reason="needs a C++ compiler")
def test_no_node_is_read_in_the_engines_process(tokenizer, generate, monkeypatch):
    """The machine alone knows masks, budgets and what is forced."""
    workers = Workers(GrammarLimits())
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size, workers=workers)
    for name in ("nodes.Node", "walker.State"):
        monkeypatch.setattr(f"branchline.runtime.constrained.{name}.__init__", lambda *_: 1 / 0)
    for constraint, _ in CONSTRAINTS:
        grammar = compiler.compile(constraint)
        matcher = grammar.matcher()
        assert matcher.min_tokens_to_accept == grammar.min_tokens
        assert len(matcher.forced().token_ids) <= 4
        generate(grammar, grammar.min_tokens + 20, 1)
    compiler.close()
