"""The native engine: automata over bytes and the masks made from them, against Python's `re`,
against tokens tried one by one, and against the other engines."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchline.runtime.constrained.byte_dfa import byte_dfa
from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.native_masks import NativeMasks, TokenColumns
from branchline.runtime.constrained.rows import Rows
from branchline.runtime.constrained.shaping import shaped
from branchline.runtime.constrained.vocabulary import Vocabulary
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Choices, Ebnf, JsonSchema, Regex

# Each with texts of both kinds: beginnings of others, empty parts, letters outside ASCII.
PATTERNS = {
    r"(a|ab|abc)": ["a", "ab", "abc", "", "abcd"],
    r"yes|yesterday": ["yes", "yesterday", "yest"],
    r"1(\.2)?": ["1", "1.2", "1."],
    r"(ab)+": ["ab", "abab", "", "aba"],
    r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?": ["-3.14", ".5", "1e9", "3.", "e"],
    r"a+?": ["a", "aaa", ""],
    r"()*": ["", "a"],
    r"a||b": ["", "a", "b", "ab"],
    r".": ["a", "é", "\n", "霍", ""],
    r"(?s:.)": ["\n"],
    r"[^a]": ["b", "é", "\U0001f600", "a"],
    r"(?i)straße": ["STRAßE", "straße"],
    r"é|è|ü": ["é", "è", "e"],
    r"霍格..|霍比..": ["霍格沃茨", "霍比特人", "霍"],
    r"[ab]*a[ab]{6}": ["abbbbbb", "aaaaaaaa", "bbbbbbb"],
    r"(x{3}|y){2,4}": ["yy", "xxxyxxx", "y", "xx"],
    r"[\x00-\x1f]": ["\x00", "\t", " "],
    r"\d{2}-\d{2}": ["12-34", "1-2", "٣٤-٣٤"],
}


def dfa_of(pattern: str):
    return byte_dfa(build_language(Regex(pattern), GrammarLimits()))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_an_automaton_takes_what_re_takes(pattern):
    dfa = dfa_of(pattern)
    for text in PATTERNS[pattern]:
        # Digits that only Python counts are left out (docs/decisions.md).
        expected = re.fullmatch(pattern, text, re.ASCII if r"\d" in pattern else 0) is not None
        assert bool(dfa.accepting[dfa.walk(0, text.encode())]) is expected, text


ATOMS = st.sampled_from(["a", "b", "[ab]", "[^a]", "é", "(?:ab|a)", ".", "(?:|c)"])
PIECES = st.builds(
    lambda atom, count: atom + count, ATOMS, st.sampled_from(["", "*", "+", "?", "{2}", "{0,3}"])
)
REGEXES = st.lists(st.lists(PIECES, max_size=4).map("".join), min_size=1, max_size=3).map("|".join)


@settings(max_examples=150, deadline=None)
@given(pattern=REGEXES.filter(bool), texts=st.lists(st.text("abcé\n", max_size=6), max_size=12))
def test_random_patterns_mean_what_re_means(pattern, texts):
    dfa = dfa_of(pattern)
    for text in texts:
        expected = re.fullmatch(pattern, text) is not None
        assert bool(dfa.accepting[dfa.walk(0, text.encode())]) is expected, text


@pytest.mark.parametrize("pattern", [*PATTERNS, "|".join(f"word{n}x" for n in range(300))])
def test_every_state_s_mask_is_that_of_its_tokens_tried_one_by_one(pattern, compiler, tokenizer):
    grammar = compiler.compile(Regex(pattern, "native"))
    masks = grammar.compiled
    assert isinstance(masks, NativeMasks)
    table, dfa = grammar.engine.vocabulary.token_bytes, masks.dfa
    for state in range(min(dfa.dead, 40)):
        bits = np.unpackbits(masks.row(state).view(np.uint8), bitorder="little")
        expected = {i for i, data in enumerate(table) if data and dfa.walk(state, data) < dfa.dead}
        if dfa.accepting[state]:
            expected |= set(tokenizer.eos_ids)
        assert set(np.flatnonzero(bits).tolist()) == expected


def test_states_with_equal_masks_share_a_row(compiler):
    masks = compiler.compile(Regex("[a-z]{1,200}", "native")).compiled
    rows = {id(masks.row(state)) for state in range(1, 150)}
    assert len(rows) < 20


def test_rows_stay_under_their_bytes_however_many_states_are_asked():
    rows = Rows(most := 1_400)  # two of them
    vocabulary = Vocabulary([bytes([byte]) for byte in range(256)])
    texts = [f"{n:03}" for n in range(500)]
    dfa = byte_dfa(build_language(Choices(texts), GrammarLimits()))
    masks = NativeMasks(dfa, TokenColumns(vocabulary), (), vocabulary, rows)
    for state in range(dfa.dead):
        bits = np.unpackbits(masks.row(state).view(np.uint8), bitorder="little")
        assert set(np.flatnonzero(bits)) == {
            b for b in range(256) if dfa.walk(state, bytes([b])) < dfa.dead
        }
        assert rows.num_bytes <= most
    assert len(rows) < dfa.dead


REGULAR = [
    Choices(["", "yes", "yesterday", "no", "é", "è", "x" * 70 + "a", "x" * 70 + "b"]),
    *(Regex(pattern) for pattern in (r"(a|ab|abc)", r"1(\.2)?", r"[^a\x00]{1,9}", r"a+?b*|c")),
    Ebnf('root ::= item ("," item){0,2}\nitem ::= [a-c]+ | "霍格"'),
    JsonSchema('{"type":"object","properties":{"a":{"type":"integer"},"b":{"enum":["x","y"]}}}'),
]


@pytest.mark.parametrize("constraint", REGULAR, ids=str)
@pytest.mark.parametrize("backend", ["native", "outlines"])
def test_all_backends_allow_the_same_tokens(constraint, backend, compiler, allowed, tokenizer):
    from msgspec.structs import replace

    if backend == "outlines":
        pytest.importorskip("outlines_core")
    rng = np.random.default_rng(0)
    ours = compiler.compile(replace(constraint, backend=backend)).matcher()
    theirs = compiler.compile(replace(constraint, backend="xgrammar")).matcher()
    nul = {index for index, data in enumerate(tokenizer.token_bytes) if b"\0" in data}
    for _ in range(12):
        # outlines_core's NUL is our sentinel.
        mine = allowed(ours)
        assert mine == allowed(theirs) - (nul if backend == "outlines" else set())
        choices = sorted(mine - set(tokenizer.eos_ids))
        if not choices:
            break
        token = int(rng.choice(choices))
        assert ours.accept(token)
        assert theirs.accept(token)
        assert ours.finished == theirs.finished
    for matcher in (ours, theirs):
        matcher.rollback(1)
    assert ours.fork().finished == theirs.fork().finished


@pytest.mark.parametrize("backend", ["native", "outlines"])
def test_what_nests_without_end_is_refused_by_the_engines_for_regular_languages(backend, compiler):
    with pytest.raises(RequestError, match="regular languages only"):
        compiler.compile(Ebnf('root ::= "(" root ")" | ""', backend))


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        (r"(a)\1", "backreferences"),
        (r"(?=a)b", "lookahead"),
        (r"\bword\b", r"\\b and \\B"),
        (r"[ab]*a[ab]{20}", "over 12000 states"),
    ],
)
def test_what_is_outside_the_dialect_is_refused_by_name(pattern, told, compiler):
    with pytest.raises(RequestError, match=told):
        compiler.compile(Regex(pattern, "native"))


@pytest.mark.parametrize(("pattern", "fits"), [("[ab]*a[ab]{6}", True), ("[ab]*a[ab]{20}", False)])
def test_without_the_machine_automata_are_made_where_they_are_small(pattern, fits, compiler):
    language = build_language(Regex(pattern), GrammarLimits())
    shape = shaped(language, compiler._engine.vocabulary, GrammarLimits(), "auto", True)
    assert (shape.dfa is not None, shape.source == "") == (fits, fits)
