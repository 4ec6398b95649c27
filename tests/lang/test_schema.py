"""From types to JSON Schema and to the outline that prompts show."""

from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import jsonschema
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

import branchline as bl
from branchline.lang.schema import NoSchemaError, json_schema_of

Date = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Amount = Annotated[str, Field(pattern=r"^\d+\.\d{2}$")]


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    name: str
    quantity: int
    unit_price: Amount


class Order(BaseModel):
    customer: str
    order_id: str
    priority: Literal["low", "medium", "high"]
    due_date: Date | None
    paid: bool
    quantity: int
    score: float
    total: decimal.Decimal
    tags: list[str]
    items: list[Item]


class Node(BaseModel):
    label: str
    children: list[Node]


@dataclass
class Point:
    x: int
    y: int = 0


class Options(TypedDict):
    a: str
    b: NotRequired[int]


def test_an_outline_is_the_line_that_the_embedded_model_knows():
    assert bl.schema_outline(Order) == (
        '{"customer":string,"order_id":string,"priority":"low"|"medium"|"high",'
        '"due_date":date|null,"paid":boolean,"quantity":integer,"score":number,"total":decimal,'
        '"tags":[string],"items":[{"name":string,"quantity":integer,"unit_price":decimal}]}'
    )


@pytest.mark.parametrize(
    ("kind", "outline"),
    [
        (str, "string"),
        (int, "integer"),
        (float, "number"),
        (bool, "boolean"),
        (None, "null"),
        (datetime.date, "date"),
        (Color, '"red"|"blue"'),
        (Literal["one"], '"one"'),
        (Literal["a", None], '"a"|null'),
        (int | None, "integer|null"),
        (None | int, "integer|null"),
        (int | str, "integer|string"),
        (list[Color], '["red"|"blue"]'),
        (dict[str, int], "{string:integer}"),
        (dict, "object"),
        (list, "[any]"),
        (tuple[int, str], "[integer,string]"),
        (Any, "any"),
        (Point, '{"x":integer,"y":integer}'),
        (Options, '{"a":string,"b":integer}'),
        (Node, '{"label":string,"children":[Node]}'),
        ({"type": ["string", "null"], "format": "date"}, "date|null"),
        ('{"const": 5}', "5"),
        ({"allOf": [{"type": "integer"}]}, "integer"),
        ({}, "any"),
    ],
)
def test_every_kind_of_type_has_an_outline(kind, outline):
    assert bl.schema_outline(kind) == outline


@pytest.mark.parametrize(
    ("pattern", "outline"),
    [
        (r"^\d{4}-\d{2}-\d{2}$", "date"),
        (r"^[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9]$", "date"),
        (r"^\d+\.\d{2}$", "decimal"),
        (r"^-?\d+(\.\d+)?$", "decimal"),
        (r"^\d\.\d{2}$", "decimal"),
        (r"^\d+$", "string"),
        (r"^[A-Z]{3}-\d+$", "string"),
        (r"^.*$", "string"),
        (r"\d", "string"),
        (r"^\d{2}:\d{2}$", "string"),
        (r"(", "string"),
    ],
)
def test_dates_and_decimals_are_told_by_what_their_pattern_matches(pattern, outline):
    assert bl.schema_outline({"type": "string", "pattern": pattern}) == outline


def test_keys_and_options_are_quoted_as_json():
    schema = {"properties": {'a"b': {"enum": ["ü", 1, True, None]}}}
    assert bl.schema_outline(schema) == '{"a\\"b":"ü"|1|true|null}'


def test_generated_records_have_every_field_and_no_other():
    class Settings(BaseModel):
        name: str = "x"
        point: Point | None = None

    schema = json_schema_of(Settings)
    assert schema["required"] == ["name", "point"]
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Point"]["required"] == ["x", "y"]
    assert schema["$defs"]["Point"]["additionalProperties"] is False


def test_what_a_typed_dict_declares_as_not_required_stays_so():
    assert json_schema_of(Options)["required"] == ["a"]


def test_dictionaries_keep_their_open_keys():
    assert json_schema_of(dict[str, int])["additionalProperties"] == {"type": "integer"}


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        (decimal.Decimal, ["1", "-1.5", "12.50"], ["", "1.", "x", ".5"]),
        (Annotated[decimal.Decimal, Field(decimal_places=2, ge=0)], ["1.50"], ["-1.50", "1.5"]),
        (Annotated[decimal.Decimal, Field(decimal_places=0)], ["-15"], ["1.5"]),
        (Annotated[decimal.Decimal, Field(ge=0, le=10)], ["0", "9.99", "10.0"], ["-1", "10.01"]),
        (Annotated[decimal.Decimal, Field(gt=0)], ["0.01", "70"], ["0", "0.00", "-1"]),
        (Annotated[decimal.Decimal, Field(max_digits=4)], ["1234", "-1.234"], ["12.345"]),
        (
            Annotated[decimal.Decimal, Field(max_digits=4, decimal_places=2)],
            ["12.34", "-0.50"],
            ["123.40", "1.5"],
        ),
    ],
)
def test_decimals_are_strings_of_digits(kind, right, wrong):
    validator = jsonschema.Draft202012Validator(json_schema_of(kind))
    assert all(validator.is_valid(text) for text in right)
    assert not any(validator.is_valid(text) for text in [*wrong, 1, 1.5])


@pytest.mark.parametrize(
    ("keys", "right", "wrong"),
    [
        (int, ["1", "-20"], ["a", "1.5", ""]),
        (Annotated[int, Field(ge=1, lt=12)], ["1", "11"], ["0", "12", "a"]),
        (float, ["1", "-2.5"], ["a", "."]),
        (bool, ["true", "false"], ["yes"]),
        (Color, ["red"], ["green"]),
        (datetime.date, ["2024-02-29"], ["2023-02-29"]),
        (Annotated[str, Field(pattern="^a+$")], ["aa"], ["b"]),
        (int | None, ["1"], ["null"]),
        (int | str, ["1", "a"], []),
    ],
)
def test_keys_of_a_dictionary_are_read_as_their_type(keys, right, wrong):
    validator = jsonschema.Draft202012Validator(
        json_schema_of(dict[keys, int]), format_checker=jsonschema.FormatChecker()
    )
    assert all(validator.is_valid({key: 1}) for key in right)
    assert not any(validator.is_valid({key: 1}) for key in wrong)
    assert bl.schema_outline(dict[keys, int]) == "{string:integer}"


class Pair(enum.Enum):
    ONE = (1, 2)


class Number(enum.IntEnum):
    ONE = 1


class Tagged(BaseModel):
    color: Literal[Color.RED]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (Literal[Color.RED], 'a Literal whose "red" pydantic does not read; use an Enum, or'),
        (Tagged, 'a Literal whose "red" pydantic'),
        (Pair, r"an Enum whose \[1, 2\] pydantic does not read"),
        (dict[Number, int], "keys that are constants but no texts; use str or int"),
        (dict[tuple[int, int], int], "keys of JSON's type array; use str or int"),
        (Annotated[decimal.Decimal, Field(multiple_of=2)], "multiple_of; use decimal_places"),
        (Annotated[decimal.Decimal, Field(ge=5, le=3)], "bounds with nothing between them"),
        (Annotated[datetime.date, Field(gt=datetime.date.max)], "bounds with nothing between"),
        (pydantic.PastDate, "a date in the past; use datetime.date"),
        (pydantic.FutureDatetime | None, "a datetime.datetime in the future; use"),
        (Annotated[datetime.timedelta, Field(ge=datetime.timedelta(0))], "timedelta with ge; use"),
        (pydantic.Json[list[int]], r"JSON in a string \(Json\); use the type inside it"),
        (complex, "a complex number; use a float for each part"),
        (pydantic.ImportString, r"\(ImportString\); use a Literal of names"),
        (pydantic.FilePath, "a path that is looked up; use pathlib.Path"),
        (pydantic.NewPath, "a path that is looked up"),
        (type[int], r"a class \(type\[...\]\); use a Literal of names"),
        (pydantic.Base64Str, "an encoded text; use str"),
        (pydantic.ByteSize, "a size with a unit"),
        (ipaddress.IPv4Network, "an IP network or interface; use"),
        (re.Pattern[bytes], "a pattern of bytes"),
        (pydantic.FileUrl, "a URL of file; use str"),
        (pydantic.PostgresDsn, "a URL of several hosts; use str"),
    ],
)
def test_what_no_grammar_can_enforce_is_refused_with_what_to_use(kind, told):
    with pytest.raises(NoSchemaError, match=f"no output can be held to .*{told}"):
        json_schema_of(kind)


def test_a_schema_that_a_type_brings_along_is_taken():
    given = {"type": "string", "pattern": "^[0-9]j$"}
    assert json_schema_of(Annotated[complex, pydantic.WithJsonSchema(given)]) == given


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (list["Nowhere"], "Nowhere"),  # noqa: F821
        (Annotated[str, Field(pattern="^(?!a)b")], "look-ahead and look-behind, is not supported"),
        ('{"type":"integer"}', "a text is no type"),
    ],
)
def test_what_pydantic_makes_nothing_of_is_told_on_one_line(kind, told):
    with pytest.raises(NoSchemaError, match=rf"no JSON is made of it \(.*{told}") as caught:
        json_schema_of(kind)
    assert "\n" not in str(caught.value)


NAMES = st.text("abcdef", min_size=1, max_size=4)
KINDS = st.recursive(
    st.sampled_from([str, int, float, bool, Date, Amount, Color, Literal["x", "y"]]),
    lambda kinds: st.one_of(
        kinds.map(lambda kind: list[kind]),
        kinds.map(lambda kind: kind | None if isinstance(kind, type) else kind),
    ),
    max_leaves=4,
)


@given(st.dictionaries(NAMES, KINDS, min_size=1, max_size=4))
@settings(deadline=None)
def test_an_outline_is_one_line_and_names_every_field(fields):
    from pydantic import create_model

    model = create_model("Model", **{name: (kind, ...) for name, kind in fields.items()})
    outline = bl.schema_outline(model)
    assert "\n" not in outline
    assert "any" not in outline
    for name in fields:
        assert f'"{name}":' in outline
