"""Tools through the official `openai` package, against a real runtime whose tiny model is random:
what is asserted holds with any model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from branchline.lang.launch import RuntimeProcess

KEY = "a-key-for-the-tests"


class paint(BaseModel):
    """Paint an item."""

    item: Literal["fox", "dog"]
    layers: Literal[1, 2, 3]


class count(BaseModel):
    """Count letters."""

    letters: Literal["a", "b"]


TOOLS: list[Any] = [openai.pydantic_function_tool(paint), openai.pydantic_function_tool(count)]
KINDS: dict[str, type[BaseModel]] = {"paint": paint, "count": count}
ASK: list[Any] = [{"role": "user", "content": "paint the fox"}]


@pytest.fixture(scope="module")
def client(model_dir: Path) -> Iterator[openai.OpenAI]:
    with (
        RuntimeProcess(
            str(model_dir), kv_slots=8192, num_threads=1, http="127.0.0.1:0", api_key=KEY
        ) as served,
        openai.OpenAI(base_url=f"{served.http_url}/v1", api_key=KEY, max_retries=0) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def model(client: openai.OpenAI) -> str:
    [card] = client.models.list().data
    return card.id


@pytest.mark.parametrize("seed", range(4))
def test_required_calls_validate_whatever_the_model(
    client: openai.OpenAI, model: str, seed: int
) -> None:
    answer = client.chat.completions.create(
        model=model, messages=ASK, tools=TOOLS, tool_choice="required", seed=seed, max_tokens=200
    )
    [choice] = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    for call in choice.message.tool_calls:
        assert call.type == "function"
        KINDS[call.function.name].model_validate_json(call.function.arguments)


def test_a_named_tool_is_called_once(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model,
        messages=ASK,
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "count"}},
        max_tokens=100,
    )
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "count"


def test_without_parallel_calls_there_is_one(client: openai.OpenAI, model: str) -> None:
    for seed in range(3):
        answer = client.chat.completions.create(
            model=model,
            messages=ASK,
            tools=TOOLS,
            tool_choice="required",
            parallel_tool_calls=False,
            seed=seed,
        )
        assert len(answer.choices[0].message.tool_calls or ()) == 1


def test_no_tool_is_called_where_none_may_be(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model, messages=ASK, tools=TOOLS, tool_choice="none", max_tokens=20
    )
    assert answer.choices[0].message.tool_calls is None
    assert answer.choices[0].finish_reason in ("stop", "length")


def test_parse_gives_the_arguments_as_objects(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.parse(
        model=model, messages=ASK, tools=TOOLS, tool_choice="required", max_tokens=200
    )
    for call in answer.choices[0].message.tool_calls or ():
        assert isinstance(call.function.parsed_arguments, KINDS[call.function.name])


def test_a_streamed_call_is_the_same_call(client: openai.OpenAI, model: str) -> None:
    wanted: dict[str, Any] = {
        "model": model,
        "messages": ASK,
        "tools": TOOLS,
        "tool_choice": "required",
        "temperature": 0,
        "max_tokens": 200,
    }
    whole = client.chat.completions.create(**wanted).choices[0].message.tool_calls
    with client.chat.completions.stream(**wanted) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in events
    streamed = final.choices[0].message.tool_calls
    assert whole
    assert streamed
    assert [(call.function.name, call.function.arguments) for call in streamed] == [
        (call.function.name, call.function.arguments) for call in whole if call.type == "function"
    ]


def test_a_loop_of_calls_and_results_goes_on(client: openai.OpenAI, model: str) -> None:
    messages = list(ASK)
    for _ in range(3):
        answer = client.chat.completions.create(
            model=model, messages=messages, tools=TOOLS, tool_choice="required", max_tokens=100
        )
        said = answer.choices[0].message
        messages.append(said.model_dump(exclude_none=True))
        for call in said.tool_calls or ():
            result = json.dumps({"done": call.id})
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    last = client.chat.completions.create(model=model, messages=messages, max_tokens=10)
    assert last.choices[0].message.content is not None
