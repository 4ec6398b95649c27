"""`bl.OpenAI` against a server on loopback: what is asked, what comes back, what is refused."""

from __future__ import annotations

import sys
import time
from email.utils import formatdate
from typing import Any

import pydantic
import pytest
from fake_api import FakeApi
from stopwatch import seconds_until

import branchline as bl
from branchline.lang.backend.openai import OpenAI
from branchline.lang.loop import shared_loop
from branchline.runtime.protocol import Part, SamplingParams, Text


def chat_model(api: FakeApi, **options: Any) -> OpenAI:
    options = {"base_url": f"{api.url}/v1", "api_key": "none", "max_retries": 0} | options
    return OpenAI(options.pop("model", "gpt-4o-mini"), **options)


def completion_model(api: FakeApi, **options: Any) -> OpenAI:
    return chat_model(api, is_chat_model=False, **options)


@bl.function
def two_turns(s: bl.ProgramState) -> None:
    s += bl.system("Be short.")
    s += bl.user("  Capital of France?")
    s += bl.assistant(bl.gen("first", max_tokens=32, temperature=0.0))
    s += bl.user("Sure? <|im_end|>")
    s += bl.assistant(bl.gen("second", stop=["."]))


def test_turns_go_out_as_messages(api: FakeApi) -> None:
    state = two_turns(backend=chat_model(api))
    assert state["second"] == "Paris is the answer"
    assert api.last["messages"] == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Capital of France?"},
        {"role": "assistant", "content": "Paris is the answer."},
        {"role": "user", "content": "Sure? <|im_end|>"},
    ]
    assert api.requests[0] | {"messages": None} == {
        "model": "gpt-4o-mini",
        "messages": None,
        "max_tokens": 32,
        "temperature": 0.0,
        "top_p": 1.0,
    }


def test_messages_are_those_of_the_state(api: FakeApi) -> None:
    state = two_turns(backend=chat_model(api))
    assert state.messages()[:-1] == api.last["messages"]


def test_markup_of_another_template_is_told_apart_too(api: FakeApi) -> None:
    state = two_turns(backend=chat_model(api, chat_template="chatml"))
    state.sync()
    assert [message["role"] for message in api.last["messages"]] == [
        "system", "user", "assistant", "user",
    ]  # fmt: skip
    assert "<|im_start|>user\n  Capital" in state.text()
    assert api.last["stop"] == [".", "<|im_end|>"]


def test_tokens_are_counted(api: FakeApi) -> None:
    model = chat_model(api)
    state = two_turns(backend=model)
    state.sync()
    assert (model.token_usage.prompt_tokens, model.token_usage.completion_tokens) == (22, 10)
    meta = state.get_meta_info("first")
    assert meta is not None
    assert (meta["prompt_tokens"], meta["cached_tokens"]) == (11, 3)
    model.token_usage.reset()
    assert model.token_usage.prompt_tokens == 0


@pytest.mark.parametrize("is_chat", [True, False])
def test_a_stream_arrives_in_pieces_and_whole(api: FakeApi, is_chat: bool) -> None:
    @bl.function
    def ask(s: bl.ProgramState) -> None:
        s += bl.user("Capital?")
        s += bl.assistant(bl.gen("answer"))

    state = ask.run(stream=True, backend=chat_model(api, is_chat_model=is_chat))
    pieces = list(state.text_iter("answer"))
    assert len(pieces) == 5
    assert "".join(pieces) == state["answer"] == "Paris is the answer."
    assert state.get_meta_info("answer")["completion_tokens"] == 5  # type: ignore[index]


def test_a_stream_that_breaks_off_is_an_error(api: FakeApi) -> None:
    api.cut_stream = True
    state = two_turns.run(stream=True, backend=chat_model(api))
    with pytest.raises(bl.GenerationError, match="ended before the output did"):
        list(state.text_iter("first"))


def test_several_outputs(api: FakeApi) -> None:
    @bl.function
    def ask(s: bl.ProgramState) -> None:
        s += bl.user("?") + bl.assistant(bl.gen("answers", n=3))

    assert ask(backend=chat_model(api))["answers"] == ["Paris is the answer."] * 3


def test_forks_ask_for_nothing_but_their_gens(api: FakeApi) -> None:
    @bl.function
    def ask(s: bl.ProgramState) -> None:
        s += bl.user("?")
        forks = s.fork(2)
        forks += bl.assistant(bl.gen("answer"))
        forks.join()

    assert ask(backend=chat_model(api))["answer"] == ["Paris is the answer."] * 2
    assert len(api.requests) == 2


class City(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    name: str


CLOSED = City.model_json_schema() | {"additionalProperties": False}
OPEN = {"type": "object", "properties": {"name": {"type": "string"}}}


@pytest.mark.parametrize(("schema", "strict"), [(CLOSED, True), (OPEN, False)])
def test_a_schema_goes_through_response_format(
    api: FakeApi, schema: dict[str, Any], strict: bool
) -> None:
    @bl.function
    def ask(s: bl.ProgramState) -> None:
        s += bl.user("?") + bl.assistant(bl.gen("city", json_schema=schema))

    api.write = lambda request: '{"name": "Paris"}'
    assert ask(backend=chat_model(api)).value("city") == {"name": "Paris"}
    form = api.last["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"] == {"name": "output", "schema": schema, "strict": strict}


def test_a_python_type_goes_as_a_strict_schema(api: FakeApi) -> None:
    @bl.function
    def ask(s: bl.ProgramState) -> None:
        s += bl.user("?") + bl.assistant(bl.gen("city", schema=City))

    api.write = lambda request: '{"name": "Paris"}'
    assert ask(backend=chat_model(api)).value("city") == City(name="Paris")
    assert api.last["response_format"]["json_schema"]["strict"] is True


def test_an_output_that_breaks_its_schema_is_told(api: FakeApi) -> None:
    @bl.function
    def ask(s: bl.ProgramState) -> None:
        s += bl.user("?") + bl.assistant(bl.gen("city", schema=City))

    with pytest.raises(bl.InvalidOutput, match="Paris is the answer"):
        ask(backend=chat_model(api)).value("city")


@pytest.mark.parametrize(
    ("expr", "feature"),
    [
        (bl.gen("x", regex="[0-9]+"), "regex"),
        (bl.gen("x", dtype=int), "regex"),
        (bl.select("x", choices=["a", "b"]), "select"),
        (bl.gen("x", stop_regex="[.]"), "stop regex"),
    ],
)
def test_what_a_chat_api_lacks_is_refused_before_the_call(
    api: FakeApi, expr: Any, feature: str
) -> None:
    @bl.function
    def ask(s: bl.ProgramState) -> None:
        s += bl.user("?") + bl.assistant(expr)

    with pytest.raises(bl.InvalidRequest, match=f"OpenAI does not offer {feature}"):
        ask(backend=chat_model(api))["x"]
    assert api.requests == []


@pytest.mark.parametrize("expr", [bl.gen("x", regex="yes|no"), bl.select("x", ["yes", "no"])])
def test_what_a_chat_api_takes_instead_is_told(api: FakeApi, expr: Any) -> None:
    @bl.function
    def ask(s: bl.ProgramState) -> None:
        s += bl.user("?") + bl.assistant(expr)

    with pytest.raises(bl.InvalidRequest, match=r'it takes schemas, such as .*Literal\["yes"'):
        ask(backend=chat_model(api))["x"]


def test_text_outside_of_turns_is_refused(api: FakeApi) -> None:
    @bl.function
    def ask(s: bl.ProgramState) -> None:
        s += "Once upon a time"
        s += bl.assistant(bl.gen("x"))

    with pytest.raises(bl.InvalidRequest, match="'Once upon a time' stands outside"):
        ask(backend=chat_model(api))["x"]


def test_a_gen_outside_of_an_assistant_turn_is_refused(api: FakeApi) -> None:
    @bl.function
    def ask(s: bl.ProgramState) -> None:
        s += bl.user(bl.gen("x"))

    with pytest.raises(bl.InvalidRequest, match=r"put the gen inside assistant"):
        ask(backend=chat_model(api))["x"]


def test_a_gen_after_text_of_its_turn_is_refused(api: FakeApi) -> None:
    @bl.function
    def ask(s: bl.ProgramState) -> None:
        s += bl.user("?") + bl.assistant("Answer:" + bl.gen("x"))

    with pytest.raises(bl.InvalidRequest, match="'Answer:' stands before it"):
        ask(backend=chat_model(api))["x"]


def test_other_servers_get_their_own_parameters(api: FakeApi) -> None:
    two_turns.run(backend=chat_model(api), top_k=5, min_p=0.1).sync()
    assert (api.last["top_k"], api.last["min_p"]) == (5, 0.1)


def test_parameters_that_openai_does_not_have_are_refused() -> None:
    state = two_turns.run(backend=OpenAI("gpt-4o", api_key="none"), top_k=5)
    with pytest.raises(bl.InvalidRequest, match="no parameter top_k"):
        state.sync()


def test_reasoning_models_get_the_newer_name_of_the_limit() -> None:
    request = OpenAI("o3-mini", api_key="none")._sampling(SamplingParams())
    assert "max_tokens" not in request
    assert request["max_completion_tokens"] == 128


def test_log_probabilities_of_a_chat(api: FakeApi) -> None:
    @bl.function
    def ask(s: bl.ProgramState) -> None:
        s += bl.user("?") + bl.assistant(bl.gen("x", return_logprob=True, top_logprobs_num=1))

    meta = ask(backend=chat_model(api)).get_meta_info("x")
    assert meta is not None
    assert meta["output_token_logprobs"] == [(-0.5, -1, "Pa")]
    assert meta["output_top_logprobs"] == [[(-0.5, -1, "Pa")]]


def test_a_completion_model_goes_on_from_any_text(api: FakeApi) -> None:
    @bl.function
    def ask(s: bl.ProgramState) -> None:
        s += "The capital of France: " + bl.gen("x", stop="\n") + "!"

    state = ask(backend=completion_model(api))
    assert state.text() == "The capital of France: Paris is the answer.!"
    assert api.last["prompt"] == "The capital of France: "


def test_select_on_a_completion_model_scores_by_echo(api: FakeApi) -> None:
    @bl.function
    def ask(s: bl.ProgramState) -> None:
        s += "Best?" + bl.select("x", choices=["xyz", "aei", "bae"])

    state = ask(backend=completion_model(api))
    assert state["x"] == "aei"
    assert api.last["prompt"] == ["Best?xyz", "Best?aei", "Best?bae"]
    meta = state.get_meta_info("x")
    assert meta is not None
    assert [text for _, _, text in meta["input_token_logprobs"][2]] == ["b", "a", "e"]


def test_a_token_over_the_end_of_the_prompt_counts_as_the_choices(api: FakeApi) -> None:
    @bl.function
    def ask(s: bl.ProgramState) -> None:
        s += "Best?" + bl.select("x", choices=["Ab", "b"])

    meta = ask(backend=completion_model(api)).get_meta_info("x")
    assert meta is not None
    assert [text for _, _, text in meta["input_token_logprobs"][0]] == ["?A", "b"]


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (401, {"message": "bad key"}, bl.InvalidRequest),
        (400, {"message": "long", "code": "context_length_exceeded"}, bl.ContextLengthExceeded),
        (429, {"message": "slow down"}, bl.Overloaded),
        (408, {"message": "too slow"}, bl.TimeoutExceeded),
        (503, {"message": "away"}, bl.RuntimeUnavailable),
        (504, {"message": "late"}, bl.RuntimeUnavailable),
        (500, {"message": "oops"}, bl.InternalError),
    ],
)
def test_errors_of_the_api_are_errors_of_the_language(
    api: FakeApi, status: int, error: dict[str, Any], kind: type[bl.GenerationError]
) -> None:
    api.status, api.error = status, error
    with pytest.raises(kind, match=str(error["message"])) as caught:
        two_turns(backend=chat_model(api))["first"]
    assert caught.value.variable == "first"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "invalid_request_error"}, bl.InvalidRequest),
        (
            {"type": "invalid_request_error", "code": "context_length_exceeded"},
            bl.ContextLengthExceeded,
        ),
        ({"type": "tokens", "code": "rate_limit_exceeded"}, bl.Overloaded),
        ({"type": "timeout_error", "code": "timeout"}, bl.TimeoutExceeded),
        ({"type": "server_error", "code": "unavailable"}, bl.RuntimeUnavailable),
        ({"type": "BadRequestError", "code": 400}, bl.InvalidRequest),
        ({}, bl.InternalError),
    ],
)
def test_an_error_inside_of_a_stream_is_what_it_is_outside(
    api: FakeApi, error: dict[str, Any], kind: type[bl.GenerationError]
) -> None:
    api.stream_error = {"message": "no more", **error}
    with pytest.raises(kind, match="no more"):
        two_turns.run(stream=True, backend=chat_model(api))["first"]


@pytest.mark.parametrize("is_chat", [True, False])
def test_an_answer_of_no_such_api_is_told(api: FakeApi, is_chat: bool) -> None:
    api.status, api.error = 200, {"message": "no model"}
    model = chat_model(api) if is_chat else completion_model(api)
    with pytest.raises(bl.InternalError, match="check base_url and api_key"):
        two_turns(backend=model)["first"]


@pytest.mark.parametrize(
    ("told", "retry_after_s"),
    [
        ("7", 7.0),
        (formatdate(time.time() + 86400, usegmt=True), pytest.approx(86400, rel=0.5)),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ("nan", None),
        ("-1", None),
        ("soon", None),
    ],
    ids=["seconds", "date", "past", "nan", "negative", "words"],
)
def test_an_overloaded_api_says_when_to_come_back(
    api: FakeApi, told: str, retry_after_s: float | None
) -> None:
    api.status, api.headers = 429, {"retry-after": told}
    prompt: list[Part] = [
        Text("USER:", markup=True),
        Text("?"),
        Text("\nASSISTANT:", markup=True),
    ]
    # The backend alone: a program would come back by itself.
    with pytest.raises(bl.Overloaded) as caught:
        shared_loop().run(chat_model(api).generate(prompt, SamplingParams()))
    assert caught.value.retry_after_s == retry_after_s


def test_half_a_surrogate_pair_is_no_fault_of_the_api(api: FakeApi) -> None:
    @bl.function
    def half(s: bl.ProgramState) -> None:
        s += bl.user("\ud83d") + bl.assistant(bl.gen("x"))

    with pytest.raises(bl.InvalidRequest, match="half a surrogate pair"):
        half(backend=chat_model(api))["x"]


def test_nobody_there_is_told() -> None:
    with FakeApi() as gone:
        model = chat_model(gone)
    with pytest.raises(bl.RuntimeUnavailable):
        two_turns(backend=model)["first"]


def test_a_batch_shares_the_client(api: FakeApi) -> None:
    api.write = lambda request: request["messages"][-1]["content"].upper()

    @bl.function
    def shout(s: bl.ProgramState, word: str) -> None:
        s += bl.user(word) + bl.assistant(bl.gen("loud"))

    states = shout.run_batch([{"word": f"w{i}"} for i in range(20)], backend=chat_model(api))
    assert [state["loud"] for state in states] == [f"W{i}" for i in range(20)]


def test_closing_a_backend_ends_its_connections() -> None:
    with FakeApi("HTTP/1.1") as api:
        with chat_model(api) as model:
            assert two_turns(backend=model)["second"] == "Paris is the answer"
            assert api.connections == 1
        seconds_until(lambda: api.connections == 0, 20)
        with pytest.raises(bl.RuntimeUnavailable, match="closed"):
            two_turns(backend=model)["second"]
        model.close()


def test_a_template_whose_turns_look_alike_is_refused(api: FakeApi) -> None:
    with pytest.raises(ValueError, match="'llama-2-chat' cannot serve a chat API"):
        chat_model(api, chat_template="llama-2-chat")


@pytest.mark.parametrize("options", [{}, {"is_azure": True}])
def test_without_a_key_the_error_says_where_one_goes(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="OPENAI_API_KEY"):
        bl.OpenAI("some-model", **options)


def test_without_the_package_the_error_says_how_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # None makes an import of the name fail as a missing package does.
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ImportError, match=r"pip install 'branchline\[openai\]'"):
        OpenAI("gpt-4o", api_key="none")


@pytest.mark.parametrize("is_chat", [True, False])
def test_a_form_of_several_gens_is_one_request(api: FakeApi, is_chat: bool) -> None:
    @bl.function(num_api_spec_tokens=64)
    def form(s: bl.ProgramState) -> None:
        s += bl.user("A character, please.")
        s += bl.assistant("Name:" + bl.gen("name", stop="\n") + "\nJob:" + bl.gen("job", stop="\n"))

    api.write = lambda request: ("Name:" if is_chat else "") + " Ann\nJob: pilot\n"
    state = form(backend=chat_model(api, is_chat_model=is_chat))
    assert (state["name"], state["job"]) == (" Ann", " pilot")
    assert len(api.requests) == 1
