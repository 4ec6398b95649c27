"""What a mask works between two pauses: never more than it was allowed and one piece, whatever the
grammar. With the engine's bound on a step (test_core_held.py) that is what a new grammar can delay
others by."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from branchline.runtime.constrained.allowance import Allowance
from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.constrained.machine_masks import MachineMasks
from branchline.runtime.models.resolve import resolve_model
from branchline.runtime.protocol import Choices, Constraint, Ebnf, JsonSchema, Regex
from branchline.runtime.tokenizer import Tokenizer

sys.path.insert(0, str(Path(__file__).parent))

from schemas import SCHEMAS

ALLOWED = 100
# What is not cut up: to look ahead as far as a table of the vocabulary reaches.
PIECE = 1_000

MAIL = {"type": "string", "format": "email"}
LONG = {"type": "string", "minLength": 3, "maxLength": 2_000}
WIDE: list[Constraint] = [
    JsonSchema(json.dumps({"type": "array", "items": MAIL, "minItems": 2})),
    JsonSchema(json.dumps({"type": "object", "additionalProperties": LONG})),
    JsonSchema(json.dumps({"type": "array", "items": LONG, "uniqueItems": True, "maxItems": 9})),
    Regex(r"([A-Z][a-z]+ ){1,8}[A-Z][a-z]+"),
    Regex(r"[^\n]{1,500}\n"),
    Ebnf('root ::= [a-z]* "x" [a-z]* "y" [a-z]* | "(" root ")"'),
    Choices([f"choice {number} of many" for number in range(3_000)]),
]


@pytest.fixture(scope="module")
def wide() -> GrammarCompiler:
    """For the embedded model's vocabulary."""
    words = Tokenizer.load(resolve_model("embedded"))
    return GrammarCompiler(words, words.vocab_size)


@pytest.mark.parametrize(
    "constraint",
    [*WIDE, *(JsonSchema(json.dumps(schema)) for schema in list(SCHEMAS.values())[::6])],
    ids=lambda constraint: str(constraint)[:60],
)
def test_a_mask_works_no_more_at_once_than_it_is_allowed_and_a_piece(wide, constraint):
    grammar = wide.compile(constraint)
    assert isinstance(grammar.compiled, MachineMasks)
    vocab_size = wide._engine.vocab_size
    row = np.zeros(-(-vocab_size // 32), dtype=np.int32)
    rng = np.random.default_rng(1)
    matcher = grammar.matcher()
    spent = 0
    for place in range(30):
        remaining = matcher.min_tokens_to_accept + 1 + place % 3 if place % 2 else None
        while True:
            allowance = Allowance(ALLOWED)
            done = matcher.try_mask(row, remaining, allowance)
            assert allowance.left >= -PIECE
            spent += ALLOWED - allowance.left
            if done:
                break
        allowed = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little"))
        matcher.accept(int(rng.choice(allowed)))
        if matcher.finished:
            break
    assert spent  # it is counted at all
