"""The constructors: what they accept, refuse and show."""

from __future__ import annotations

import inspect
import re
from typing import Literal

import pytest

import branchline as bl
from branchline.lang import ir
from branchline.runtime import protocol


def test_gen_takes_its_arguments_in_the_conventions_order():
    assert list(inspect.signature(bl.gen).parameters)[:23] == [
        "name", "max_tokens", "min_tokens", "n", "stop", "stop_token_ids", "stop_regex",
        "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty",
        "ignore_eos", "return_logprob", "logprob_start_len", "top_logprobs_num",
        "return_text_in_logprobs", "dtype", "choices", "choices_method", "regex", "json_schema",
    ]  # fmt: skip


def test_gen_int_and_gen_string_pass_every_argument_on():
    names = set(inspect.signature(bl.gen_int).parameters)
    assert names == set(inspect.signature(bl.gen_string).parameters)
    values = {
        "name": "x", "max_tokens": 1, "n": 2, "stop": ["s"], "stop_token_ids": [3],
        "stop_regex": "r", "temperature": 0.4, "top_p": 0.5, "top_k": 6, "min_p": 0.7,
        "frequency_penalty": 0.8, "presence_penalty": 0.9, "ignore_eos": True,
        "return_logprob": True, "logprob_start_len": 10, "top_logprobs_num": 11,
        "return_text_in_logprobs": True,
    }  # fmt: skip
    assert names == set(values)
    whole = bl.gen_int(**values)
    alone = bl.gen(**values, dtype=int)
    assert (whole.sampling, whole.constraint) == (alone.sampling, alone.constraint)


@pytest.mark.parametrize(
    ("expr", "shown"),
    [
        (bl.gen("a"), "Gen('a')"),
        ("x" + bl.gen(), "ExprList([Constant('x'), Gen(None)])"),
        (bl.user("q"), "ExprList([RoleBegin(user), Constant('q'), RoleEnd(user)])"),
        (
            bl.select("k", ["a"]),
            "Select('k', choices=['a'], choices_method=TokenLengthNormalized)",
        ),
    ],
)
def test_nodes_have_a_stable_repr(expr, shown):
    assert repr(expr) == shown


def test_plus_makes_flat_lists():
    nodes = ("a" + bl.gen("x") + "b" + (bl.gen("y") + "c")).exprs
    assert [type(node) for node in nodes] == [
        ir.Constant, ir.Gen, ir.Constant, ir.Gen, ir.Constant,
    ]  # fmt: skip


def test_plus_with_a_number_is_refused():
    with pytest.raises(TypeError):
        bl.gen("a") + 5


def test_a_broken_regex_is_refused_where_it_is_written():
    with pytest.raises(re.error):
        bl.gen("a", regex="(")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"regex": "a", "json_schema": "{}"}, "regex and json_schema contradict"),
        ({"schema": int, "dtype": int}, "dtype and schema contradict"),
        ({"choices": ["a"], "regex": "a"}, "choices and regex contradict"),
        ({"dtype": list}, "dtype=.*expected one of int, float, bool, str"),
        ({"json_schema": "{"}, "json_schema is not JSON"),
        ({"json_schema": "[]"}, "expected an object"),
        ({"temperature": -1}, r"gen\('x'\): temperature=-1: expected `float` >= 0.0"),
        ({"max_tokens": "5"}, "max_tokens='5'"),
        ({"n": 0}, "n=0"),
        ({"stop": [""]}, "stop="),
        ({"top_logprobs_num": 21}, "21"),
        ({"choices": ["a"], "temperature": 0.5}, "temperature=0.5"),
    ],
)
def test_arguments_that_cannot_be_are_refused_where_they_are_written(arguments, words):
    with pytest.raises(ValueError, match=words):
        bl.gen("x", **arguments)


@pytest.mark.parametrize("choices", [None, [], "yes", ["a", ""], ["a", 1]])
def test_select_needs_a_list_of_texts(choices):
    with pytest.raises(ValueError, match="choices"):
        bl.select("x", choices)


def test_no_choices_make_an_ordinary_call():
    assert isinstance(bl.gen("x", choices=[]), ir.Gen)


@pytest.mark.parametrize("dtype", [int, "int"])
def test_dtype_is_a_regex_and_stops_after_the_number(model, dtype):
    model.reply = lambda prompt: "42\nmore"

    @bl.function
    def program(s):
        s += bl.gen("x", dtype=dtype, stop="!")

    state = program.run(backend=model)
    assert (state["x"], state.value("x")) == ("42", 42)
    assert model.calls[0].constraint == protocol.Regex(r"[-+]?[0-9]+[ \n]*")
    assert model.calls[0].sampling.stop == ["!", " ", "\n"]


def test_a_schema_reaches_the_runtime_as_compact_json(model):
    @bl.function
    def program(s):
        s += bl.gen("x", schema=Literal["a", "b"])

    program.run(backend=model).sync()
    assert model.calls[0].constraint == protocol.JsonSchema('{"enum":["a","b"],"type":"string"}')


def test_separate_reasoning_needs_a_name_and_a_known_model_type():
    with pytest.raises(ValueError, match="name must be provided"):
        bl.separate_reasoning(bl.gen(), model_type="qwen3")
    with pytest.raises(ValueError, match=r"unknown model_type 'gpt'; known: .*qwen3"):
        bl.separate_reasoning(bl.gen("x"), model_type="gpt")


@pytest.mark.parametrize("expr", [bl.gen("x"), bl.user("a"), bl.select("y", ["a"])])
def test_an_expression_in_an_f_string_is_refused(expr):
    """It would be the text of its repr, and nothing would be generated."""
    with pytest.raises(TypeError, match=r"cannot stand in an f-string; write it behind the text"):
        _ = f"Answer: {expr}"
    assert repr(expr) == str(expr) == f"{expr!r}"


@pytest.mark.parametrize("kind", [object(), print, "no type"])
def test_a_schema_that_is_no_type_of_json_says_what_is(kind):
    with pytest.raises(TypeError, match=r"gen\('x'\): schema=.*: no JSON is made of it") as caught:
        bl.gen("x", schema=kind)
    assert "\n" not in str(caught.value)
    assert "or a JSON schema as a dict" in str(caught.value)


def test_equal_calls_may_share_a_node():
    assert bl.gen("x", max_tokens=3) is bl.gen("x", max_tokens=3)
    assert bl.gen("x", temperature=1) is not bl.gen("x", temperature=1.0)
    assert bl.gen("x", stop=["a"]) is not bl.gen("x", stop=["a"])
    # A type may be completed after it was first used.
    assert bl.gen("x", schema=int) is not bl.gen("x", schema=int)


def test_the_same_call_asks_for_what_each_run_says(model):
    @bl.function
    def program(s):
        s += bl.gen("x", max_tokens=3)

    for temperature in (0.0, 0.5):
        program.run(temperature=temperature, backend=model).sync()
    assert [call.sampling.temperature for call in model.calls] == [0.0, 0.5]
