"""Masks taken from places that are alike for as long as tokens are, against each place's own, bit
by bit: counts of every kind, tokens longer than what is counted, budgets that hardly suffice."""

from __future__ import annotations

import ctypes
import json

import numpy as np
import pytest

from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.machine_library import machine_library
from branchline.runtime.constrained.machine_masks import (
    MachineHandle,
    MachineMasks,
    MachineVocabulary,
)
from branchline.runtime.constrained.machine_tables import machine_tables
from branchline.runtime.constrained.rows import Rows
from branchline.runtime.constrained.shaping import alive
from branchline.runtime.constrained.vocabulary import Vocabulary
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.protocol import Constraint, Ebnf, JsonSchema, Regex

pytestmark = pytest.mark.skipif(machine_library() is None, reason="needs a C++ compiler")

NAME = {"type": "string", "maxLength": 20}
COUNTED: list[Constraint] = [
    Regex(r"[a-z]{0,40}x"),
    Regex(r"([a-c]{1,30}[.-]){0,20}[a-z]{2,18}"),
    Regex(r"(a{0,17}b?){0,33}c"),
    Regex(r"((ab?)?){0,40}(a|é){3,19}"),
    Regex(r'[^"\\\n]{3,20}!'),
    Regex(r"( {0,16}\w{1,20}){2,25}"),
    Regex(r"([a-z]([a-z-]{0,61}[a-z])?\.){1,20}[a-c]"),
    Ebnf('root ::= ("(" root ")" | [a-c]){0,18} "."'),
    JsonSchema(json.dumps({"type": "array", "maxItems": 17, "items": NAME})),
    JsonSchema(json.dumps({"type": "string", "format": "email"})),
]


def vocabulary_with_long_tokens() -> Vocabulary:
    """Every byte, and texts of 2 to 60 of few letters, of which most are longer than a count."""
    rng = np.random.default_rng(3)
    tokens = {bytes([byte]) for byte in range(256)}
    for alphabet in (b"a", b"ab", b"abc.", b"ab c-.", b'aa",!', b"()a", b"xaxa@.", "aé".encode()):
        for length in (*range(2, 24, 3), 40, 60):
            tokens |= {bytes(rng.choice(list(alphabet), length).tolist()) for _ in range(6)}
    return Vocabulary([b"", *sorted(tokens)])  # the first one ends a text


@pytest.fixture(scope="module")
def vocabulary() -> tuple[Vocabulary, MachineVocabulary]:
    words = vocabulary_with_long_tokens()
    return words, MachineVocabulary(machine_library(), words)


def is_shared(handle: MachineHandle) -> bool:
    least = ctypes.byref(ctypes.c_int32())
    alike = machine_library().bm_alike(handle.machine.address, handle.state, least)
    return bool(alike != handle.state)


@pytest.mark.parametrize("constraint", COUNTED, ids=lambda one: str(one)[:50])
def test_a_shared_mask_is_the_one_that_the_place_has_itself(constraint, vocabulary):
    words, trees = vocabulary
    graph = alive(build_language(constraint, GrammarLimits()), words)[1]
    tables, walker = machine_tables(graph.root), Walker.over(graph)
    sharing, own = (
        MachineMasks(trees, tables, (0,), Rows(1 << 22), shares=shares) for shares in (True, False)
    )
    rng = np.random.default_rng(5)
    num_shared = 0
    for _ in range(12):
        ours, theirs, state = sharing.handle(), own.handle(), walker.start
        for _ in range(16):
            for extra in (None, 0, 1, 5):
                budget = None if extra is None else state.cost + extra
                row, is_reduced = own.row(theirs.machine, theirs.state, budget, None)
                found = sharing.row(ours.machine, ours.state, budget, None)
                assert (found[0] == row).all()
                assert found[1] == is_reduced
            num_shared += is_shared(ours)
            bits = np.unpackbits(row.view(np.uint8), bitorder="little")
            token = int(rng.choice(np.flatnonzero(bits)))
            if token == 0:
                break
            assert ours.accept_token(token)
            assert theirs.accept_token(token)
            state = walker.walk(state, words.token_bytes[token])
    assert num_shared > 10
