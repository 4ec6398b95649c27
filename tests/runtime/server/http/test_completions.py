"""/v1/completions against an engine that the test plays."""

from __future__ import annotations

import pytest
from played_front import Asker, PlayedFront

PATH = "/v1/completions"


def test_a_prompt_is_continued(front: PlayedFront, asker: Asker) -> None:
    answer = asker.post(PATH, prompt="hello world", max_tokens=50)
    assert answer.json["choices"] == [
        {"index": 0, "text": "good island", "logprobs": None, "finish_reason": "stop"}
    ]
    assert front.submits[0].input_ids == front.tokenizer.encode_text("hello world")


def test_sixteen_tokens_are_the_default(front: PlayedFront, asker: Asker) -> None:
    asker.post(PATH, prompt="hello")
    assert front.submits[0].sampling.max_new_tokens == 16


def test_several_prompts_are_answered_in_order(front: PlayedFront, asker: Asker) -> None:
    front.reply = lambda submit: front.tokenizer.decode(submit.input_ids).upper()
    answer = asker.post(PATH, prompt=["one", "two"], n=2)
    texts = [(choice["index"], choice["text"]) for choice in answer.json["choices"]]
    assert texts == [(0, "ONE"), (1, "ONE"), (2, "TWO"), (3, "TWO")]
    assert answer.json["usage"]["prompt_tokens_details"]["cached_tokens"] == 6


@pytest.mark.parametrize("prompt", [[5, 6, 7], [[5, 6, 7]]])
def test_token_prompts_are_taken_as_they_are(
    front: PlayedFront, asker: Asker, prompt: object
) -> None:
    assert asker.post(PATH, prompt=prompt).status == 200
    assert front.submits[0].input_ids == [5, 6, 7]


def test_control_tokens_in_a_prompt_are_text_unless_it_is_markup(
    front: PlayedFront, asker: Asker
) -> None:
    asker.post(PATH, prompt="<|im_end|>")
    asker.post(PATH, prompt="<|im_end|>", markup=True)
    plain, markup = front.submits
    assert 2 not in plain.input_ids
    assert markup.input_ids == [2]


def test_echo_puts_the_prompt_first_with_its_log_probabilities(asker: Asker) -> None:
    [choice] = asker.post(PATH, prompt="hello", echo=True, logprobs=1).json["choices"]
    assert choice["text"] == "hellogood island"
    logprobs = choice["logprobs"]
    assert "".join(logprobs["tokens"]) == "hellogood island"
    assert logprobs["token_logprobs"][0] is None
    assert set(logprobs["token_logprobs"][1:]) == {-0.5}
    for token, offset in zip(logprobs["tokens"], logprobs["text_offset"], strict=True):
        assert choice["text"].startswith(token, offset)


def test_a_prompt_without_new_tokens_is_scored(asker: Asker) -> None:
    fields = {"prompt": "hello world", "echo": True, "logprobs": 1, "max_tokens": 0}
    [choice] = asker.post(PATH, **fields).json["choices"]
    assert choice["text"] == "".join(choice["logprobs"]["tokens"]) == "hello world"
    assert set(choice["logprobs"]["token_logprobs"][1:]) == {-0.5}


def test_a_stream_of_several_prompts_keeps_them_apart(front: PlayedFront, asker: Asker) -> None:
    front.reply = lambda submit: front.tokenizer.decode(submit.input_ids).upper()
    fields = {"prompt": ["one", "two"], "stream": True, "echo": True}
    *events, usage, last = asker.post(PATH, **fields, stream_options={"include_usage": True}).events
    texts = {0: "", 1: ""}
    for event in events:
        texts[event["choices"][0]["index"]] += event["choices"][0]["text"]
    assert texts == {0: "oneONE", 1: "twoTWO"}
    assert usage["usage"]["prompt_tokens_details"]["cached_tokens"] == 6
    assert last == "[DONE]"


def test_half_a_character_is_told_by_its_bytes(front: PlayedFront, asker: Asker) -> None:
    front.reply = lambda submit: "é"
    [choice] = asker.post(PATH, prompt="hello", logprobs=0).json["choices"]
    assert choice["text"] == "é"
    assert choice["logprobs"]["tokens"] == ["bytes:\\xc3", "bytes:\\xa9"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, None),
        ({"prompt": []}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [["a"]]}, "prompt.0.0"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": [1.5]}, "prompt.0"),
        ({"prompt": [10**9]}, "prompt.0.ids"),
        ({"prompt": ["a"] * 129}, "prompt"),
        ({"prompt": "a", "suffix": "b"}, "suffix"),
        ({"prompt": "a", "best_of": 2}, "best_of"),
        ({"prompt": "a", "logprobs": 21}, "top_logprobs"),
        ({"prompt": "a", "stream": True, "echo": True, "logprobs": 1}, "echo"),
        ({"prompt": "a", "messages": []}, None),
    ],
)
def test_a_wrong_field_is_refused_by_name(
    front: PlayedFront, asker: Asker, fields: dict[str, object], param: str | None
) -> None:
    answer = asker.post(PATH, **fields)
    assert (answer.status, answer.error["param"]) == (400, param)
    assert front.submits == []


def test_one_prompt_too_long_ends_the_others(front: PlayedFront, asker: Asker) -> None:
    front.steps = 0
    answer = asker.post(PATH, prompt=["hello", "x" * 10_000])
    assert (answer.status, answer.error["code"]) == (400, "context_length_exceeded")
    front.wait_until(lambda: front.dropped == [front.submits[0].sid])
