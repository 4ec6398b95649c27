"""Tagged values in free text: control tokens stand only where the format names them."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.ebnf import write_ebnf
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.nodes import NodeGraph
from branchline.runtime.constrained.prune import prune
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Regex, Tag, Tagged

SCHEMAS = {
    "get_weather": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "light": {
        "type": "object",
        "properties": {"state": {"enum": ["on", "off"]}},
        "required": ["state"],
        "additionalProperties": False,
    },
}


def tags(start: str = "<tool_call>") -> list[Tag]:
    return [
        Tag(f'{start}{{"name":"{name}","arguments":', json.dumps(schema), "}</tool_call>")
        for name, schema in SCHEMAS.items()
    ]


# The test tokenizer has <tool_call> as a control token, and spells </tool_call> and [CALLS].
CALLS = {
    "one, required": Tagged(tags()),
    "several, required": Tagged(tags(), max_values=None, separator="\n"),
    "text before": Tagged(tags(), max_values=3, text="before", trigger="<tool_call>"),
    "spelled trigger": Tagged(tags("[CALLS]"), text="before", trigger="[CALLS]"),
    "text instead": Tagged(
        tags("")[:1], opening="[", closing="]", max_values=None, separator=", ", text="instead",
        trigger="[",
    ),
    "text only": Tagged([], text="before", trigger="<tool_call>"),
}  # fmt: skip


@pytest.fixture(scope="session")
def draw(tokenizer, compiler, allowed):
    """Tokens at random under the masks, with control tokens shown in the text. End tokens are
    drawn seldom and a trigger often, so that values come up."""

    def draw_one(constraint: Tagged, budget: int, seed: int) -> str:
        rng = np.random.default_rng(seed)
        matcher = compiler.compile(constraint, budget).matcher()
        ids: list[int] = []
        while len(ids) < budget and not matcher.finished:
            choices = allowed(matcher, budget - len(ids))
            eager = choices & (tokenizer.control_ids - set(tokenizer.eos_ids))
            if eager and rng.random() < 0.2:
                choices = eager
            elif choices - set(tokenizer.eos_ids) and rng.random() < 0.95:
                choices = choices - set(tokenizer.eos_ids)
            token = int(rng.choice(sorted(choices)))
            assert matcher.accept(token)
            if token in tokenizer.eos_ids:
                break
            ids.append(token)
        return tokenizer.bytes_of(ids, skip_special_tokens=False).decode("utf-8", "replace")

    return draw_one


def values_of(constraint: Tagged, text: str) -> list[tuple[str, object]]:
    """A reader of its own: what follows the free text, value by value."""
    found: list[tuple[str, object]] = []
    rest = text.removeprefix(constraint.opening).removesuffix(constraint.closing)
    while rest:
        if found:
            assert rest.startswith(constraint.separator)
            rest = rest.removeprefix(constraint.separator)
        begin = next(tag.begin for tag in constraint.tags if rest.startswith(tag.begin))
        value, end = json.JSONDecoder().raw_decode(rest[len(begin) :])
        rest = rest[len(begin) + end :]
        assert rest.startswith("}</tool_call>")
        rest = rest.removeprefix("}</tool_call>")
        found.append((begin.split('"')[3], value))
    return found


@pytest.mark.parametrize("kind", CALLS)
@given(seed=st.integers(0, 2**32), budget=st.integers(60, 120))
@settings(max_examples=12, deadline=None)
def test_every_value_in_a_random_output_is_whole_and_validates(kind, draw, seed, budget):
    constraint = CALLS[kind]
    text = draw(constraint, budget, seed)
    if constraint.text == "before":
        _, found, text = text.partition(constraint.trigger)
        text = found + text
    elif constraint.text == "instead" and not text.startswith(constraint.trigger):
        text = ""
    values = values_of(constraint, text)
    assert len(values) <= (constraint.max_values or budget)
    assert values or constraint.text != "none"
    for name, value in values:
        jsonschema.validate(value, SCHEMAS[name])


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("seed", range(2))
def test_a_mask_allows_exactly_the_tokens_that_the_reference_accepts(
    kind, seed, compiler, tokenizer, allowed
):
    grammar = compiler.compile(CALLS[kind])
    engine = compiler._engine_of_tags()
    language = build_language(CALLS[kind], GrammarLimits(), engine.controls.marked)
    walker = Walker(language, engine.vocabulary)
    table = engine.vocabulary.token_bytes
    rng = np.random.default_rng(seed)
    matcher, state = grammar.matcher(), walker.start
    for _ in range(40):
        expected = {
            index
            for index, data in enumerate(table)
            if data and walker.walk(state, data) is not None
        }
        if state.accepting:
            expected |= set(tokenizer.eos_ids)
        assert allowed(matcher) == expected
        controls = expected & (tokenizer.control_ids - set(tokenizer.eos_ids))
        choices = sorted(controls or expected - set(tokenizer.eos_ids))
        if not choices:
            break
        token = int(rng.choice(choices))
        assert matcher.accept(token)
        state = walker.walk(state, table[token])


def test_a_control_token_that_the_format_names_cannot_be_spelled(compiler, tokenizer, allowed):
    (call,) = tokenizer.encode_text("<tool_call>", markup=True)
    matcher = compiler.compile(Tagged(tags())).matcher()
    assert allowed(matcher) == {call}
    assert not matcher.accept(tokenizer.encode_text("<")[0])
    assert matcher.accept(call)


def test_forced_text_after_a_control_token_is_spelled_as_the_tokenizer_does(compiler, tokenizer):
    whole = '<tool_call>{"name":"light","arguments":{"state":"on"}}</tool_call>'
    ids = tokenizer.encode_text(whole, markup=True)
    matcher = compiler.compile(Tagged(tags()[1:])).matcher()
    forced = matcher.forced().token_ids
    assert forced == ids[: len(forced)]
    assert len(forced) > 2


def test_free_text_holds_no_control_token_and_never_spells_the_trigger(
    compiler, tokenizer, allowed
):
    matcher = compiler.compile(CALLS["text only"]).matcher()
    spelled = [tokenizer.token_bytes.index(bytes([byte])) for byte in b"a <tool_call"]
    for token in spelled:
        assert allowed(matcher).isdisjoint(tokenizer.control_ids - set(tokenizer.eos_ids))
        assert matcher.accept(token)
    assert not matcher.accept(tokenizer.token_bytes.index(b">"))


def test_a_string_inside_a_value_may_hold_the_spelled_markers(compiler, tokenizer):
    matcher = compiler.compile(Tagged(tags()[:1])).matcher()
    text = '<tool_call>{"name":"get_weather","arguments":{"city":"'
    for token in tokenizer.encode_text(text, markup=True):
        assert matcher.accept(token)
    for token in tokenizer.encode_text("</tool_call><tool_call>"):
        assert token not in tokenizer.control_ids
        assert matcher.accept(token)
    assert not matcher.accept(tokenizer.encode_text("<tool_call>", markup=True)[0])


def test_other_grammars_never_allow_the_control_token(compiler, tokenizer, allowed):
    (call,) = tokenizer.encode_text("<tool_call>", markup=True)
    assert call not in allowed(compiler.compile(Regex("(.|\n)*")).matcher())


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (Tagged(tags(), text="before", trigger="<<call>"), "repeats its first character"),
        (Tagged(tags(), text="before"), "needs a trigger"),
        (Tagged([]), "neither tags nor text"),
        (Tagged([Tag("<|im_end|>", "{}")]), "ends the output"),
        (Tagged([Tag("a", '{"const":"\U00100000"}')]), "private-use"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(constraint, message, compiler):
    with pytest.raises(RequestError, match=message) as caught:
        compiler.compile(constraint)
    assert caught.value.code == "grammar"


def test_a_broken_schema_is_named_by_its_tag_and_place(compiler):
    schema = '{"type":"object","properties":{"x":{"type":"strnig"}}}'
    with pytest.raises(RequestError, match="strnig") as caught:
        compiler.compile(Tagged([*tags(), Tag("x", schema)]))
    assert caught.value.pointer == "/constraint/tags/2/schema#/properties/x/type"


def test_what_tools_share_is_written_once(compiler):
    properties = {"day": {"type": "string", "format": "date"}, "price": {"type": "number"}}
    schema = json.dumps({"type": "object", "properties": properties, "required": ["day"]})
    vocabulary = compiler._engine_of_tags().vocabulary

    def length(count: int) -> int:
        constraint = Tagged([Tag(f"<{index:02}>", schema) for index in range(count)])
        language = build_language(constraint, GrammarLimits())
        graph = NodeGraph(language, vocabulary)
        return len(write_ebnf(prune(language, graph), 640, GrammarLimits()))

    one, many = length(1), length(21)
    assert (many - one) / 20 < one / 5
