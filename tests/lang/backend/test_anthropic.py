"""`bl.Anthropic` against a server on loopback."""

from __future__ import annotations

from typing import Any

import pytest
from fake_api import FakeApi

import branchline as bl
from branchline.lang.backend.anthropic import Anthropic


@pytest.fixture
def model(api: FakeApi) -> Anthropic:
    return Anthropic("claude-test", base_url=api.url, api_key="none", max_retries=0)


@bl.function
def ask(s: bl.ProgramState) -> None:
    s += bl.system("Be short.")
    s += bl.user("Capital of France?")
    s += bl.assistant(bl.gen("answer", max_tokens=32, stop=["."]))


def test_turns_go_out_as_messages_and_a_system_text(api: FakeApi, model: Anthropic) -> None:
    assert ask(backend=model)["answer"] == "Paris is the answer"
    assert api.last == {
        "model": "claude-test",
        "system": "Be short.",
        "messages": [{"role": "user", "content": "Capital of France?"}],
        "max_tokens": 32,
        "stop_sequences": ["."],
    }


def test_sampling_and_a_schema_travel_in_the_body(api: FakeApi, model: Anthropic) -> None:
    @bl.function
    def want(s: bl.ProgramState) -> None:
        s += bl.user("?") + bl.assistant(bl.gen("x", schema=list[int], temperature=0.5, top_k=3))

    api.write = lambda request: "[1, 2]"
    assert want(backend=model).value("x") == [1, 2]
    assert (api.last["temperature"], api.last["top_k"]) == (0.5, 3)
    form = api.last["output_config"]["format"]
    assert form["type"] == "json_schema"
    assert form["schema"]["type"] == "array"


def test_text_before_a_gen_begins_the_answer(api: FakeApi, model: Anthropic) -> None:
    @bl.function
    def begun(s: bl.ProgramState) -> None:
        s += bl.user("?") + bl.assistant("Answer:" + bl.gen("x"))

    begun(backend=model).sync()
    assert api.last["messages"][-1] == {"role": "assistant", "content": "Answer:"}


def test_tokens_are_counted(model: Anthropic) -> None:
    state = ask(backend=model)
    meta = state.get_meta_info("answer")
    assert meta is not None
    assert (meta["prompt_tokens"], meta["cached_tokens"], meta["completion_tokens"]) == (13, 2, 5)
    assert model.token_usage.prompt_tokens == 13


def test_a_stream_arrives_in_pieces_and_whole(model: Anthropic) -> None:
    state = ask.run(stream=True, backend=model)
    pieces = list(state.text_iter("answer"))
    assert len(pieces) == 5
    assert "".join(pieces) == state["answer"] == "Paris is the answer."


def test_a_stream_that_breaks_off_is_an_error(api: FakeApi, model: Anthropic) -> None:
    api.cut_stream = True
    with pytest.raises(bl.InternalError, match="ended before the output did"):
        ask.run(stream=True, backend=model)["answer"]


def test_a_connection_that_is_lost_in_a_stream_is_told(api: FakeApi, model: Anthropic) -> None:
    api.drop_connection = True
    with pytest.raises(bl.RuntimeUnavailable, match="connection lost"):
        ask.run(stream=True, backend=model)["answer"]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", bl.RuntimeUnavailable),
        ("rate_limit_error", bl.Overloaded),
        ("timeout_error", bl.RuntimeUnavailable),
        ("api_error", bl.InternalError),
    ],
)
def test_an_error_inside_of_a_stream_is_what_it_is_outside(
    api: FakeApi, model: Anthropic, kind: str, error: type[bl.GenerationError]
) -> None:
    api.stream_error = {"type": kind, "message": "busy"}
    with pytest.raises(error, match="busy"):
        ask.run(stream=True, backend=model)["answer"]


def test_many_tokens_may_be_asked_for_outside_of_a_stream(api: FakeApi, model: Anthropic) -> None:
    @bl.function
    def at_length(s: bl.ProgramState) -> None:
        s += bl.user("Capital of France?")
        s += bl.assistant(bl.gen("answer", max_tokens=64_000))

    assert at_length(backend=model)["answer"] == "Paris is the answer."
    assert api.last["max_tokens"] == 64_000


def test_a_limit_that_cut_is_told(api: FakeApi, model: Anthropic) -> None:
    @bl.function
    def short(s: bl.ProgramState) -> None:
        s += bl.user("?") + bl.assistant(bl.gen("x", max_tokens=2))

    meta = short(backend=model).get_meta_info("x")
    assert meta is not None
    assert meta["finish_reason"]["type"] == "length"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"regex": "a+"}, "regex"),
        ({"return_logprob": True}, "logprobs"),
        ({"n": 2}, "multiple outputs"),
        ({"seed": 1}, "seed"),
        ({"temperature": 1.5}, "temperature"),
    ],
)
def test_what_the_api_lacks_is_refused_before_the_call(
    api: FakeApi, model: Anthropic, options: dict[str, Any], name: str
) -> None:
    @bl.function
    def want(s: bl.ProgramState) -> None:
        s += bl.user("?") + bl.assistant(bl.gen("x", **options))

    with pytest.raises(bl.InvalidRequest, match=name):
        want(backend=model)["x"]
    assert api.requests == []


def test_errors_of_the_api_are_errors_of_the_language(api: FakeApi, model: Anthropic) -> None:
    api.status, api.error = 529, {"type": "overloaded_error", "message": "busy"}
    with pytest.raises(bl.RuntimeUnavailable, match="busy"):
        ask(backend=model)["answer"]


def test_without_a_key_the_error_says_where_one_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="ANTHROPIC_API_KEY"):
        Anthropic("claude-test")


@pytest.mark.parametrize("options", [{"auth_token": "t"}, {"default_headers": {"X-Api-Key": "k"}}])
def test_a_key_may_be_given_otherwise(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    model = Anthropic("claude-test", base_url=api.url, **options)
    assert ask(backend=model)["answer"] == "Paris is the answer"
