"""Many texts as one node: walked like as many alternatives, and looked at once."""

from __future__ import annotations

import json
import random

import pytest

from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.nodes import NodeGraph, StoredGraph
from branchline.runtime.constrained.vocabulary import Vocabulary
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.protocol import Choices, JsonSchema

TOKENS = Vocabulary([*(bytes([byte]) for byte in range(256)), b"ab", b"ba", b'"a', b"aaaa"])
# None of them ends inside a pair.
PAIRS = Vocabulary([b"ab", b"ba", b"aa", b"bb", b"abab", "é".encode(), b'["', b'",', b"1]"])


def told(walker: Walker, text: bytes) -> object:
    state = walker.walk(walker.start, text)
    return state and (state.accepting, state.cost, walker.forced(state))


def texts(seed: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("abé", k=rng.randint(0, 7))) for _ in range(60)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["choices", "constants"])
@pytest.mark.parametrize("vocabulary", [TOKENS, PAIRS], ids=["bytes", "pairs"])
def test_they_are_walked_like_alternatives(seed, kind, vocabulary, monkeypatch):
    choices = list(dict.fromkeys(texts(seed)))
    constraint: Choices | JsonSchema = Choices(choices)
    if kind == "constants":
        constraint = JsonSchema(json.dumps({"type": "array", "items": {"enum": [*choices, 1]}}))
    language = build_language(constraint, GrammarLimits())
    many = NodeGraph(language, vocabulary)
    monkeypatch.setattr("branchline.runtime.constrained.nodes._MANY", 10**9)
    walkers = [
        Walker(language, vocabulary),
        Walker.over(many),
        Walker.over(StoredGraph(many.encoded())),
    ]
    assert len({walker.most for walker in walkers}) == 1
    for text in [*choices, *texts(seed + 10)]:
        spelled = text if kind == "choices" else f"[{json.dumps(text, ensure_ascii=False)},1]"
        for end in range(len(spelled.encode()) + 1):
            seen = [told(walker, spelled.encode()[:end]) for walker in walkers]
            assert seen[0] == seen[1] == seen[2]


def test_thousands_of_texts_are_one_place():
    choices = [f"choice {number}" for number in range(4_000)]
    walker = Walker(build_language(Choices(choices), GrammarLimits()), TOKENS)
    state = walker.start
    for byte in b"choice 39":
        assert len(state.frames) == 1
        state = walker.step(state, byte)
    assert state.accepting
    assert state.cost == 0


def test_texts_that_cannot_be_spelled_are_not_among_them():
    lacking = Vocabulary([bytes([byte]) for byte in b"abc"])
    choices = [*(f"a{'b' * n}" for n in range(20)), "ad", "d"]
    walker = Walker(build_language(Choices(choices), GrammarLimits()), lacking)
    assert walker.walk(walker.start, b"ad") is None
    assert told(walker, b"abb") == (True, 0, b"")
