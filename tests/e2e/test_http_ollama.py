"""The official `ollama` package against a real runtime whose tiny model is random."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import ollama
import pytest
from pydantic import BaseModel

from branchline.lang.launch import RuntimeProcess

KEY = "a-key-for-the-tests"
ASK: list[Any] = [{"role": "user", "content": "the quick brown"}]
GREEDY: Any = {"temperature": 0, "num_predict": 20}


class Animal(BaseModel):
    """What is seen."""

    name: Literal["fox", "dog"]
    quick: bool


def paint(item: str) -> str:
    """Paint an item.

    Args:
        item: what to paint
    """
    return item


@pytest.fixture(scope="module")
def served(model_dir: Path) -> Iterator[RuntimeProcess]:
    with RuntimeProcess(
        str(model_dir), kv_slots=8192, num_threads=1, http="127.0.0.1:0", api_key=KEY
    ) as served:
        yield served


@pytest.fixture(scope="module")
def client(served: RuntimeProcess) -> Iterator[ollama.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with ollama.Client(host=served.http_url, headers=headers) as client:
        yield client


@pytest.fixture(scope="module")
def model(client: ollama.Client) -> str:
    [card] = client.list().models
    assert card.model is not None
    return card.model


def test_a_chat_is_answered_with_counts(client: ollama.Client, model: str) -> None:
    answer = client.chat(model, ASK, options=GREEDY)
    assert answer.done
    assert answer.message.content
    assert answer.eval_count is not None
    assert 0 < answer.eval_count <= 20


def test_a_stream_spells_the_same_answer(client: ollama.Client, model: str) -> None:
    whole = client.chat(model, ASK, options=GREEDY).message.content
    parts = list(client.chat(model, ASK, options=GREEDY, stream=True))
    assert "".join(part.message.content or "" for part in parts) == whole
    assert [part.done for part in parts[-2:]] == [False, True]


def test_a_schema_holds(client: ollama.Client, model: str) -> None:
    answer = client.chat(model, ASK, format=Animal.model_json_schema())
    Animal.model_validate_json(answer.message.content or "")


def test_a_function_of_python_is_a_tool(client: ollama.Client, model: str) -> None:
    messages = list(ASK)
    for _ in range(8):  # the random model may also just talk
        answer = client.chat(model, messages, tools=[paint], options={"num_predict": 200})
        for call in answer.message.tool_calls or ():
            assert call.function.name == "paint"
            assert isinstance(call.function.arguments["item"], str)
        messages += [answer.message, {"role": "tool", "tool_name": "paint", "content": "done"}]


def test_a_prompt_is_continued(client: ollama.Client, model: str) -> None:
    answer = client.generate(model, "the quick brown", raw=True, options=GREEDY)
    parts = client.generate(model, "the quick brown", raw=True, options=GREEDY, stream=True)
    assert "".join(part.response for part in parts) == answer.response
    any_object = client.generate(model, "an object", format="json", options={"num_predict": 100})
    assert isinstance(json.loads(any_object.response), dict)


def test_the_model_is_shown(client: ollama.Client, model: str) -> None:
    shown = client.show(model)
    assert "completion" in (shown.capabilities or ())


def test_texts_are_embedded(client: ollama.Client, model: str) -> None:
    answer = client.embed(model, ["the quick brown", "fox"], dimensions=8)
    assert [len(vector) for vector in answer.embeddings] == [8, 8]


def test_every_failure_has_its_exception(
    client: ollama.Client, served: RuntimeProcess, model: str
) -> None:
    with pytest.raises(ollama.ResponseError) as missing:
        client.chat("llama3", ASK)
    assert missing.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="temperature") as bad:
        client.chat(model, ASK, options={"temperature": -1})
    assert bad.value.status_code == 400
    with (
        ollama.Client(host=served.http_url) as stranger,
        pytest.raises(ollama.ResponseError) as unknown,
    ):
        stranger.chat(model, ASK)
    assert unknown.value.status_code == 401
