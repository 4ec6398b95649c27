"""Ollama's API against an engine that the test plays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from played_front import Answer, Asker, PlayedFront

from branchline.runtime.protocol import JsonSchema, Tagged

ASK = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}
CALL = '{"name":"get","arguments":{"a":1}}'


@pytest.fixture
def front(roomy: PlayedFront) -> PlayedFront:
    return roomy


def chat(asker: Asker, **fields: object) -> Answer:
    return asker.post("/api/chat", **{"model": "tiny", "messages": ASK, **fields})


def lines(answer: Answer) -> list[Any]:
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.body.splitlines()]


def test_a_chat_streams_lines_unless_told_otherwise(front: PlayedFront, asker: Asker) -> None:
    *pieces, last = lines(chat(asker))
    assert "".join(piece["message"]["content"] for piece in pieces) == "good island"
    assert not any(piece["done"] for piece in pieces)
    assert (last["done"], last["done_reason"]) == (True, "stop")
    whole = chat(asker, stream=False).json
    assert whole["message"] == {"role": "assistant", "content": "good island"}
    assert whole["eval_count"] == last["eval_count"] > 0
    assert whole["prompt_eval_count"] == len(front.submits[0].input_ids)


@pytest.mark.parametrize("stream", [False, True])
def test_calls_are_told_whole_with_objects_as_arguments(
    front: PlayedFront, asker: Asker, stream: bool
) -> None:
    front.reply = lambda submit: CALL
    answer = chat(asker, tools=[TOOL], stream=stream)
    told = lines(answer)[-1] if stream else answer.json
    assert told["message"]["tool_calls"] == [{"function": {"name": "get", "arguments": {"a": 1}}}]
    assert isinstance(front.submits[0].constraint, Tagged)


def test_a_prompt_is_answered_in_the_template_or_continued_raw(
    front: PlayedFront, asker: Asker
) -> None:
    wanted: dict[str, object] = {"model": "tiny:latest", "prompt": "hello", "stream": False}
    assert asker.post("/api/generate", **wanted).json["response"] == "good island"
    asker.post("/api/generate", **wanted, raw=True)
    texts = [front.tokenizer.decode(submit.input_ids, False) for submit in front.submits]
    assert texts == ["<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n", "hello"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "load"),
        ({"stream": False, "keep_alive": "5m"}, "load"),
        ({"keep_alive": 0}, "unload"),
        ({"keep_alive": "0s"}, "unload"),
    ],
)
def test_no_prompt_asks_for_the_model_which_is_there_already(
    front: PlayedFront, asker: Asker, fields: dict[str, object], reason: str
) -> None:
    for path, nothing, empty in (
        ("/api/generate", {}, {"response": ""}),
        ("/api/generate", {"prompt": ""}, {"response": ""}),
        ("/api/chat", {}, {"message": {"role": "assistant", "content": ""}}),
        ("/api/chat", {"messages": []}, {"message": {"role": "assistant", "content": ""}}),
    ):
        told = asker.post(path, **{"model": "tiny", **nothing, **fields}).json
        del told["created_at"]
        assert told == {"model": "tiny", **empty, "done": True, "done_reason": reason}
    assert asker.post("/api/generate", model="llama3").status == 404
    assert front.submits == []


def test_options_and_format_reach_the_engine(front: PlayedFront, asker: Asker) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    options = {"num_predict": 5, "temperature": 0, "stop": ["x"], "num_ctx": 4096}
    chat(asker, format=schema, options=options)
    [submit] = front.submits
    assert submit.constraint == JsonSchema(json.dumps(schema, separators=(",", ":")))
    assert (submit.sampling.max_new_tokens, submit.sampling.temperature) == (5, 0)
    assert submit.sampling.stop == ["x"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"options": {"mirostat": 1}}, "mirostat"),
        ({"options": {"temperature": -1}}, "temperature"),
        ({"messages": [{"role": "user", "content": "x", "images": ["aGk="]}]}, "text only"),
    ],
)
def test_a_wrong_field_is_told_in_ollamas_form(
    asker: Asker, fields: dict[str, object], said: str
) -> None:
    answer = chat(asker, **fields)
    assert answer.status == 400
    assert list(answer.json) == ["error"]
    assert said in answer.json["error"]


def test_the_model_is_listed_and_shown(asker: Asker) -> None:
    [card] = asker.get("/api/tags").json["models"]
    shown = asker.post("/api/show", model=card["model"]).json
    assert shown["model_info"]["Tiny.context_length"] == 8192
    assert "tools" in shown["capabilities"]
    assert asker.post("/api/show", model="llama3").status == 404
    [loaded] = asker.get("/api/ps").json["models"]
    assert (loaded["model"], loaded["context_length"]) == (card["model"], 8192)
    assert asker.get("/api/version").json["version"]
