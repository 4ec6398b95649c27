"""`bl.extract` and `bl.classify`: what they take, and what they refuse before a model is asked."""

from __future__ import annotations

import enum
from typing import Literal

import pytest

import branchline as bl


class Mood(enum.Enum):
    CALM = "calm"
    ANGRY = "angry"


@pytest.mark.parametrize("kind", [int, {"type": "integer"}, '{"type":"integer"}'])
def test_a_record_is_asked_for_by_a_type_or_a_schema(model, kind):
    model.reply = lambda prompt: "3"
    assert bl.extract(kind, "three", backend=model) == 3


@pytest.mark.parametrize("text", [None, 5, float("nan")])
def test_a_missing_text_is_refused(model, text):
    with pytest.raises(TypeError, match=rf"extract\(\): text={text}: expected a string; leave out"):
        bl.extract(int, text, backend=model)
    with pytest.raises(TypeError, match=rf"classify\(\): text={text}: expected a string"):
        bl.classify(text, ["a", "b"], backend=model)
    assert model.calls == []


@pytest.mark.parametrize(
    ("kind", "error", "told"),
    [
        (complex, TypeError, "kind=<class 'complex'>: no output can be held to a complex number"),
        (print, TypeError, "kind=<built-in function print>: no JSON is made of it"),
        ("integer", ValueError, "kind='integer': expected a type or a JSON schema"),
    ],
)
def test_a_kind_that_is_none_is_refused_by_name(model, kind, error, told):
    with pytest.raises(error, match=rf"extract\(\): {told}"):
        bl.extract(kind, "text", backend=model)


@pytest.mark.parametrize(
    "labels", [["calm", "angry"], (one for one in ("calm", "angry")), Literal["calm", "angry"]]
)
def test_labels_may_be_any_strings(model, labels):
    assert bl.classify("Hm.", labels, backend=model) in ("calm", "angry")


def test_labels_of_an_enum_give_a_member(model):
    assert bl.classify("Hm.", Mood, backend=model) in Mood


@pytest.mark.parametrize("labels", ["calm", [], None, [1, 2]])
def test_labels_that_are_none_are_refused(model, labels):
    with pytest.raises(ValueError, match=r"classify.*expected a list of strings"):
        bl.classify("Hm.", labels, backend=model)
