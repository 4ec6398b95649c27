"""typing.TypedDict on every Python version, wherever in a type it stands."""

from __future__ import annotations

from typing import Annotated, NotRequired, Required, TypedDict

import pytest
from pydantic import Field

from branchline.lang.schema import json_schema_of, type_adapter


class Inner(TypedDict):
    a: int
    b: NotRequired[str]


class Loose(TypedDict, total=False):
    a: Required[int]
    inner: list[Inner]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Inner, '{"a":1}', {"a": 1}),
        (Loose, '{"a":1,"inner":[{"a":2}]}', {"a": 1, "inner": [{"a": 2}]}),
        (list[Inner], '[{"a":1,"b":"x"}]', [{"a": 1, "b": "x"}]),
        (Inner | None, "null", None),
        (dict[str, Inner], '{"k":{"a":1}}', {"k": {"a": 1}}),
        (Annotated[list[Inner], Field(max_length=1)], '[{"a":1}]', [{"a": 1}]),
    ],
)
def test_typed_dicts_validate_wherever_they_stand(kind, text, value):
    assert type_adapter(kind).validate_json(text) == value


def test_marks_of_required_keys_are_kept():
    assert json_schema_of(Inner)["required"] == ["a"]
    assert json_schema_of(Loose)["required"] == ["a"]


def test_metadata_around_a_typed_dict_is_kept():
    schema = json_schema_of(Annotated[list[Inner], Field(max_length=1)])
    assert schema["maxItems"] == 1
