"""Masks by trying every token: the same as xgrammar's, and there where xgrammar is not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from msgspec.structs import replace

from branchline.runtime.constrained.allowance import Allowance
from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.machine_masks import MachineMasks
from branchline.runtime.constrained.shaping import Shaped, shaped
from branchline.runtime.constrained.walker_masks import WalkerMasks
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Choices, Ebnf, JsonSchema, Regex

CONSTRAINTS = [
    Choices(["", "yes", "yesterday", "é", "è", "x" * 70 + "a"]),
    Regex(r"[^a\x00]{1,9}é?"),
    Ebnf('root ::= "(" root ")" | "霍格" | ""'),
    JsonSchema('{"type":"object","properties":{"a":{"type":"integer"},"b":{"maxLength":40}}}'),
    JsonSchema("{}"),
]


def tried(compiler, constraint):
    """The grammar with the walker's masks."""
    engine = compiler._engine
    language = build_language(constraint, GrammarLimits())
    shape = shaped(language, engine.vocabulary, GrammarLimits(), "xgrammar")
    return engine.finish(Shaped(shape.graph, shape.report))


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda one: type(one).__name__)
def test_masks_are_those_of_xgrammar_on_every_step(constraint, compiler, tokenizer, allowed):
    rng = np.random.default_rng(4)
    grammar = tried(compiler, constraint)
    assert isinstance(grammar.compiled, WalkerMasks)
    ours = grammar.matcher()
    theirs = compiler.compile(replace(constraint, backend="xgrammar")).matcher()
    remaining = grammar.min_tokens + 6
    for used in range(6):
        assert allowed(ours) == allowed(theirs)
        mine = allowed(ours, remaining - used)
        assert mine == allowed(theirs, remaining - used)
        choices = sorted(mine - set(tokenizer.eos_ids))
        if not choices:
            break
        token = int(rng.choice(choices))
        assert ours.accept(token)
        assert theirs.accept(token)
    copy = ours.fork()
    ours.rollback(1)
    theirs.rollback(1)
    assert allowed(ours) == allowed(theirs)
    assert copy.finished or allowed(copy)


def test_the_end_is_taken_once_and_taken_back(compiler, takes_its_end_once):
    takes_its_end_once(tried(compiler, Choices(["a", "ab"])).matcher())


def test_a_mask_is_found_in_pieces(compiler):
    grammar, again = (tried(compiler, JsonSchema('{"type":"string"}')) for _ in "ab")
    whole, pieces = np.zeros((2, grammar.engine.row_size), np.int32)
    grammar.matcher().fill_mask(whole)
    matcher, num_asked = again.matcher(), 1
    while not matcher.try_mask(pieces, None, Allowance(50)):
        num_asked += 1
    assert (whole == pieces).all()
    assert num_asked > 3


def test_what_takes_xgrammar_too_long_is_left_to_the_walker(compiler):
    """What a worker process answers that reached its limit."""
    engine = compiler._engine
    members = {f"p{n}": {"type": "string", "maxLength": n} for n in range(90)}
    schema = JsonSchema(json.dumps({"type": "object", "properties": members}))
    language = build_language(schema, GrammarLimits())
    shape = shaped(language, engine.vocabulary, GrammarLimits(), "xgrammar", True)
    shape = Shaped(shape.graph, shape.report, None, shape.source * 40, True)

    def attempt(source: str) -> None:
        raise RequestError("grammar", "it takes over the limit of 2 s of processor time")

    assert isinstance(engine.finish(shape, attempt).compiled, WalkerMasks)
    forced = Shaped(shape.graph, shape.report, None, shape.source)
    with pytest.raises(RequestError, match="processor time"):
        engine.finish(forced, attempt)


def test_who_asks_for_xgrammar_by_name_is_told_what_it_cannot_do(compiler, accepts):
    long = "[a-z]{1,100000}"
    assert isinstance(compiler.compile(Regex(long)).compiled, MachineMasks)
    with pytest.raises(RequestError, match="over the limit"):
        compiler.compile(Regex(long, "xgrammar"))


def test_without_the_machine_what_xgrammar_cannot_do_is_left_to_the_walker(compiler):
    engine = compiler._engine
    language = build_language(Regex("[a-z]{1,100000}"), GrammarLimits())
    shape = shaped(language, engine.vocabulary, GrammarLimits(), "xgrammar", True)
    assert isinstance(engine.finish(shape).compiled, WalkerMasks)
