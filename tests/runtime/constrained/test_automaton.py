"""Automata: their algebra, compared with Python's `re` on every short text."""

from __future__ import annotations

import itertools
import re

import pytest

from branchline.runtime.constrained import automaton
from branchline.runtime.constrained.automaton_expr import to_expr
from branchline.runtime.constrained.expr import Language, chars
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.regex import fullmatch
from branchline.runtime.constrained.vocabulary import Vocabulary
from branchline.runtime.constrained.walker import Walker

PATTERNS = [
    *("(a|ab|abc)", "yes|yesterday", r"1(\.2)?", "(ab)+", "a+?", "()*", "a||b", "[ab]*a[ab]{2}"),
    *("a{2,4}b?", "(a|b)*c", "[^a]b", "."),
]
TEXTS = ["".join(t) for n in range(5) for t in itertools.product("abc", repeat=n)]
TEXTS += ["1", "1.2", "yes", "yesterday", "é", "\n"]
MACHINES = {p: automaton.from_expr(fullmatch(p, GrammarLimits())) for p in PATTERNS}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_an_automaton_takes_what_re_takes(pattern):
    for text in TEXTS:
        assert MACHINES[pattern].accepts(text) == bool(re.fullmatch(pattern, text)), text


@pytest.mark.parametrize(("left", "right"), list(itertools.combinations(PATTERNS, 2)))
def test_and_or_but_not_hold_for_every_text(left, right):
    one, other = MACHINES[left], MACHINES[right]
    machines = [
        combine(one, other) for combine in (automaton.both, automaton.either, automaton.without)
    ]
    for text in TEXTS:
        mine, theirs = one.accepts(text), other.accepts(text)
        expected = [mine and theirs, mine or theirs, mine and not theirs]
        assert [machine.accepts(text) for machine in machines] == expected, text


@pytest.mark.parametrize("pattern", PATTERNS)
def test_an_automaton_written_as_rules_is_the_same_language(pattern):
    rules: dict = {}
    root = to_expr(MACHINES[pattern], chars, rules, "s")
    walker = Walker(Language(root, rules), Vocabulary([bytes([b]) for b in range(256)]))
    for text in TEXTS:
        state = walker.walk(walker.start, text.encode())
        assert (state is not None and state.accepting) == bool(re.fullmatch(pattern, text)), text


def test_lengths_are_those_of_the_shortest_and_the_longest_text():
    lengths = {p: automaton.lengths(MACHINES[p]) for p in ("(a|ab|abc)", "(ab)+", "a{2,4}b?")}
    assert lengths == {"(a|ab|abc)": (1, 3), "(ab)+": (2, None), "a{2,4}b?": (2, 5)}
