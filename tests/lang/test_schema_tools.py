"""Tools given as dicts, beside functions."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from scripted import CHATML, Scripted, model_info

import branchline as bl
from branchline.runtime import protocol

ROOMS = {
    "type": "function",
    "function": {
        "name": "book_room",
        "description": "Books a room.",
        "parameters": {
            "type": "object",
            "properties": {"room": {"enum": ["A", "B"]}, "hours": {"type": "integer"}},
            "required": ["room"],
            "additionalProperties": False,
        },
    },
}
INFO = model_info(role_markup={**CHATML, "tool": ("<|tool|>", "<|end|>\n")})


@bl.tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


def calling(name: str, **arguments: object) -> Scripted:
    call = json.dumps({"name": name, "arguments": arguments}, separators=(",", ":"))
    return Scripted(
        reply=lambda prompt: f"<tool_call>{call}</tool_call>",
        info=model_info(
            role_markup=INFO.role_markup,
            tool_call_example=(
                '<tool_call>{"name":"example_tool","arguments":{"key":"value"}}</tool_call>'
            ),
        ),
        capabilities=bl.Capabilities(tool_calls=True),
    )


@bl.function
def ask(s: bl.ProgramState, tools: list[Any]) -> None:
    s += bl.system(bl.tool_list(tools)) + bl.user("?")
    s += bl.assistant(bl.tool_call("call", tools, choice="required"))


def test_a_dict_is_a_tool_beside_functions() -> None:
    model = calling("book_room", room="B", hours=2)
    state = ask.run([ROOMS, add], backend=model)
    assert state.value("call") == [bl.ToolCall("book_room", {"room": "B", "hours": 2})]
    assert "book_room" in model.calls[0].text
    assert "Books a room." in model.calls[0].text
    constraint = model.calls[0].constraint
    assert isinstance(constraint, protocol.Tagged)
    schemas = [json.loads(tag.schema) for tag in constraint.tags]
    assert ROOMS["function"]["parameters"] in schemas  # type: ignore[index]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_schema_with_a_function_is_run(is_async: bool) -> None:
    def book(room: str, hours: int = 1) -> str:
        return f"{room} for {hours} h"

    async def book_async(room: str, hours: int = 1) -> str:
        await asyncio.sleep(0)
        return book(room, hours)

    rooms = bl.tool_from_schema(ROOMS, book_async if is_async else book)
    state = ask.run([rooms], backend=calling("book_room", room="A"))
    [result] = state.run_tools()
    assert result.value == "A for 1 h"
    assert state.messages()[-1] == {"role": "tool", "content": "A for 1 h"}


def test_a_schema_without_a_function_is_answered_by_hand() -> None:
    state = ask.run([ROOMS], backend=calling("book_room", room="A"))
    with pytest.raises(bl.InvalidRequest, match=r"book_room: given as a schema.*s\.tool\(text\)"):
        state.run_tools()
    state.tool("booked")
    assert state.messages()[-1] == {"role": "tool", "content": "booked"}


def test_arguments_that_break_the_schema_become_a_result_that_says_where() -> None:
    rooms = bl.tool_from_schema(ROOMS, lambda room: room)
    state = ask.run([rooms], backend=calling("book_room", room="C"))
    [result] = state.run_tools()
    assert result.error is not None
    assert "$.room: 'C' is not one of ['A', 'B']" in result.content


@pytest.mark.parametrize(
    "definition",
    [
        ROOMS["function"],
        {"name": "book_room", "input_schema": ROOMS["function"]["parameters"]},  # type: ignore[index]
    ],
)
def test_other_spellings_of_a_definition(definition: dict[str, Any]) -> None:
    tool = bl.tool_from_schema(definition)
    assert tool.name == "book_room"
    assert tool.parameters["required"] == ["room"]


def test_a_tool_without_parameters_takes_an_empty_object() -> None:
    tool = bl.tool_from_schema({"name": "now"})
    assert tool.validate("{}") == {}
    with pytest.raises(ValueError, match="unexpected"):
        tool.validate('{"zone": "UTC"}')


@pytest.mark.parametrize(
    ("definition", "error", "words"),
    [
        ({"type": "function"}, TypeError, "is no tool; a dict has a name"),
        ({"name": "two words"}, ValueError, "tool name 'two words'"),
        ({"name": "x", "parameters": "int"}, TypeError, "expected a JSON Schema"),
    ],
)
def test_a_dict_that_is_no_tool_is_refused(
    definition: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        bl.tool_call("call", [definition])
