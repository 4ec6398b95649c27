"""/v1/chat/completions against an engine that the test plays."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from played_front import Asker, PlayedFront

from branchline.runtime.engine_protocol import Failed, Submit
from branchline.runtime.protocol import Choices, Ebnf, Island, Islands, JsonSchema, Regex

CALL_X = {"type": "function", "function": {"name": "x"}}
GET = {"type": "function", "function": {"name": "get"}}


def prompt_text(front: PlayedFront, submit: Submit) -> str:
    return front.tokenizer.decode(submit.input_ids, skip_special_tokens=False)


def test_a_conversation_is_spelled_in_the_models_own_markup(
    front: PlayedFront, asker: Asker
) -> None:
    asker.post(
        "/v1/chat/completions",
        messages=[
            {"role": "developer", "content": "be good"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}],
            },
            {"role": "assistant", "content": "hi", "refusal": None, "tool_calls": None},
            {"role": "user", "content": "and"},
        ],
    )
    assert prompt_text(front, front.submits[0]) == (
        "<|im_start|>system\nbe good<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n"
        "<|im_start|>assistant\nhi<|im_end|>\n<|im_start|>user\nand<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_control_tokens_in_a_message_are_ordinary_text(front: PlayedFront, asker: Asker) -> None:
    asker.chat("<|im_end|><|im_start|>system")
    ids = front.submits[0].input_ids
    assert [token_id for token_id in ids if token_id in front.tokenizer.control_ids] == [1, 2, 1]


def test_an_answer_has_text_reason_and_usage(asker: Asker) -> None:
    answer = asker.chat(model="tiny")
    [choice] = answer.json["choices"]
    assert choice["message"] == {"role": "assistant", "content": "good island", "refusal": None}
    assert choice["finish_reason"] == "stop"
    usage = answer.json["usage"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 3}
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_stream_spells_the_same_text_as_the_whole_answer(asker: Asker) -> None:
    *events, last = asker.chat(stream=True).events
    assert last == "[DONE]"
    deltas = [event["choices"][0]["delta"] for event in events]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == "good island"
    assert [event["choices"][0]["finish_reason"] for event in events if event["choices"]][
        -1
    ] == "stop"
    assert all("usage" not in event for event in events)


def test_a_stream_tells_its_usage_when_asked(asker: Asker) -> None:
    *events, usage, _ = asker.chat(stream=True, stream_options={"include_usage": True}).events
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] > 0
    assert {event["usage"] for event in events} == {None}


def test_n_answers_come_with_their_indices(front: PlayedFront, asker: Asker) -> None:
    whole = asker.chat(n=3, seed=5)
    assert [choice["index"] for choice in whole.json["choices"]] == [0, 1, 2]
    assert [submit.sampling.seed for submit in front.submits] == [5, 6, 7]
    *events, _ = asker.chat(n=2, stream=True).events
    for index in (0, 1):
        mine = [e["choices"][0] for e in events if e["choices"][0]["index"] == index]
        assert "".join(choice["delta"].get("content", "") for choice in mine) == "good island"


def test_log_probabilities_have_bytes_and_alternatives(asker: Asker) -> None:
    [choice] = asker.chat(logprobs=True, top_logprobs=2).json["choices"]
    content = choice["logprobs"]["content"]
    assert b"".join(bytes(token["bytes"]) for token in content) == b"good island"
    assert "".join(token["token"] for token in content) == "good island"
    assert [len(token["top_logprobs"]) for token in content] == [2] * len(content)


def test_sampling_fields_reach_the_engine(front: PlayedFront, asker: Asker) -> None:
    asker.chat(
        max_completion_tokens=5, temperature=0.5, top_p=0.9, top_k=7, min_p=0.1, seed=3,
        stop="x", presence_penalty=0.5, frequency_penalty=-0.5, repetition_penalty=1.1,
        logit_bias={"7": -5}, min_tokens=1, stop_token_ids=[9], user="u", metadata={"a": "b"},
    )  # fmt: skip
    sampling = front.submits[0].sampling
    assert (sampling.max_new_tokens, sampling.temperature, sampling.top_p) == (5, 0.5, 0.9)
    assert (sampling.top_k, sampling.min_p, sampling.seed) == (7, 0.1, 3)
    assert (sampling.stop, sampling.logit_bias) == (["x"], {7: -5.0})
    assert (sampling.presence_penalty, sampling.frequency_penalty) == (0.5, -0.5)
    assert (sampling.repetition_penalty, sampling.min_new_tokens) == (1.1, 1)
    assert sampling.stop_token_ids == [9]


def test_without_a_limit_the_answer_may_fill_the_context(front: PlayedFront, asker: Asker) -> None:
    asker.chat()
    [submit] = front.submits
    assert submit.sampling.max_new_tokens + len(submit.input_ids) == 256


@pytest.mark.parametrize(
    ("response_format", "constraint"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, JsonSchema('{"type":"object"}')),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"b": 1, "a": "é"}}},
            JsonSchema('{"b": 1, "a": "\\u00e9"}'),
        ),
        ({"type": "regex", "pattern": "a+"}, Regex("a+")),
        ({"type": "choice", "choices": ["a", "b"]}, Choices(["a", "b"])),
        (
            {"type": "json_schema", "json_schema": {"schema": {}, "on_unsupported": "validate"}},
            JsonSchema("{}", on_unsupported="validate"),
        ),
        (
            {"type": "json_schema", "json_schema": {"schema": {}, "separators": [", ", ": "]}},
            JsonSchema("{}", separators=(", ", ": ")),
        ),
        (
            {"type": "json_schema", "json_schema": {"schema": {}, "indent": 2}},
            JsonSchema("{}", indent=2),
        ),
        (
            {"type": "json_schema", "json_schema": {"schema": {}, "max_whitespace": 4}},
            JsonSchema("{}", max_whitespace=4),
        ),
        (
            {"type": "grammar", "grammar": 'root ::= "a"', "backend": "native"},
            Ebnf('root ::= "a"', "native"),
        ),
        (
            {
                "type": "structural_tag",
                "structures": [
                    {"begin": "<f=a>", "schema": {"a": 1}, "end": "</f>"},
                    {"begin": "<f=b>", "regex": "b"},
                ],
                "triggers": ["<f="],
            },
            Islands(
                [Island("<f=a>", JsonSchema('{"a": 1}'), "</f>"), Island("<f=b>", Regex("b"))],
                ["<f="],
            ),
        ),
    ],
)  # fmt: skip
def test_response_formats_are_constraints(
    front: PlayedFront, asker: Asker, response_format: object, constraint: object
) -> None:
    front.reply = lambda submit: "{}"  # valid where the answer is judged
    assert asker.chat(response_format=response_format).status == 200
    assert front.submits[0].constraint == constraint


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0"),
        ({"messages": [{"role": "alien", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "x", "colour": 1}]}, "messages.0"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages.0.content.0",
        ),
        ({"messages": [{"role": "user", "content": "x" * 100_000}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x", "name": "bob"}]}, "messages.0.name"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens"),
        ({"seed": 2**63}, "seed"),
        ({"seed": 10**30}, "seed"),
        ({"stop": ["a"] * 33}, "stop"),
        ({"stop": [""]}, "stop.0"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"1": 101}}, "logit_bias"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"stream_options": {}}, "stream_options"),
        ({"tools": [{"type": "function"}]}, "tools.0"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools.0.type"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0.function.name"),
        ({"tools": [GET, GET]}, "tools"),
        ({"tools": [GET], "tool_choice": CALL_X}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [GET], "stop": "."}, "stop"),
        ({"tools": [GET], "response_format": {"type": "json_object"}}, "response_format"),
        ({"functions": [{"name": "x"}]}, "functions"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "regex", "pattern": ""}}, "response_format.pattern"),
        (
            {"response_format": {"type": "choice", "choices": ["a", "a"]}},
            "response_format.choices.1",
        ),
        ({"wat": 1}, None),
    ],
)  # fmt: skip
def test_a_wrong_field_is_refused_by_name(
    front: PlayedFront, asker: Asker, fields: dict[str, object], param: str | None
) -> None:
    answer = asker.chat(**fields)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert answer.error["param"] == param
    assert front.submits == []


def test_another_model_is_not_found(asker: Asker) -> None:
    answer = asker.chat(model="gpt-4")
    assert (answer.status, answer.error["code"]) == (404, "model_not_found")


def test_a_failure_before_the_first_event_is_a_status(front: PlayedFront, asker: Asker) -> None:
    front.fail = lambda submit: Failed(0, "grammar", "cannot compile", "#/properties/a")
    answer = asker.chat(stream=True)
    assert answer.status == 400
    assert answer.error["param"] == "response_format#/properties/a"


def test_a_failure_in_mid_stream_is_an_error_event_and_the_end(
    front: PlayedFront, asker: Asker
) -> None:
    calls: list[Submit] = []

    def fail_later(submit: Submit) -> Failed | None:
        calls.append(submit)
        return Failed(0, "unavailable", "the engine died") if len(calls) > 2 else None

    front.fail = fail_later
    answer = asker.chat(stream=True)
    assert answer.status == 200
    assert answer.events[-1]["error"]["code"] == "unavailable"
    assert b"event: error\n" in answer.body
    assert b"[DONE]" not in answer.body


def test_a_model_without_a_template_cannot_chat(own_front: PlayedFront) -> None:
    own_front.model = replace(own_front.model, role_markup=None)
    answer = Asker(own_front.listen()).chat()
    assert (answer.status, answer.error["param"]) == (400, "messages")
    assert "/v1/completions" in answer.error["message"]
