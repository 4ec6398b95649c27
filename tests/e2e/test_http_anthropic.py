"""The official `anthropic` package against a real runtime whose tiny model is random."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import anthropic
import pytest
from pydantic import BaseModel

from branchline.lang.launch import RuntimeProcess

KEY = "a-key-for-the-tests"
ASK: list[Any] = [{"role": "user", "content": "the quick brown"}]
# This version of the package knows no temperature.
GREEDY: dict[str, Any] = {"extra_body": {"temperature": 0}}
TOOLS: list[Any] = [
    {
        "name": "paint",
        "description": "Paint an item",
        "input_schema": {
            "type": "object",
            "properties": {"item": {"enum": ["fox", "dog"]}, "layers": {"enum": [1, 2]}},
            "required": ["item", "layers"],
        },
    },
    {"name": "rest", "input_schema": {"type": "object", "properties": {}}},
]


class Animal(BaseModel):
    """What is seen."""

    name: Literal["fox", "dog"]
    quick: bool


@pytest.fixture(scope="module")
def served(model_dir: Path) -> Iterator[RuntimeProcess]:
    with RuntimeProcess(
        str(model_dir), kv_slots=8192, num_threads=1, http="127.0.0.1:0", api_key=KEY
    ) as served:
        yield served


@pytest.fixture(scope="module")
def client(served: RuntimeProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=served.http_url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def model(model_dir: Path) -> str:
    return model_dir.name


def test_a_message_is_answered_with_usage(client: anthropic.Anthropic, model: str) -> None:
    wanted: dict[str, Any] = {"model": model, "max_tokens": 8, "messages": ASK, **GREEDY}
    first = client.messages.create(**wanted, system="be good")
    again = client.messages.create(**wanted, system=[{"type": "text", "text": "be good"}])
    assert first.content == again.content
    assert again.stop_reason in ("max_tokens", "end_turn")
    assert again.usage.input_tokens == 1
    counted = client.messages.count_tokens(model=model, messages=ASK, system="be good")
    assert again.usage.cache_read_input_tokens == counted.input_tokens - 1


def test_a_stream_spells_the_same_message(client: anthropic.Anthropic, model: str) -> None:
    wanted: dict[str, Any] = {"model": model, "max_tokens": 20, "messages": ASK, **GREEDY}
    whole = client.messages.create(**wanted)
    with client.messages.stream(**wanted) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert [block.text for block in whole.content if block.type == "text"] == [text]
    assert final.stop_reason == whole.stop_reason
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert final.usage.cache_read_input_tokens == sum(
        (whole.usage.input_tokens, whole.usage.cache_read_input_tokens or 0, -1)
    )


@pytest.mark.parametrize("stream", [False, True])
def test_calls_validate_and_go_on_with_their_results(
    client: anthropic.Anthropic, model: str, stream: bool
) -> None:
    messages = list(ASK)
    for _ in range(2):
        wanted: dict[str, Any] = {
            "model": model,
            "max_tokens": 200,
            "messages": messages,
            "tools": TOOLS,
            "tool_choice": {"type": "any"},
        }
        if stream:
            with client.messages.stream(**wanted) as events:
                said = events.get_final_message()
        else:
            said = client.messages.create(**wanted)
        assert said.stop_reason == "tool_use"
        calls = [block for block in said.content if block.type == "tool_use"]
        assert calls
        for call in calls:
            assert call.name == "rest" or call.input["item"] in ("fox", "dog")
            assert call.input == {} or call.input["layers"] in (1, 2)
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": "done"} for call in calls
        ]
        messages += [
            {"role": "assistant", "content": [b.model_dump(mode="json") for b in said.content]},
            {"role": "user", "content": results},
        ]


def test_a_named_tool_is_called_once(client: anthropic.Anthropic, model: str) -> None:
    said = client.messages.create(
        model=model,
        max_tokens=100,
        messages=ASK,
        tools=TOOLS,
        tool_choice={"type": "tool", "name": "rest"},
    )
    assert [(block.type, getattr(block, "name", None)) for block in said.content] == [
        ("tool_use", "rest")
    ]


def test_parse_gives_a_pydantic_object(client: anthropic.Anthropic, model: str) -> None:
    said = client.messages.parse(model=model, max_tokens=100, messages=ASK, output_format=Animal)
    assert isinstance(said.parsed_output, Animal)


def test_an_answer_goes_on_from_its_beginning(client: anthropic.Anthropic, model: str) -> None:
    begun: list[Any] = [*ASK, {"role": "assistant", "content": "fox jumps"}]
    counted = client.messages.count_tokens(model=model, messages=begun)
    said = client.messages.create(
        model=model, max_tokens=4, messages=begun, extra_body={"temperature": 0}
    )
    turn = client.messages.count_tokens(
        model=model, messages=[*begun, {"role": "user", "content": "fox jumps"}]
    )
    assert said.usage.input_tokens + (said.usage.cache_read_input_tokens or 0) == (
        counted.input_tokens
    )
    assert turn.input_tokens > counted.input_tokens + 4


def test_a_stop_sequence_is_told(client: anthropic.Anthropic, model: str) -> None:
    whole = client.messages.create(
        model=model, max_tokens=30, messages=ASK, extra_body={"temperature": 0}
    )
    [block] = whole.content
    assert block.type == "text"
    [stop, *_] = re.findall(r"[a-z]{2}", block.text)
    said = client.messages.create(
        model=model,
        max_tokens=30,
        messages=ASK,
        extra_body={"temperature": 0},
        stop_sequences=[stop],
    )
    assert (said.stop_reason, said.stop_sequence) == ("stop_sequence", stop)


def test_every_failure_has_its_exception(
    client: anthropic.Anthropic, served: RuntimeProcess, model: str
) -> None:
    create: Any = client.messages.create
    with pytest.raises(anthropic.BadRequestError, match="temperature") as bad:
        create(model=model, max_tokens=1, messages=ASK, extra_body={"temperature": -1})
    assert bad.value.body["error"]["type"] == "invalid_request_error"  # type: ignore[index]
    with pytest.raises(anthropic.BadRequestError, match="context"):
        create(model=model, max_tokens=1, messages=[{"role": "user", "content": "fox " * 20_000}])
    with pytest.raises(anthropic.NotFoundError) as missing:
        create(model="claude", max_tokens=1, messages=ASK)
    assert missing.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
    with (
        anthropic.Anthropic(base_url=served.http_url, api_key="wrong", max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError) as unknown,
    ):
        stranger.messages.create(model=model, max_tokens=1, messages=ASK)
    assert unknown.value.body["error"]["type"] == "authentication_error"  # type: ignore[index]
    with pytest.raises(anthropic.RequestTooLargeError):
        create(model=model, max_tokens=1, messages=[{"role": "user", "content": "x" * 5_000_000}])
    picture: Any = {"type": "image", "source": {"type": "url", "url": "http://x"}}
    with pytest.raises(anthropic.BadRequestError, match="text only"):
        create(model=model, max_tokens=1, messages=[{"role": "user", "content": [picture]}])
