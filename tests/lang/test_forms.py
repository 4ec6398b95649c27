"""The forms of `gen`: which constraint each argument gives, and what is refused before a call."""

from __future__ import annotations

import re

import pytest

import branchline as bl
from branchline.runtime.protocol import Choices, Ebnf, Island, Islands, JsonSchema, Regex

SCHEMA = {"type": "integer"}


@pytest.mark.parametrize(
    ("expr", "constraint"),
    [
        (bl.gen("x", grammar='root ::= "a"'), Ebnf('root ::= "a"')),
        (bl.gen("x", regex="a+", grammar_backend="native"), Regex("a+", "native")),
        (bl.gen("x", regex=re.compile("a+")), Regex("a+")),
        (bl.gen("x", schema=SCHEMA), JsonSchema('{"type":"integer"}')),
        (
            bl.gen("x", json_schema=SCHEMA, reading="specification", any_order=True),
            JsonSchema('{"type":"integer"}', reading="specification", any_order=True),
        ),
        (
            bl.gen("x", schema=int, on_unsupported="validate"),
            JsonSchema('{"type":"integer"}', on_unsupported="validate"),
        ),
        (
            bl.gen("x", json_schema=SCHEMA, separators=(", ", ": "), indent=2),
            JsonSchema('{"type":"integer"}', separators=(", ", ": "), indent=2),
        ),
        (
            bl.gen("x", schema=int, max_whitespace=8),
            JsonSchema('{"type":"integer"}', max_whitespace=8),
        ),
        (
            bl.gen("x", islands=bl.Island("<n>", "</n>", regex="[0-9]+")),
            Islands([Island("<n>", Regex("[0-9]+"), "</n>")]),
        ),
        (
            bl.gen("x", islands=[bl.Island("<a>", choices=["y"]), bl.Island("<b>", schema=int)]),
            Islands(
                [Island("<a>", Choices(["y"])), Island("<b>", JsonSchema('{"type":"integer"}'))]
            ),
        ),
    ],
)
def test_an_argument_gives_its_constraint(expr, constraint):
    assert expr.constraint == constraint


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"grammar": "root ::= x", "regex": "a"}, "regex and grammar contradict each other"),
        ({"grammar": ""}, "expected the text of a grammar"),
        ({"islands": []}, "expected a list of bl.Island"),
        ({"islands": ["<a>"]}, "expected bl.Island, got '<a>'"),
        ({"regex": "a", "grammar_backend": "magic"}, "expected one of 'auto', 'xgrammar'"),
        ({"grammar_backend": "native"}, "grammar_backend goes with"),
        ({"regex": "a", "any_order": True}, "any_order goes with json_schema or schema"),
        ({"schema": int, "reading": "open"}, "expected 'closed' or 'specification'"),
        ({"regex": "a", "indent": 2}, "indent goes with json_schema or schema"),
        ({"schema": int, "separators": (";", ":")}, "expected a comma and a colon"),
        ({"schema": int, "separators": ","}, "expected a comma and a colon"),
        ({"schema": int, "indent": 9}, "indent=9: expected a number of spaces from 0 to 8"),
        ({"schema": int, "max_whitespace": -1}, "expected a number of characters from 0 to 32"),
        ({"schema": int, "max_whitespace": 2, "indent": 2}, "leaves white space to the model"),
        ({"regex": re.compile("a", re.IGNORECASE)}, "has flags; write them into the expression"),
        ({"regex": 5}, r"gen\('x'\): regex=5: expected a string"),
        ({"json_schema": int}, "a type goes as schema="),
    ],
)
def test_arguments_that_make_no_form_are_refused_by_name(arguments, told):
    with pytest.raises(ValueError, match=told):
        bl.gen("x", **arguments)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "give one of regex"),
        ({"regex": "a", "grammar": "b"}, "contradict each other"),
    ],
)
def test_an_island_has_one_content(arguments, told):
    with pytest.raises(ValueError, match=told):
        bl.Island("<a>", **arguments)


def test_a_broken_expression_is_told_with_its_call():
    with pytest.raises(re.error, match=r"gen\('x'\): regex='\(a': missing \)"):
        bl.gen("x", regex="(a")


def test_an_island_needs_a_beginning():
    with pytest.raises(ValueError, match="begin must not be empty"):
        bl.Island("", regex="a")


def test_a_type_that_cannot_be_enforced_is_told_with_its_call():
    with pytest.raises(TypeError, match=r"gen\('x'\): schema=<class 'complex'>: no output can be"):
        bl.gen("x", schema=complex)
