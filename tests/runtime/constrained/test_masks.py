"""Token masks against the slow reference, and what a mask never allows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Choices, JsonSchema, Regex

CONSTRAINTS = [
    Choices(["yes", "yesterday", "no", "", "é", "è"]),
    Regex(r"[-+]?\d+(\.\d{1,3})?"),
    Regex(r"(a|ab|abc)+é*"),
    Regex(r"[A-Z]{2}-\d{4}|[^\n]{1,40}\n"),
    JsonSchema('{"type":"string","minLength":2,"maxLength":40}'),
    JsonSchema("{}"),
    JsonSchema(
        json.dumps(
            {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "kind": {"enum": ["a", "ab"]},
                    "date": {"type": "string", "format": "date"},
                    "list": {"type": "array", "items": {"type": "integer"}, "maxItems": 40},
                },
                "required": ["name", "date"],
            }
        )
    ),
]


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda item: type(item).__name__)
@pytest.mark.parametrize("seed", range(3))
def test_a_mask_allows_exactly_the_tokens_that_the_reference_accepts(
    constraint, seed, compiler, tokenizer, allowed
):
    grammar = compiler.compile(constraint)
    vocabulary = compiler._engine.vocabulary
    walker = Walker(build_language(constraint, GrammarLimits()), vocabulary)
    table = vocabulary.token_bytes
    rng = np.random.default_rng(seed)
    matcher, state = grammar.matcher(), walker.start
    for _ in range(25):
        expected = {
            index
            for index, data in enumerate(table)
            if data and walker.walk(state, data) is not None
        }
        if state.accepting:
            expected |= set(tokenizer.eos_ids)
        assert allowed(matcher) == expected
        choices = sorted(expected - set(tokenizer.eos_ids))
        if not choices:
            break
        token = int(rng.choice(choices))
        assert matcher.accept(token)
        state = walker.walk(state, table[token])


def test_control_tokens_are_never_allowed_inside_a_string(compiler, tokenizer, allowed):
    matcher = compiler.compile(JsonSchema('{"type":"string"}')).matcher()
    matcher.accept(tokenizer.encode_text('"')[0])
    assert allowed(matcher).isdisjoint(tokenizer.control_ids)


def test_every_end_token_is_allowed_where_the_output_is_complete(compiler, tokenizer, allowed):
    matcher = compiler.compile(Regex("a*")).matcher()
    assert set(tokenizer.eos_ids) <= allowed(matcher)


def test_padding_of_the_vocabulary_is_never_allowed(compiler, tokenizer, allowed):
    matcher = compiler.compile(JsonSchema("{}")).matcher()
    assert max(allowed(matcher)) < tokenizer.vocab_size


def test_a_finished_matcher_allows_nothing_more(compiler, tokenizer, allowed):
    matcher = compiler.compile(Choices(["a"])).matcher()
    assert matcher.accept(tokenizer.encode_text("a")[0])
    assert matcher.finished
    assert matcher.accept(tokenizer.eos_ids[1])
    with pytest.raises(RequestError, match="complete"):
        allowed(matcher)


def test_a_forbidden_token_changes_nothing(compiler, tokenizer, allowed):
    matcher = compiler.compile(Choices(["abc"])).matcher()
    before = allowed(matcher)
    assert not matcher.accept(tokenizer.encode_text("x")[0])
    assert not matcher.accept(-1)
    assert not matcher.accept(10**6)
    assert allowed(matcher) == before


def test_a_long_repetition_is_counted_although_xgrammar_does_not(compiler, accepts):
    grammar = compiler.compile(JsonSchema('{"type":"string","maxLength":50}'))
    assert accepts(grammar, json.dumps("é\n" * 25, ensure_ascii=False))
    assert not accepts(grammar, json.dumps("x" * 51))


def test_a_token_longer_than_the_characters_left_is_masked(compiler, tokenizer, allowed):
    matcher = compiler.compile(JsonSchema('{"type":"string","maxLength":40}')).matcher()
    for token in tokenizer.encode_text('"' + "x" * 39):
        assert matcher.accept(token)
    for index in allowed(matcher):
        assert len(tokenizer.token_bytes[index].split(b'"')[0].decode(errors="replace")) <= 1
