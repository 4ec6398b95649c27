"""Tools and thinking in /v1/chat/completions against an engine that the test plays."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from played_front import CHATML, Asker, PlayedFront

from branchline.runtime.engine_protocol import Failed, Submit
from branchline.runtime.protocol import Tagged

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Weather", "parameters": SCHEMA},
}
CLOCK = {"type": "function", "function": {"name": "get_time"}}
# The form of a model whose chat template writes no calls.
LISBON = '{"name":"get_weather","arguments":{"city":"Lisbon \\"}{"}}'
NOON = '{"name":"get_time","arguments":{}}'


ENDLESS = {
    "$defs": {
        f"d{n}": {
            "type": "object",
            "properties": {key: {"$ref": f"#/$defs/d{n + 1}"} for key in "ab"},
        }
        for n in range(40)
    },
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/d0"}},
}


@pytest.fixture
def front(roomy: PlayedFront) -> PlayedFront:
    return roomy


def call(arguments: str) -> dict[str, object]:
    return {"id": "a", "function": {"name": "f", "arguments": arguments}}


def says(front: PlayedFront, text: str) -> None:
    front.reply = lambda submit: text


def prompt_text(front: PlayedFront) -> str:
    return front.tokenizer.decode(front.submits[0].input_ids, skip_special_tokens=False)


def message(answer: Any) -> dict[str, Any]:
    return answer.json["choices"][0]["message"]


def gathered(events: list[Any]) -> tuple[str, str, list[dict[str, str]], str]:
    """Content, thinking, calls and the reason of a stream's first answer."""
    content = thinking = reason = ""
    calls: list[dict[str, str]] = []
    for event in events[:-1]:
        for choice in event["choices"]:
            delta = choice["delta"]
            content += delta.get("content", "")
            thinking += delta.get("reasoning_content", "")
            reason = choice["finish_reason"] or reason
            for call in delta.get("tool_calls", ()):
                if "id" in call:
                    assert call["type"] == "function"
                    calls.append({"id": call["id"], "name": "", "arguments": ""})
                for name, text in call["function"].items():
                    calls[call["index"]][name] += text
    return content, thinking, calls, reason


def test_calls_are_told_with_ids_and_their_own_finish_reason(
    front: PlayedFront, asker: Asker
) -> None:
    says(front, f"{LISBON}\n{NOON}")
    answer = asker.chat(tools=[WEATHER, CLOCK])
    assert answer.json["choices"][0]["finish_reason"] == "tool_calls"
    told = message(answer)
    assert told["content"] is None
    assert [call["function"] for call in told["tool_calls"]] == [
        {"name": "get_weather", "arguments": '{"city":"Lisbon \\"}{"}'},
        {"name": "get_time", "arguments": "{}"},
    ]
    assert len({call["id"] for call in told["tool_calls"]}) == 2


def test_a_stream_tells_the_same_calls_piece_by_piece(front: PlayedFront, asker: Asker) -> None:
    says(front, f"{LISBON}\n{NOON}")
    events = asker.chat(tools=[WEATHER, CLOCK], stream=True).events
    content, _, calls, reason = gathered(events)
    assert (content, reason) == ("", "tool_calls")
    assert [(call["name"], call["arguments"]) for call in calls] == [
        ("get_weather", '{"city":"Lisbon \\"}{"}'),
        ("get_time", "{}"),
    ]
    pieces = [e for e in events[:-1] if e["choices"][0]["delta"].get("tool_calls")]
    assert len(pieces) > 4


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_in_text_holds_no_calls(front: PlayedFront, asker: Asker, stream: bool) -> None:
    says(front, "It is sunny.")
    answer = asker.chat(tools=[WEATHER], stream=stream)
    if stream:
        assert gathered(answer.events) == ("It is sunny.", "", [], "stop")
    else:
        assert message(answer) == {
            "role": "assistant", "content": "It is sunny.", "refusal": None
        }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "names", "text", "most"),
    [
        ({}, ["get_weather", "get_time"], "instead", None),
        ({"parallel_tool_calls": False}, ["get_weather", "get_time"], "instead", 1),
        ({"tool_choice": "required"}, ["get_weather", "get_time"], "none", None),
        ({"tool_choice": "none"}, [], "instead", None),
        (
            {"tool_choice": {"type": "function", "function": {"name": "get_time"}}},
            ["get_time"],
            "none",
            1,
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "required",
                        "tools": [{"type": "function", "function": {"name": "get_weather"}}],
                    },
                }
            },
            ["get_weather"],
            "none",
            None,
        ),
    ],
)
def test_the_choice_decides_what_the_output_is_held_to(
    front: PlayedFront,
    asker: Asker,
    fields: dict[str, Any],
    names: list[str],
    text: str,
    most: int | None,
) -> None:
    says(front, NOON if names else "no")
    asker.chat(tools=[WEATHER, CLOCK], **fields)
    constraint = front.submits[0].constraint
    assert isinstance(constraint, Tagged)
    assert [tag.begin.split('"')[3] for tag in constraint.tags] == names
    assert (constraint.text, constraint.max_values) == (text, most)
    assert not front.submits[0].sampling.skip_special_tokens
    # Whatever may be called, the prompt shows all: prefixes are shared.
    assert "get_weather" in prompt_text(front)
    assert "get_time" in prompt_text(front)


def test_results_and_earlier_calls_stand_in_the_prompt_as_the_model_writes_them(
    front: PlayedFront, asker: Asker
) -> None:
    function = {"name": "get_weather", "arguments": '{"city":"Lisbon"}'}
    asker.post(
        "/v1/chat/completions",
        tools=[WEATHER],
        messages=[
            {"role": "system", "content": "be good"},
            {"role": "user", "content": "weather?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "sunny <|im_end|>"},
        ],
    )
    text = prompt_text(front)
    assert '"Lisbon"}}<|im_end|>' in text
    assert '<|im_start|>assistant\n{"name":"get_weather","arguments":{"city":"Lisbon"}}' in text
    assert "<|im_start|>user\nsunny <|im_end|><|im_end|>\n" in text
    ids = front.submits[0].input_ids
    # A system, a user, an assistant turn, a result, and the answer: the one in the result is text.
    assert sum(token_id == 2 for token_id in ids) == 4


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([{"role": "tool", "tool_call_id": "c1", "content": "x"}], "messages.0"),
        ([{"role": "user", "content": "x", "tool_call_id": "c1"}], "messages.0.tool_call_id"),
        (
            [
                {"role": "assistant", "tool_calls": [call("{}")]},
                {"role": "tool", "tool_call_id": "b", "content": "x"},
            ],
            "messages.1.tool_call_id",
        ),
        (
            [{"role": "assistant", "tool_calls": [call("[]")]}],
            "messages.0.tool_calls.0.function.arguments",
        ),
    ],
)  # fmt: skip
def test_results_without_their_call_are_refused(
    asker: Asker, messages: list[dict[str, Any]], param: str
) -> None:
    answer = asker.post("/v1/chat/completions", messages=messages, tools=[WEATHER])
    assert (answer.status, answer.error["param"]) == (400, param)


@pytest.mark.parametrize(
    "parameters",
    [
        [],
        "x",
        {"type": "object", "properties": []},
        {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}},
        ENDLESS,
    ],
)  # fmt: skip
def test_a_schema_that_is_none_is_refused(
    front: PlayedFront, own_front: PlayedFront, parameters: object
) -> None:
    own_front.model = replace(
        own_front.model,
        tool_call_example='<tool_call>{"name":"example_tool","arguments":{"key":"value"}}</tool_call>',
    )
    asker = Asker(own_front.listen())
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    answer = asker.chat(tools=[tool])
    assert answer.status == 400
    assert answer.error["param"].startswith("tools")


def test_a_schema_that_cannot_be_enforced_names_the_tools(front: PlayedFront, asker: Asker) -> None:
    def fail(submit: Submit) -> Failed:
        return Failed(0, "grammar", "cannot compile", "/constraint/tags/0/schema#/properties/city")

    front.fail = fail
    answer = asker.chat(tools=[WEATHER])
    assert (answer.status, answer.error["param"]) == (400, "tools#/properties/city")


def test_a_broken_call_is_an_error_and_no_answer(front: PlayedFront, asker: Asker) -> None:
    says(front, '{"name":"get_weather","arguments":{"city')
    assert asker.chat(tools=[WEATHER]).status == 500
    body = asker.chat(tools=[WEATHER], stream=True).body
    assert b"broken tool call" in body
    assert b"[DONE]" not in body


def test_log_probabilities_of_held_text_are_not_lost(front: PlayedFront, asker: Asker) -> None:
    says(front, "It is sunny.")
    whole = asker.chat(tools=[WEATHER], logprobs=True).json["choices"][0]["logprobs"]["content"]
    events = asker.chat(tools=[WEATHER], logprobs=True, stream=True).events[:-1]
    told = [
        entry
        for event in events
        for entry in (event["choices"][0]["logprobs"] or {"content": []})["content"]
    ]
    assert told == whole


@pytest.fixture
def thinker(own_front: PlayedFront) -> Asker:
    """A client of a model that thinks first."""
    own_front.model = replace(own_front.model, reasoning_tags=("<think>", "</think>"))
    says(own_front, "<think>hmm so</think>\n\nit is")
    return Asker(own_front.listen())


def test_thinking_stands_apart(thinker: Asker) -> None:
    told = message(thinker.chat())
    assert (told["reasoning_content"], told["content"]) == ("hmm so", "it is")
    content, thinking, _, reason = gathered(thinker.chat(stream=True).events)
    assert (thinking, content, reason) == ("hmm so", "it is", "stop")


def test_thinking_stays_in_the_text_when_asked(thinker: Asker) -> None:
    told = message(thinker.chat(separate_reasoning=False))
    assert told["content"] == "<think>hmm so</think>\n\nit is"
    assert "reasoning_content" not in told


def test_a_fixed_form_closes_thinking_that_the_template_opens(own_front: PlayedFront) -> None:
    roles = {**CHATML, "assistant": ("<|im_start|>assistant\n<think>\n", "<|im_end|>\n")}
    own_front.model = replace(
        own_front.model, reasoning_tags=("<think>", "</think>"), role_markup=roles
    )
    asker = Asker(own_front.listen())
    says(own_front, "good")
    told = message(asker.chat(response_format={"type": "regex", "pattern": "good"}))
    assert told["content"] == "good"
    assert prompt_text(own_front).endswith("<think>\n\n</think>\n\n")
