"""Pictures on the way to the APIs that take them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from fake_api import FakeApi

import branchline as bl
from branchline.lang.backend.anthropic import Anthropic
from branchline.lang.backend.openai import OpenAI
from branchline.lang.backend.sglang import SGLang
from branchline.runtime import protocol

PNG = b"\x89PNG\r\n\x1a\n..."
GIF = b"GIF89a..."
ENCODED = [base64.b64encode(data).decode() for data in (PNG, GIF)]


@bl.function
def compare(s: bl.ProgramState) -> None:
    s += bl.user("Which is " + bl.image(PNG) + bl.image(GIF) + " larger?")
    s += bl.assistant(bl.gen("answer"))
    s += bl.user("Sure?")
    s += bl.assistant(bl.gen("again"))


@bl.function
def misplaced(s: bl.ProgramState) -> None:
    s += bl.system("Like this: " + bl.image(PNG))
    s += bl.assistant(bl.gen("answer"))


def openai(api: FakeApi, **options: Any) -> OpenAI:
    return OpenAI("seeing", base_url=f"{api.url}/v1", api_key="none", max_retries=0, **options)


def anthropic(api: FakeApi) -> Anthropic:
    return Anthropic("seeing", base_url=api.url, api_key="none", max_retries=0)


def test_openai_gets_content_parts_in_their_order(api: FakeApi) -> None:
    state = compare(backend=openai(api))
    assert state["again"] == "Paris is the answer."
    first = api.last["messages"][0]
    assert first == {
        "role": "user",
        "content": [
            {"type": "text", "text": "Which is "},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{ENCODED[0]}"}},
            {"type": "image_url", "image_url": {"url": f"data:image/gif;base64,{ENCODED[1]}"}},
            {"type": "text", "text": " larger?"},
        ],
    }
    assert state.messages()[0] == first
    assert api.last["messages"][2] == {"role": "user", "content": "Sure?"}


def test_anthropic_gets_blocks_in_their_order(api: FakeApi) -> None:
    compare(backend=anthropic(api)).sync()
    assert api.last["messages"][0]["content"] == [
        {"type": "text", "text": "Which is "},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": ENCODED[0]},
        },
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/gif", "data": ENCODED[1]},
        },
        {"type": "text", "text": " larger?"},
    ]


@pytest.mark.parametrize("make", [openai, anthropic])
def test_a_picture_outside_of_a_user_turn_is_refused_before_the_call(
    api: FakeApi, make: Any
) -> None:
    with pytest.raises(bl.InvalidRequest, match="a picture stands in the system turn"):
        misplaced(backend=make(api))["answer"]
    assert api.requests == []


def test_a_completion_model_takes_no_pictures(api: FakeApi) -> None:
    with pytest.raises(bl.InvalidRequest, match="'seeing' is served for text only"):
        compare(backend=openai(api, is_chat_model=False))
    assert api.requests == []


def test_a_turn_with_a_picture_may_call_tools(api: FakeApi) -> None:
    @bl.tool
    def note(text: str) -> str:
        """Write something down."""
        return f"noted {text}"

    @bl.function
    def look(s: bl.ProgramState) -> None:
        s += bl.user(bl.image(PNG) + "Note what you see.")
        s += bl.assistant(bl.tool_call("call", [note]))
        s.run_tools()
        s += bl.assistant(bl.gen("answer"))

    api.call = lambda request: [("note", '{"text": "a cat"}')]
    look(backend=openai(api)).sync()
    roles = [message["role"] for message in api.last["messages"]]
    assert roles == ["user", "assistant", "tool"]
    assert api.last["messages"][0]["content"][0]["type"] == "image_url"


class FakeSGLang(SGLang):
    """Notes what goes to `/generate` and answers as a server does."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self._model = protocol.ModelInfo("m", "/m/qwen2-vl", "sglang", 0, 0, [], None)

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        self.asked.append(body)
        texts = body["text"] if isinstance(body["text"], list) else [body["text"]]
        answers = [
            {
                "text": "a cat",
                "meta_info": {
                    "prompt_tokens": 9,
                    "completion_tokens": 1,
                    "finish_reason": {"type": "stop"},
                    "input_token_logprobs": [[-1.0, 7, text[-1:]]],
                },
            }
            for text in texts
        ]
        return answers if isinstance(body["text"], list) else answers[0]


def test_sglang_gets_the_token_in_the_text_and_the_pictures_beside_it() -> None:
    backend = FakeSGLang()
    state = compare(backend=backend)
    assert state["again"] == "a cat"
    token = "<|vision_start|><|image_pad|><|vision_end|>"
    assert backend.asked[0]["text"].count(token) == 2
    assert [body["image_data"] for body in backend.asked] == [ENCODED, ENCODED]


def test_sglang_scores_each_choice_behind_the_pictures() -> None:
    @bl.function
    def sort(s: bl.ProgramState) -> None:
        s += bl.user(bl.image(PNG)) + bl.assistant(bl.select("kind", ["x", "y"]))

    backend = FakeSGLang()
    assert sort(backend=backend)["kind"] == "x"
    prompt, choices = backend.asked
    assert prompt["image_data"] == ENCODED[:1]
    assert choices["image_data"] == [ENCODED[:1]] * 2


def test_without_pictures_nothing_is_said_of_them() -> None:
    @bl.function
    def say(s: bl.ProgramState) -> None:
        s += "x" + bl.gen("y")

    backend = FakeSGLang()
    say(backend=backend).sync()
    assert "image_data" not in backend.asked[0]
