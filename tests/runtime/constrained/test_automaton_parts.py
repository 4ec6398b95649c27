"""Texts by the patterns that match them: cut at once as cut in turn."""

from __future__ import annotations

import pytest

from branchline.runtime.constrained import automaton
from branchline.runtime.constrained.automaton_parts import cut_at_once, cut_in_turn, divided
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.schema_strings import pattern_automaton

CASES = {
    "none": [],
    "one": ["^a"],
    "apart": ["^a", "^b", "^cc$", "^cd$", "^e*$"],
    "overlapping": ["a", "b", "c", "^.{2,4}$"],
    "within each other": ["^a", "^ab", "^abc", "^abcd", "x$"],
    "nothing matches": ["^(?!a)a", "^a", "b$", "^[^a]"],
    "beyond ASCII": [r"^\w+$", "é", "^ü", "[0-9]"],
}
TEXTS = [
    "",
    "a",
    "b",
    "ab",
    "abc",
    "abcd",
    "cc",
    "cd",
    "e",
    "ee",
    "x",
    "ax",
    "é",
    "üé1",
    "taken",
    "7",
]


@pytest.mark.parametrize("name", CASES)
def test_both_ways_of_cutting_give_the_same_parts(name):
    base = automaton.without(automaton.ANYTHING, automaton.words(["taken"]))
    others = [pattern_automaton(source, GrammarLimits()) for source in CASES[name]]
    at_once, in_turn = cut_at_once(base, others), cut_in_turn(base, others, 1_000)
    assert {key for key, _ in at_once} == {key for key, _ in in_turn}
    for parts in (dict(at_once), dict(in_turn)):
        for text in TEXTS:
            matching = frozenset(i for i, one in enumerate(others) if one.accepts(text))
            found = [key for key, machine in parts.items() if machine.accepts(text)]
            assert found == ([matching] if text != "taken" else [])


def test_what_would_make_too_many_parts_is_left_out():
    others = [pattern_automaton(letter, GrammarLimits()) for letter in "abcdef"]
    parts = divided(automaton.ANYTHING, others, 8)
    assert len(parts) == 8
    assert {index for matching, _ in parts for index in matching} == {0, 1, 2}
