"""Functions as tools: what models see of them, and what they accept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Annotated, Literal

import jinja2
import pytest
from pydantic import Field
from scripted import model_info

import branchline as bl
from branchline.lang.tools import as_tool
from branchline.runtime.models import embedded
from branchline.runtime.tool_formats import (
    EMBEDDED,
    HERMES,
    JSON,
    LLAMA3,
    MISTRAL,
    MISTRAL_ARGS,
    RawCall,
    ToolFormat,
    signature_line,
    tool_format_for,
)


@dataclass
class Point:
    x: int
    y: int


@bl.tool
def get_weather(city: str, day: date | None = None, unit: Literal["C", "F"] = "C") -> str:
    """Weather of
    a city.

    Not shown.

    Args:
        city: Name of the city.
        unit (str): Of the temperature.
    """
    return f"{city} {day} {unit}"


def test_a_tool_is_still_the_function():
    assert get_weather("Rome", unit="F") == "Rome None F"
    assert get_weather.__wrapped__("Oslo") == "Oslo None C"
    assert get_weather.__name__ == "get_weather"


def test_signature_and_docstring_become_the_schema():
    assert get_weather.name == "get_weather"
    assert get_weather.description == "Weather of a city."
    schema = get_weather.parameters
    assert schema["required"] == ["city"]
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == ["city", "day", "unit"]
    assert schema["properties"]["city"]["description"] == "Name of the city."
    assert schema["properties"]["day"]["format"] == "date"
    assert schema["properties"]["unit"]["enum"] == ["C", "F"]
    assert schema["properties"]["unit"]["description"] == "Of the temperature."


def test_arguments_become_what_the_function_asks_for():
    assert get_weather.validate('{"city":"Rome","day":"2024-02-29"}') == {
        "city": "Rome",
        "day": date(2024, 2, 29),
    }


@pytest.mark.parametrize("arguments", ["{}", '{"city":1}', '{"city":"a","x":1}', "[]", "{"])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match="validation error"):
        get_weather.validate(arguments)


def test_nested_types_and_constraints_are_kept():
    @bl.tool(name="draw.line", description="Draws.", timeout=2)
    def draw(points: Annotated[list[Point], Field(min_length=2)]) -> int:
        return len(points)

    assert (draw.name, draw.description, draw.timeout_s) == ("draw.line", "Draws.", 2)
    assert draw.parameters["properties"]["points"]["minItems"] == 2
    assert draw(**draw.validate('{"points":[{"x":1,"y":2},{"x":3,"y":4}]}')) == 2
    assert signature_line(draw.spec) == 'draw.line(points: [{"x":integer,"y":integer}]): Draws.'


def test_a_parameter_named_in_sphinx_style_is_described():
    @bl.tool
    def ask(question: str) -> str:
        """:param question: What to ask."""
        return question

    assert ask.description == ""
    assert ask.parameters["properties"]["question"]["description"] == "What to ask."


def test_a_bound_method_and_a_callable_object_are_tools():
    class Counter:
        def count(self, text: str) -> int:
            return len(text)

        def __call__(self, text: str) -> int:
            return 2 * len(text)

    counter = Counter()
    assert as_tool(counter.count).parameters["required"] == ["text"]
    assert as_tool(counter).validate('{"text":"a"}') == {"text": "a"}


def test_a_partial_is_a_tool_by_what_it_calls():
    paris = partial(partial(get_weather, unit="F"), city="Paris")
    weather = as_tool(paris)
    assert (weather.name, weather.description) == ("get_weather", "Weather of a city.")
    assert "required" not in weather.parameters
    assert weather(**weather.validate('{"day":"2024-02-29"}')) == "Paris 2024-02-29 F"


def test_functions_that_a_model_cannot_call_are_refused():
    def open_ended(*args: int) -> int:
        return 0

    with pytest.raises(TypeError, match=r"parameter \*args.*declare each"):
        bl.tool(open_ended)

    def untyped(x):
        return x

    with pytest.raises(TypeError, match="needs a type, such as x: str"):
        bl.tool(untyped)

    def positional(x: int, /) -> int:
        return x

    with pytest.raises(TypeError, match="remove the slash"):
        bl.tool(positional)
    for name in ("auto", "", "a b", "x" * 65):
        with pytest.raises(ValueError, match="tool name"):
            bl.tool(name=name)(lambda: 0)
    with pytest.raises(ValueError, match="seconds above 0"):
        bl.tool(timeout=0)(test_a_tool_is_still_the_function)
    with pytest.raises(TypeError, match="is no tool"):
        as_tool("get_weather")


def test_a_class_is_refused() -> None:
    class Place:
        def __init__(self, city: str) -> None:
            self.city = city

    with pytest.raises(TypeError, match="tool 'Place': a class; give a function"):
        bl.tool(Place)


def test_a_type_that_cannot_be_found_is_named():
    class Local:
        pass

    def use(x: Local) -> None: ...

    with pytest.raises(TypeError, match="tool 'use': name 'Local' is not defined"):
        _ = bl.tool(use).parameters


def test_the_embedded_models_own_template_lists_tools_the_same():
    @bl.tool
    def light(room: str, state: Literal["on", "off"], level: int = 3) -> None:
        """Switch a light"""

    folder = embedded.__path__[0]
    with open(f"{folder}/tokenizer_config.json") as file:
        source = json.load(file)["chat_template"]
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, **options)
    specs = [get_weather.spec, light.spec]
    rendered = environment.from_string(source).render(
        messages=[{"role": "system", "content": "Help."}], tools=[spec._asdict() for spec in specs]
    )
    listed = "".join(text for text, _ in EMBEDDED.listing(specs))
    assert rendered == f"<|im_start|>system\nHelp.\n{listed}<|im_end|>\n"


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        ('<tool_call>{"name":"example_tool","arguments":{"key":"value"}}</tool_call>', EMBEDDED),
        (
            '<tool_call>\n{"name": "example_tool", "arguments": {"key": "value"}}\n</tool_call>',
            HERMES,
        ),
        ('{"name": "example_tool", "parameters": {"key": "value"}}', LLAMA3),
        (
            '[TOOL_CALLS] [{"name": "example_tool", "arguments": {"key": "value"}, '
            '"id": "000000000"}]',
            MISTRAL,
        ),
        ("call example_tool please", JSON),
        (None, JSON),
    ],
)
def test_a_models_format_is_told_by_how_its_template_writes_a_call(example, expected):
    assert tool_format_for(model_info(tool_call_example=example)) is expected


def test_a_registered_format_is_found_too(monkeypatch):
    from branchline.runtime import tool_formats

    monkeypatch.setattr(tool_formats, "_formats", dict(tool_formats._formats))
    own = ToolFormat("own", "<f:", "<f:", ">", "</f>")
    bl.register_tool_format(own)
    example = '<f:example_tool>{"key": "value"}</f>'
    assert bl.get_tool_format("own") is own
    assert tool_format_for(model_info(tool_call_example=example)) is own
    assert own.parse(f"Well. {example}") == (
        "Well. ",
        [RawCall("example_tool", '{"key": "value"}')],
    )
    with pytest.raises(KeyError, match="known: embedded"):
        bl.get_tool_format("other")


def test_white_space_round_the_formats_own_text_does_not_matter():
    call = RawCall("f", '{"a": 1}')
    assert MISTRAL_ARGS.parse('[TOOL_CALLS] f[ARGS] {"a": 1}\n') == ("", [call])
    assert EMBEDDED.parse(
        'Well.<tool_call> {"name": "f",\n"arguments": {"a": 1}} </tool_call>'
    ) == (
        "Well.",
        [call],
    )


@pytest.mark.parametrize(
    "output",
    [
        "<tool_call>",
        '<tool_call>{"name":"a","arguments":',
        '<tool_call>{"name":"a","arguments":[]}</tool_call>',
        '<tool_call>{"name":"a","arguments":{}}</tool_call> and more',
        '<tool_call>{"name":"a","arguments":{}}',
        "<tool_call>" + '{"name":"a","arguments":' + '{"a":' * 100_000,
    ],
)
def test_what_begins_like_a_call_and_is_none_is_an_error(output):
    with pytest.raises(ValueError):  # noqa: PT011 - any will do, json's own included
        EMBEDDED.parse(output)
