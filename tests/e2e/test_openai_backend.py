"""`bl.OpenAI` against the runtime's own HTTP server: the same program, the same results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel

import branchline as bl
from branchline.lang.launch import RuntimeProcess

KEY = "a-key-for-the-tests"


@pytest.fixture(scope="module")
def served(model_dir: Path) -> Iterator[RuntimeProcess]:
    with RuntimeProcess(
        str(model_dir), kv_slots=8192, num_threads=1, http="127.0.0.1:0", api_key=KEY
    ) as process:
        yield process


@pytest.fixture(scope="module")
def native(served: RuntimeProcess) -> Iterator[bl.RuntimeEndpoint]:
    with bl.RuntimeEndpoint(served.address) as endpoint:
        yield endpoint


def over_http(served: RuntimeProcess, native: bl.RuntimeEndpoint, *, chat: bool) -> bl.OpenAI:
    return bl.OpenAI(
        native.model_info.name,
        is_chat_model=chat,
        base_url=f"{served.http_url}/v1",
        api_key=KEY,
        max_retries=0,
    )


@bl.function
def talk(s: bl.ProgramState) -> None:
    s += bl.system("the quick brown fox")
    s += bl.user("over lazy dogs?")
    s += bl.assistant(bl.gen("first", max_tokens=8, temperature=0.0))
    s += bl.user("and cats?")
    s += bl.assistant(bl.gen("second", max_tokens=8, temperature=0.0))


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_has_the_same_first_answer(
    served: RuntimeProcess, native: bl.RuntimeEndpoint, stream: bool
) -> None:
    direct = talk.run(backend=native)
    with over_http(served, native, chat=True) as backend:
        http = talk.run(backend=backend, stream=stream)
        # The second prompt holds tokens that were generated here, and their text there.
        assert http["first"] == direct["first"]
        http.sync()
    assert [message["role"] for message in http.messages()] == [
        message["role"] for message in direct.messages()
    ]


class Pet(BaseModel):
    kind: Literal["fox", "dog"]
    count: int


def test_a_schema_holds_over_http_too(served: RuntimeProcess, native: bl.RuntimeEndpoint) -> None:
    @bl.function
    def describe(s: bl.ProgramState) -> None:
        s += bl.user("stars") + bl.assistant(bl.gen("pet", schema=Pet, max_tokens=64))

    with over_http(served, native, chat=True) as backend:
        assert isinstance(describe(backend=backend).value("pet"), Pet)


@bl.tool
def paint(item: Literal["fox", "dog"], layers: Literal[1, 2] = 1) -> str:
    """Paint an item."""
    return f"{item} has {layers}"


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
def test_tools_go_through_the_api(
    served: RuntimeProcess, native: bl.RuntimeEndpoint, vendor: str
) -> None:
    @bl.function
    def agent(s: bl.ProgramState) -> None:
        s += bl.user("stars")
        s += bl.assistant(bl.tool_call("calls", [paint], choice="required", max_tokens=64))
        s.run_tools()
        s += bl.assistant(bl.gen("answer", max_tokens=4))

    backend: bl.OpenAI | bl.Anthropic = over_http(served, native, chat=True)
    if vendor == "anthropic":
        name = native.model_info.name
        backend = bl.Anthropic(name, base_url=served.http_url, api_key=KEY, max_retries=0)
    with backend:
        state = agent(backend=backend)
        state.sync()
    (call,) = state.value("calls")
    assert call.name == "paint"
    result = f"{call.arguments['item']} has {call.arguments.get('layers', 1)}"
    assert {"role": "tool", "content": result} in state.messages()
    assert state.messages()[-1]["role"] == "assistant"


def test_select_by_echo_scores_as_the_runtime_does(
    served: RuntimeProcess, native: bl.RuntimeEndpoint
) -> None:
    @bl.function
    def choose(s: bl.ProgramState) -> None:
        s += "the quick brown" + bl.select("animal", choices=[" fox", " lazy dogs", " stars"])

    direct = choose(backend=native)
    with over_http(served, native, chat=False) as backend:
        http = choose(backend=backend)
        http.sync()
    scores = [
        (state.get_meta_info("animal") or {})["normalized_prompt_logprobs"]
        for state in (direct, http)
    ]
    assert scores[1] == pytest.approx(scores[0], abs=1e-4)
    assert http["animal"] == direct["animal"]
