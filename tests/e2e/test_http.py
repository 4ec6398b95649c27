"""The official `openai` package against a real runtime that serves a tiny model over HTTP."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Literal, NoReturn

import openai
import pytest
from asking import ENDLESS, num_running
from processes import children
from pydantic import BaseModel, Field
from stopwatch import seconds_until

from branchline.lang.client import ZmqConnection
from branchline.lang.launch import RuntimeProcess
from branchline.runtime.server.http.native_fields import NativeSampling

KEY = "a-key-for-the-tests"
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "server.md"


Start = Callable[..., RuntimeProcess]


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Line(BaseModel):
    """A line of an order."""

    article: Literal["apple", "pear"]
    pieces: int = Field(ge=1, le=9)


class Order(BaseModel):
    """What the model must fill in."""

    colour: Colour
    lines: list[Line] = Field(max_length=2)
    note: Literal["yes", "no"] | None


@pytest.fixture(scope="module")
def served(model_dir: Path) -> Iterator[RuntimeProcess]:
    """A runtime with HTTP that no test harms."""
    with RuntimeProcess(
        str(model_dir), kv_slots=8192, num_threads=1, http="127.0.0.1:0", api_key=KEY
    ) as process:
        yield process


@pytest.fixture(scope="module")
def client(served: RuntimeProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.http_url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def model(client: openai.OpenAI) -> str:
    [card] = client.models.list().data
    return card.id


@pytest.fixture
def connection(served: RuntimeProcess) -> Iterator[ZmqConnection]:
    """A look into the same runtime from the side."""
    connection = ZmqConnection(served.address)
    yield connection
    connection.close()


def ask(text: str = "the quick brown") -> list[openai.types.chat.ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def endless_stream(
    client: openai.OpenAI, model: str
) -> openai.Stream[openai.types.chat.ChatCompletionChunk]:
    """A stream that has begun and does not end soon."""
    stream = client.chat.completions.create(
        model=model,
        messages=ask(),
        max_tokens=ENDLESS,
        stream=True,
        extra_body={"ignore_eos": True},
    )
    next(iter(stream))
    return stream


def ask_on_and_on(client: openai.OpenAI, model: str) -> NoReturn:
    """Until it fails: a signal takes a moment to arrive."""
    while True:
        client.completions.create(model=model, prompt="fox", max_tokens=1)


def test_a_chat_is_answered_with_usage(client: openai.OpenAI, model: str) -> None:
    first = client.chat.completions.create(
        model=model, messages=ask(), max_completion_tokens=8, temperature=0, seed=1
    )
    again = client.chat.completions.create(
        model=model, messages=ask(), max_completion_tokens=8, temperature=0, seed=1
    )
    assert first.choices[0].message.content == again.choices[0].message.content
    assert again.usage is not None
    assert again.usage.prompt_tokens_details is not None
    assert again.usage.prompt_tokens_details.cached_tokens == again.usage.prompt_tokens - 1


def test_a_stream_spells_the_same_answer(client: openai.OpenAI, model: str) -> None:
    whole = client.chat.completions.create(
        model=model, messages=ask(), max_tokens=30, temperature=0
    )
    stream = client.chat.completions.create(
        model=model,
        messages=ask(),
        max_tokens=30,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    text, usage = "", None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
    assert text == whole.choices[0].message.content
    assert usage == whole.usage.model_copy(
        update={"prompt_tokens_details": usage.prompt_tokens_details}
    )


def test_parse_gives_a_pydantic_object(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.parse(
        model=model, messages=ask("an order"), response_format=Order, max_tokens=200
    )
    order = answer.choices[0].message.parsed
    assert isinstance(order, Order)


def test_a_streamed_parse_gives_a_pydantic_object(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.stream(
        model=model, messages=ask("an order"), response_format=Order, max_tokens=200
    ) as stream:
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Order)


def test_any_json_object_and_a_regex_hold(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model, messages=ask(), response_format={"type": "json_object"}, max_tokens=100
    )
    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)
    regex = {"type": "regex", "pattern": "[a-c]{3}-[0-9]{2}"}
    answer = client.chat.completions.create(
        model=model, messages=ask(), extra_body={"response_format": regex}
    )
    assert re.fullmatch(regex["pattern"], answer.choices[0].message.content or "")


# What an operator looks at, and where it stands.
METRICS = (
    "time_to_first_token_seconds_count",
    "inter_token_latency_seconds_count",
    "queue_time_seconds_count",
    "runtime_waiting",
    "runtime_running",
    "runtime_hit_tokens",
    "runtime_prompt_tokens",
    "runtime_evicted_tokens",
    "runtime_grammar_compile_seconds",
    "runtime_mask_seconds",
    "runtime_retractions",
    "runtime_front_requests_overloaded",
    'request_tokens_total{kind="generated",namespace="',
)


def test_metrics_tell_all_that_an_operator_looks_at(
    served: RuntimeProcess, client: openai.OpenAI, model: str
) -> None:
    regex = {"type": "regex", "pattern": "[a-c]{3}-[0-9]{2}"}
    pieces = client.chat.completions.create(
        model=model, messages=ask(), stream=True, extra_body={"response_format": regex}
    )
    assert list(pieces)

    def told() -> dict[str, str]:
        asked = urllib.request.Request(
            f"{served.http_url}/metrics", headers={"Authorization": f"Bearer {KEY}"}
        )
        with urllib.request.urlopen(asked) as answer:
            lines = answer.read().decode().splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))

    # The engine's own counters come with its next sign of life.
    seconds_until(lambda: float(told()["branchline_runtime_mask_seconds"]) > 0, 60)
    names = told()
    missing = [
        name for name in METRICS if not any(n.startswith(f"branchline_{name}") for n in names)
    ]
    assert missing == []


def test_a_completion_echoes_with_log_probabilities(client: openai.OpenAI, model: str) -> None:
    answer = client.completions.create(
        model=model, prompt="the quick brown fox", max_tokens=2, echo=True, logprobs=2
    )
    choice = answer.choices[0]
    assert choice.text.startswith("the quick brown fox")
    assert choice.logprobs is not None
    assert choice.logprobs.token_logprobs is not None
    assert choice.logprobs.token_logprobs[0] is None
    assert all(value < 0 for value in choice.logprobs.token_logprobs[1:] if value is not None)


def test_every_failure_has_its_exception(
    client: openai.OpenAI, served: RuntimeProcess, model: str
) -> None:
    create = client.chat.completions.create
    with pytest.raises(openai.BadRequestError) as bad:
        create(model=model, messages=ask(), temperature=-1)
    assert bad.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as long:
        create(model=model, messages=ask("fox " * 20_000))
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError) as missing:
        create(model="gpt-4o", messages=ask())
    assert missing.value.code == "model_not_found"
    with (
        openai.OpenAI(base_url=f"{served.http_url}/v1", api_key="wrong", max_retries=0) as other,
        pytest.raises(openai.AuthenticationError),
    ):
        other.models.list()
    unfit = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "alien"}}}
    with pytest.raises(openai.BadRequestError) as grammar:
        create(model=model, messages=ask(), response_format=unfit)  # type: ignore[call-overload]
    assert grammar.value.code == "invalid_grammar"


def test_no_sampling_field_that_passes_the_edge_harms_the_engine(served: RuntimeProcess) -> None:
    values = [0, 1, 2, 0.5, 2**31, True, "fox", ["\0", "é"], {"1": 100}, {"300000": 1}]
    fields = [name for name in NativeSampling.__struct_fields__ if name != "max_new_tokens"]
    host = str(served.http_url).removeprefix("http://")
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    connection = http.client.HTTPConnection(host, timeout=30)
    statuses = set()
    for name, value in itertools.product(fields, values):
        body = {"text": "fox", "sampling_params": {"max_new_tokens": 2, name: value}}
        connection.request("POST", "/generate", json.dumps(body), headers)
        response = connection.getresponse()
        answer = response.read()
        assert response.status in (200, 400), (name, value, answer)
        statuses.add(response.status)
    assert statuses == {200, 400}
    connection.close()


def test_leaving_a_stream_frees_the_engine(
    client: openai.OpenAI, model: str, connection: ZmqConnection
) -> None:
    stream = endless_stream(client, model)
    assert num_running(connection) == 1
    stream.close()
    seconds_until(lambda: num_running(connection) == 0, 1.0)


def test_leaving_without_a_stream_frees_the_engine(
    client: openai.OpenAI, model: str, connection: ZmqConnection
) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.3).chat.completions.create(
            model=model, messages=ask(), max_tokens=ENDLESS, extra_body={"ignore_eos": True}
        )
    seconds_until(lambda: num_running(connection) == 0, 1.0)


def test_every_command_of_the_guide_works(served: RuntimeProcess) -> None:
    assert served.http_url is not None
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    commands = [block for block in blocks if block.startswith("curl")]
    assert len(commands) >= 8
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command.replace("http://127.0.0.1:8000", served.http_url)],
            env={"PATH": "/usr/bin:/bin", "BRANCHLINE_API_KEY": KEY},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, command + done.stderr
        assert '"error":{' not in done.stdout, command + done.stdout


def test_an_engine_that_dies_in_mid_stream_is_an_error_and_never_done(
    start: Start, model_dir: Path
) -> None:
    runtime = start(http="127.0.0.1:0")
    with openai.OpenAI(base_url=f"{runtime.http_url}/v1", api_key="none", max_retries=0) as client:
        stream = endless_stream(client, model_dir.name)
        for pid in children(runtime.pid):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(openai.APIError, match="engine died"):
            list(stream)
        with pytest.raises(openai.InternalServerError) as gone:
            client.chat.completions.create(model=model_dir.name, messages=ask())
        assert gone.value.response.headers["retry-after"] == "1"


def test_a_runtime_told_to_end_completes_what_runs_and_refuses_the_rest(
    start: Start, model_dir: Path
) -> None:
    runtime = start(http="127.0.0.1:0", drain_s=60)
    with openai.OpenAI(base_url=f"{runtime.http_url}/v1", api_key="none", max_retries=0) as client:
        stream = endless_stream(client, model_dir.name)
        os.kill(runtime.pid, signal.SIGTERM)
        with pytest.raises(openai.InternalServerError, match="shutting down"):
            ask_on_and_on(client, model_dir.name)
        *_, last = stream
        assert last.choices[0].finish_reason == "length"
        seconds_until(lambda: not runtime.alive, 60)
        assert runtime.exit_status == 0
        with pytest.raises(openai.APIConnectionError):
            client.models.list()
