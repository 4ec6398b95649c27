"""s.value: outputs as validated Python objects."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field
from scripted import Scripted
from scripted_plans import ScriptedPlans

import branchline as bl


class Color(enum.Enum):
    RED = "red"


class Item(BaseModel):
    name: str
    due: datetime.date | None = None


@dataclass
class Point:
    x: int


def state_with(model, output, **form):
    model.reply = lambda prompt: output

    @bl.function
    def program(s):
        s += bl.gen("x", **form)

    return program.run(backend=model)


@pytest.mark.parametrize(
    ("form", "output", "value"),
    [
        ({"schema": Item}, '{"name":"a","due":"2024-03-15"}', Item(name="a", due="2024-03-15")),
        ({"schema": Point}, '{"x":1}', Point(1)),
        ({"schema": Color}, '"red"', Color.RED),
        ({"schema": list[int] | None}, "[1,2]", [1, 2]),
        ({"schema": list[int] | None}, "null", None),
        ({"schema": bool}, "true", True),
        ({"json_schema": {"type": "array"}}, "[1]", [1]),
        ({"dtype": int}, "7", 7),
        ({"dtype": float}, "-.5", -0.5),
        ({"dtype": bool}, "False", False),
        ({"dtype": str}, '"a b"', "a b"),
        ({"regex": "[0-9]+"}, "7", "7"),
        ({}, "text", "text"),
    ],
)
def test_a_value_is_read_by_the_form_of_its_call(model, form, output, value):
    state = state_with(model, output, **form)
    assert state.value("x") == value
    assert state["x"] == output


@pytest.mark.parametrize(
    ("output", "kind", "value"),
    [
        ("7", int, 7),
        ("red", Color, Color.RED),
        ('"red"', Color, Color.RED),
        ("2024-03-15", datetime.date, datetime.date(2024, 3, 15)),
        ('{"name":"a"}', Item, Item(name="a")),
        ("[1]", list[int], [1]),
        ('"quoted"', str, '"quoted"'),
    ],
)
def test_plain_output_can_be_read_as_any_type(model, output, kind, value):
    assert state_with(model, output).value("x", kind) == value


def test_an_output_that_does_not_validate_says_where_and_what(model):
    state = state_with(model, '{"name":', schema=Item)
    with pytest.raises(bl.InvalidOutput, match=r"no Item: .*'\{\"name\":'.*Gen\('x'\)") as caught:
        state.value("x")
    assert caught.value.text == '{"name":'
    assert isinstance(caught.value, bl.GenerationError)
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (Annotated[int, Field(ge=5)], "int"),
        (dict[int, str], r"dict\[int, str\]"),
        (Literal["a", "b"], r"Literal\['a', 'b'\]"),
        (int | None, r"int \| None"),
    ],
)
def test_an_output_that_does_not_validate_names_the_type(model, kind, named):
    with pytest.raises(bl.InvalidOutput, match=f"the output is no {named}: "):
        state_with(model, "x", schema=kind).value("x")


def test_several_sequences_give_a_list_of_values(model):
    model.reply = lambda prompt: "1"

    @bl.function
    def program(s):
        s += bl.gen("x", n=2, dtype=int)

    state = program.run(backend=model)
    assert state.value("x") == state.value("x", int) == state.value("x", list[int]) == [1, 11]


def test_several_sequences_that_are_lists_give_a_list_of_lists(model):
    model.reply = lambda prompt: "[1]."

    @bl.function
    def program(s):
        s += bl.gen("x", n=2, stop=".", schema=list[int])

    state = program.run(backend=model)
    assert state.value("x") == state.value("x", list[int]) == state.value("x", list[list[int]])
    assert state.value("x") == [[1], [1]]


@pytest.mark.parametrize("backend", [Scripted, ScriptedPlans])
def test_what_a_join_gathers_is_read_branch_by_branch(backend):
    model = backend(reply=lambda prompt: "1")

    @bl.function
    def program(s):
        group = s.fork(2)
        group += bl.gen("x", schema=int) + bl.gen("several", n=2, dtype=int)
        group += lambda i: bl.gen("mixed", dtype=int) if i else bl.gen("mixed")
        for branch in group:
            with branch.copy() as copied:
                copied += bl.gen("inner", schema=int)
        group.join()

    [state] = program.run_batch([[]], backend=model)
    assert state["x"] == ["1", "1"]
    assert state.value("x") == state.value("x", list[int]) == state.value("x", int) == [1, 1]
    assert state.value("x", str) == ["1", "1"]
    assert state.value("several") == [[1, 11], [1, 11]]
    assert state.value("mixed") == ["1", 1]
    assert state.value("inner") == state.value("inner", list[list[int]]) == [[1], [1]]


def test_branches_whose_values_are_lists_give_a_list_of_lists(model):
    model.reply = lambda prompt: "[1,2]"

    @bl.function
    def program(s):
        with s.copy() as copied:
            copied += bl.gen("x", schema=list[int])

    state = program.run(backend=model)
    assert state.value("x") == state.value("x", list[int]) == state.value("x", list[list[int]])
    assert state.value("x") == [[1, 2]]


def test_a_gathered_value_that_does_not_validate_says_which_branch_wrote_it(model):
    @bl.function
    def program(s):
        with s.copy() as copied:
            copied += bl.gen("x", schema=int)

    with pytest.raises(bl.InvalidOutput, match=r"no int: .*Gen\('x'\)"):
        program.run(backend=model).value("x")


def test_a_choice_can_be_read_as_an_enum(model):
    @bl.function
    def program(s):
        s += bl.select("x", ["red"])

    assert program.run(backend=model).value("x", Color) is Color.RED


def test_values_set_by_hand_come_back_as_they_are(model):
    state = bl.function(lambda s: None).run(backend=model)
    state["x"] = [1, {"a": 2}]
    assert state.value("x") == [1, {"a": 2}]


def test_the_value_of_an_unknown_name_is_a_key_error(model):
    with pytest.raises(KeyError, match="no variable"):
        bl.function(lambda s: None).run(backend=model).value("x")
