"""Texts by the patterns that match them: cut at once as cut in turn."""

from __future__ import annotations

import pytest

from branchline.runtime.constrained import automaton, automaton_parts
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
    at_once, in_turn = cut_at_once(base, others, 1_000), cut_in_turn(base, others, 1_000)
    assert {key for key, _ in at_once} == {key for key, _ in in_turn}
    for parts in (dict(at_once), dict(in_turn)):
        for text in TEXTS:
            matching = frozenset(i for i, one in enumerate(others) if one.accepts(text))
            found = [key for key, machine in parts.items() if machine.accepts(text)]
            assert found == ([matching] if text != "taken" else [])


@pytest.mark.parametrize("sources", ["abcdef", ["^a", "a", "^.{3}$", "b", "^ab", "x$"]])
@pytest.mark.parametrize("most", [1, 2, 3, 5, 8])
def test_both_ways_leave_out_what_would_make_too_many_parts(sources, most):
    others = [pattern_automaton(source, GrammarLimits()) for source in sources]
    at_once = cut_at_once(automaton.ANYTHING, others, most)
    in_turn = cut_in_turn(automaton.ANYTHING, others, most)
    assert len(at_once) == len(in_turn) <= most
    assert dict(at_once).keys() == dict(in_turn).keys()
    for text in TEXTS:
        taking = [[key for key, one in parts if one.accepts(text)] for parts in (at_once, in_turn)]
        assert taking[0] == taking[1]
        assert len(taking[0]) == 1


def test_hundreds_of_patterns_are_cut_in_one_walk(monkeypatch):
    """A bomb: in turn each of them would cut every part anew, for minutes."""
    monkeypatch.setattr(automaton_parts, "cut_in_turn", None)
    others = [pattern_automaton(f"^p{number}", GrammarLimits()) for number in range(300)]
    parts = divided(automaton.ANYTHING, others, 64)
    assert len(parts) == 64
    assert {index for matching, _ in parts for index in matching} == set(range(63))
