"""Free text with constrained islands."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.vocabulary import Vocabulary
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Choices, Ebnf, Island, Islands, JsonSchema, Regex

BYTES = Vocabulary([bytes([byte]) for byte in range(256)])
NUMBER = Island("<n>", Regex("[0-9]+"), "</n>")
POINT = json.dumps({"properties": {"x": {"type": "integer"}}, "required": ["x"]})


def walker_of(constraint: Islands) -> Walker:
    return Walker(build_language(constraint, GrammarLimits()), BYTES)


def accepts(walker: Walker, text: str) -> bool:
    state = walker.walk(walker.start, text.encode())
    return state is not None and state.accepting


@pytest.mark.parametrize(
    ("constraint", "taken", "refused"),
    [
        (
            Islands([NUMBER]),
            ["", "no island", "a <n>1</n> b <<n>23</n>", "< n>", "<n>1</n>"],
            ["<n>", "<n>x</n>", "a <n>1</n", "<n>1</n><n>"],
        ),
        (
            Islands([NUMBER], min_islands=1, max_islands=2, text_after=False),
            ["a<n>1</n>", "<n>1</n> and <n>2</n>"],
            ["", "<n>1</n><n>2</n>.", "<n>1</n><n>2</n><n>3</n>"],
        ),
        (
            Islands([NUMBER], max_islands=1),
            ["<n>1</n> end < n", "x"],
            ["<n>1</n> <n>"],
        ),
        (
            Islands([Island("<f=a>", JsonSchema(POINT)), Island("<f=b>", Choices(["y"]))], ["<f="]),
            ['call <f=a>{"x":1} then <f=b>y', "<f"],
            ["<f=c>", "<f=b>x"],
        ),
        (
            Islands([Island("aab", Ebnf('root ::= "(" root ")" | "1"'))]),
            ["aaab((1)).", "aaaa", "ab"],
            ["aab", "aaaab(1"],
        ),
    ],
)  # fmt: skip
def test_text_is_free_up_to_a_trigger_and_held_to_a_form_behind_it(constraint, taken, refused):
    walker = walker_of(constraint)
    assert [accepts(walker, text) for text in taken] == [True] * len(taken)
    assert [accepts(walker, text) for text in refused] == [False] * len(refused)


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="aabx1", max_size=12), trigger=st.sampled_from(["aab", "abab", "aa"]))
def test_free_text_is_exactly_the_text_without_the_trigger(text, trigger):
    # The island takes nothing, so the whole text is legal unless a trigger is cut short by it.
    walker = walker_of(Islands([Island(trigger, Choices(["1"]))]))
    pieces = re.fullmatch(f"(?:(?:(?!{trigger}).)*{trigger}1)*(?:(?!{trigger}).)*", text)
    assert accepts(walker, text) is (pieces is not None)


@pytest.mark.parametrize(
    ("constraint", "told", "pointer"),
    [
        (Islands([NUMBER], [""]), "trigger is empty", "/constraint/triggers"),
        (Islands([NUMBER], ["<x"]), "no island begins with", "/constraint/triggers"),
        (Islands([NUMBER, Island("<m>", Regex("a"))], ["<n"]), "no tr", "/constraint/triggers"),
        (Islands([NUMBER, Island("<n>x", Regex("a"))]), "holds '<n>'", "/constraint/triggers"),
        (Islands([NUMBER], min_islands=3, max_islands=2), "below", "/constraint/max_islands"),
        (
            Islands([Island("<f>", JsonSchema("{}", on_unsupported="validate"))]),
            "not checked",
            "/constraint/islands/0/content/on_unsupported",
        ),
        (
            Islands([Island("<f>", Regex("a", "native"))]),
            "one grammar backend",
            "/constraint/islands/0/content/backend",
        ),
        (
            Islands([Island("<f>", JsonSchema('{"minLength":-1}'))]),
            "'<f>'",
            "/constraint/islands/0/content#/minLength",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_told_apart_is_refused_by_its_place(constraint, told, pointer):
    with pytest.raises(RequestError, match=told) as caught:
        walker_of(constraint)
    assert caught.value.pointer == pointer


def test_a_control_token_as_trigger_is_that_token_and_never_its_spelling(compiler, tokenizer):
    grammar = compiler.compile(Islands([Island("<tool_call>", Choices(["yes"]))]))
    (call,) = tokenizer.encode_text("<tool_call>", markup=True)
    spelled = tokenizer.encode_text("<tool_call>")
    assert call not in spelled
    matcher = grammar.matcher()
    assert all(matcher.accept(token) for token in spelled)
    assert matcher.accept(call)
    assert not matcher.accept(tokenizer.encode_text("no")[0])
    assert all(matcher.accept(token) for token in tokenizer.encode_text("yes"))


@pytest.mark.parametrize("extra", [0, 1, 3, 10, 30])
def test_a_text_with_islands_is_whole_within_every_budget(extra, compiler, generate):
    grammar = compiler.compile(Islands([NUMBER], min_islands=2))
    text = generate(grammar, grammar.min_tokens + extra, extra)
    assert len(re.findall(r"<n>[0-9]+</n>", text)) >= 2
    assert text.count("<n>") == text.count("</n>")
