"""Outputs are complete although the budget would cut them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branchline.runtime.constrained.allowance import Allowance
from branchline.runtime.constrained.budget import TokenCosts
from branchline.runtime.constrained.compiler import GrammarCompiler, build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.vocabulary import INFINITE, Vocabulary
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Choices, JsonSchema, Regex

INVOICE = {
    "type": "object",
    "properties": {
        "number": {"type": "string", "pattern": "^[A-Z]{2}-\\d{4}$"},
        "note": {"type": ["string", "null"]},
        "items": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "kind": {"enum": ["paper", "ink", "other things"]},
                    "price": {"type": "number"},
                },
                "required": ["name", "kind", "price"],
            },
        },
    },
    "required": ["number", "note", "items"],
}


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(extra=st.integers(0, 80), seed=st.integers(0, 2**20))
def test_a_record_is_whole_for_every_budget_that_is_not_refused(extra, seed, compiler, generate):
    grammar = compiler.compile(JsonSchema(json.dumps(INVOICE)))
    record = json.loads(generate(grammar, grammar.min_tokens + extra, seed))
    assert list(record) == ["number", "note", "items"]
    assert all(list(item) == ["name", "kind", "price"] for item in record["items"])


@pytest.mark.parametrize("pattern", [r"(ab|c{3}){2,9}x", r"[a-z]+@[a-z]+\.(com|org)", "é{3,20}"])
def test_a_regex_is_matched_whole_for_every_budget(pattern, compiler, generate):
    grammar = compiler.compile(Regex(pattern))
    for extra in range(12):
        assert re.fullmatch(pattern, generate(grammar, grammar.min_tokens + extra, extra))


def test_a_budget_below_the_shortest_output_is_refused(compiler):
    constraint = JsonSchema(json.dumps(INVOICE))
    least = compiler.compile(constraint).min_tokens
    compiler.compile(constraint, max_new_tokens=least)
    with pytest.raises(RequestError, match=f"may take {least} tokens") as caught:
        compiler.compile(constraint, max_new_tokens=least - 1)
    assert caught.value.pointer == "sampling.max_new_tokens"


@pytest.mark.parametrize("backend", ["auto", "xgrammar"])
def test_a_matcher_tells_whether_the_budget_left_something_out(backend, compiler, allowed):
    grammar = compiler.compile(Regex("[a-z]*END", backend=backend))
    roomy, tight = grammar.matcher(), grammar.matcher()
    assert allowed(tight, grammar.min_tokens) < allowed(roomy, 100)
    assert (roomy.closed_by_budget, tight.closed_by_budget) == (False, True)
    assert tight.fork().closed_by_budget


def test_what_is_complete_already_is_kept_short_but_not_closed(compiler, allowed):
    matcher = compiler.compile(Regex("[a-z]*(END)?")).matcher()
    allowed(matcher, 1)
    assert (matcher.closed_by_budget, matcher.kept_short_by_budget) == (False, True)
    assert matcher.fork().kept_short_by_budget


def test_the_least_tokens_of_a_choice_are_those_of_its_best_spelling(compiler, tokenizer):
    fewest = min(len(tokenizer.encode_text(text)) for text in ("zzzz", "yesterday"))
    assert compiler.compile(Choices(["zzzz", "yesterday"])).min_tokens <= fewest


def test_a_text_in_a_regex_counts_as_its_tokens(compiler, generate):
    text = "the yesterday, and the end of the day"
    choices, regex = (
        compiler.compile(one) for one in (Choices([text]), Regex(text.replace(" ", "[ ]")))
    )
    assert regex.min_tokens == choices.min_tokens < len(text)
    assert generate(regex, regex.min_tokens, 1) == text


def test_a_large_budget_leaves_the_mask_alone(compiler, allowed):
    matcher = compiler.compile(JsonSchema(json.dumps(INVOICE))).matcher()
    assert allowed(matcher, 10_000) == allowed(matcher)


def test_the_last_token_of_a_budget_must_complete_the_output(compiler, tokenizer, allowed):
    matcher = compiler.compile(JsonSchema('{"type":"string"}')).matcher()
    matcher.accept(tokenizer.encode_text('"')[0])
    for token in allowed(matcher, 1):
        copy = matcher.fork()
        assert copy.accept(token)
        assert copy.finished


def test_costs_after_each_token_are_those_of_walking_it(tokenizer):
    vocabulary = Vocabulary(
        [
            b"" if index in tokenizer.control_ids else data
            for index, data in enumerate(tokenizer.token_bytes)
        ]
    )
    walker = Walker(build_language(JsonSchema(json.dumps(INVOICE)), GrammarLimits()), vocabulary)
    costs = TokenCosts(walker, vocabulary)
    state = walker.walk(walker.start, b'{"number":"AB-1234","note":"')
    ids = np.flatnonzero(vocabulary.lengths)
    for budget in (10, 15, 20, 25):
        refused = set(costs.unaffordable(state, ids, budget).tolist())
        for index in ids.tolist():
            after = walker.walk(state, vocabulary.token_bytes[index])
            assert (index in refused) == (after is None or after.cost > budget)


def test_text_that_the_tokens_cannot_spell_is_refused():
    vocabulary = Vocabulary([b"a", b"b"])
    walker = Walker(build_language(Choices(["abc"]), GrammarLimits()), vocabulary)
    assert walker.start.cost >= INFINITE
    walker = Walker(build_language(Choices(["abc", "ab"]), GrammarLimits()), vocabulary)
    assert walker.start.cost == 2


@pytest.mark.parametrize("backend", ["xgrammar", "native"])
@pytest.mark.parametrize("extra", [None, 1, 0])
def test_a_mask_that_is_found_in_pieces_is_the_same(backend, extra, tokenizer, monkeypatch):
    monkeypatch.setattr("branchline.runtime.constrained.native_masks._BLOCK", 64)
    constraint = Regex("([a-z]+|[^a-z]{2,4} ){1,2}!", backend)
    # Nothing that one of them kept may answer for the other.
    at_once, piecewise = (
        GrammarCompiler(tokenizer, tokenizer.vocab_size + 40).compile(constraint) for _ in "ab"
    )
    remaining = None if extra is None else at_once.min_tokens + extra
    whole, pieces = np.zeros((2, at_once.engine.row_size), np.int32)
    at_once.matcher().fill_mask(whole, remaining)
    matcher, num_asked = piecewise.matcher(), 1
    while not matcher.try_mask(pieces, remaining, Allowance(1)):
        num_asked += 1
    assert (whole == pieces).all()
    assert num_asked > 1 or remaining is None
