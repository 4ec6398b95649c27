"""/v1/responses through the official `openai` package, against a real runtime whose tiny model is
random."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from branchline.lang.launch import RuntimeProcess

TOOLS: list[Any] = [
    {
        "type": "function",
        "name": "paint",
        "description": "Paint an item",
        "parameters": {
            "type": "object",
            "properties": {"item": {"enum": ["fox", "dog"]}},
            "required": ["item"],
        },
    }
]


class Animal(BaseModel):
    """What is seen."""

    name: Literal["fox", "dog"]
    quick: bool


@pytest.fixture(scope="module")
def client(model_dir: Path) -> Iterator[openai.OpenAI]:
    with (
        RuntimeProcess(str(model_dir), kv_slots=8192, num_threads=1, http="127.0.0.1:0") as served,
        openai.OpenAI(base_url=f"{served.http_url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def model(model_dir: Path) -> str:
    return model_dir.name


def test_a_stream_builds_the_same_answer(client: openai.OpenAI, model: str) -> None:
    wanted: dict[str, Any] = {
        "model": model,
        "input": "the quick brown",
        "instructions": "be good",
        "max_output_tokens": 20,
        "temperature": 0,
    }
    whole = client.responses.create(**wanted)
    events: list[Any] = list(client.responses.create(**wanted, stream=True))
    final = events[-1].response
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == whole.output_text == final.output_text
    assert events[0].type == "response.created"
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert whole.usage is not None
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert final.usage.input_tokens_details.cached_tokens == whole.usage.input_tokens - 1


def test_an_answer_that_is_cut_says_so(client: openai.OpenAI, model: str) -> None:
    said = client.responses.create(
        model=model, input="fox", max_output_tokens=1, text={"format": {"type": "text"}}
    )
    assert said.status == "incomplete"
    assert said.incomplete_details is not None
    assert said.incomplete_details.reason == "max_output_tokens"


def test_parse_gives_a_pydantic_object(client: openai.OpenAI, model: str) -> None:
    said = client.responses.parse(
        model=model, input="an animal", text_format=Animal, max_output_tokens=100
    )
    assert isinstance(said.output_parsed, Animal)


@pytest.mark.parametrize("stream", [False, True])
def test_calls_validate_and_go_on_with_their_results(
    client: openai.OpenAI, model: str, stream: bool
) -> None:
    items: list[Any] = [{"role": "user", "content": "paint"}]
    for _ in range(2):
        wanted: dict[str, Any] = {
            "model": model,
            "input": items,
            "tools": TOOLS,
            "tool_choice": "required",
            "max_output_tokens": 100,
        }
        if stream:
            with client.responses.stream(**wanted) as events:
                said: Any = events.get_final_response()
        else:
            said = client.responses.create(**wanted)
        calls = [item for item in said.output if item.type == "function_call"]
        assert calls
        assert all(call.arguments in ('{"item":"fox"}', '{"item":"dog"}') for call in calls)
        items += [item.model_dump(exclude_none=True) for item in said.output]
        items += [
            {"type": "function_call_output", "call_id": call.call_id, "output": "done"}
            for call in calls
        ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"store": True}, "store"),
        ({"input": []}, "input"),
        ({"input": [{"type": "computer_call"}]}, "input.0.type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input.0.content.0"),
        ({"input": [{"role": "user"}]}, "input.0"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"temperature": -1}, "temperature"),
        ({"max_output_tokens": -1}, "max_output_tokens"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
    ],
)
def test_what_is_not_there_is_refused_by_name(
    client: openai.OpenAI, model: str, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**{"model": model, "input": "fox", **fields})
    assert refused.value.param == param
