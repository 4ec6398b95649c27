"""R27: what the official packages raise for each way in which a request can fail, against an engine
that the test plays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import ollama
import openai
import pytest
from played_front import Asker, PlayedFront

from branchline.runtime.engine_protocol import Failed, Submit
from branchline.runtime.protocol import ErrorCode
from branchline.runtime.server.flight import Limits
from branchline.runtime.server.http import errors
from branchline.runtime.server.http.quota import Quota
from branchline.runtime.tokenizer import Tokenizer

KEY = "a-key-for-the-tests"
MESSAGES: Any = [{"role": "user", "content": "hello"}]

# What a sequence failed with in the engine: status, and the classes of the two packages.
CLASSES: dict[ErrorCode, tuple[int, type[Exception], type[Exception]]] = {
    "invalid_request": (400, openai.BadRequestError, anthropic.BadRequestError),
    "grammar": (400, openai.BadRequestError, anthropic.BadRequestError),
    "context_length": (400, openai.BadRequestError, anthropic.BadRequestError),
    "timeout": (408, openai.APIStatusError, anthropic.APIStatusError),
    "session_lost": (409, openai.ConflictError, anthropic.ConflictError),
    "overloaded": (429, openai.RateLimitError, anthropic.RateLimitError),
    "internal": (500, openai.InternalServerError, anthropic.InternalServerError),
    "unavailable": (503, openai.InternalServerError, anthropic.APIStatusError),
}


class Clients:
    """One of each package, none of which tries again by itself."""

    def __init__(self, front: PlayedFront, key: str = "none") -> None:
        assert front.server is not None
        url = front.server.url
        self.openai = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
        self.anthropic = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)
        self.ollama = ollama.Client(host=url, headers={"Authorization": f"Bearer {key}"})

    def chat(self, **fields: Any) -> Any:
        return self.openai.chat.completions.create(model="tiny", messages=MESSAGES, **fields)

    def message(self, **fields: Any) -> Any:
        asked: dict[str, Any] = {"model": "tiny", "messages": MESSAGES, "max_tokens": 8}
        return self.anthropic.messages.create(**{**asked, **fields})

    def ollama_chat(self) -> Any:
        return self.ollama.chat("tiny", MESSAGES)

    def close(self) -> None:
        self.openai.close()
        self.anthropic.close()
        self.ollama.close()


@pytest.fixture
def clients(front: PlayedFront) -> Iterator[Clients]:
    clients = Clients(front)
    yield clients
    clients.close()


@pytest.mark.parametrize("code", CLASSES)
def test_what_goes_wrong_in_the_engine_has_its_class(
    front: PlayedFront, clients: Clients, code: ErrorCode
) -> None:
    front.fail = lambda submit: Failed(submit.sid, code, "the engine says so")
    status, of_openai, of_anthropic = CLASSES[code]
    with pytest.raises(of_openai, match="the engine says so") as chat:
        clients.chat()
    assert chat.value.status_code == status  # type: ignore[attr-defined]
    with pytest.raises(of_anthropic, match="the engine says so") as message:
        clients.message()
    assert message.value.status_code == status  # type: ignore[attr-defined]
    with pytest.raises(ollama.ResponseError, match="the engine says so") as answer:
        clients.ollama_chat()
    assert answer.value.status_code == status


def test_an_error_with_another_status_would_be_seen(
    front: PlayedFront, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted."""
    monkeypatch.setitem(errors._BY_CODE, "session_lost", (500, "server_error", None))
    with pytest.raises(openai.InternalServerError):
        test_what_goes_wrong_in_the_engine_has_its_class(front, clients, "session_lost")


@pytest.mark.parametrize("code", CLASSES)
def test_what_goes_wrong_in_mid_stream_raises_and_never_ends_well(
    front: PlayedFront, clients: Clients, code: ErrorCode
) -> None:
    num_steps = 0

    def fail(submit: Submit) -> Failed | None:
        nonlocal num_steps
        num_steps += 1
        return None if num_steps < 3 else Failed(submit.sid, code, "the engine says so")

    front.fail = fail
    front.reply = lambda submit: "good island " * 20
    with pytest.raises(openai.APIError, match="the engine says so"):
        list(clients.chat(stream=True))
    num_steps = 0
    with pytest.raises(anthropic.APIError, match="the engine says so"):
        list(clients.message(stream=True))


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_waiting_room_is_a_rate_limit_before_any_stream_begins(
    tokenizer: Tokenizer, stream: bool
) -> None:
    front = PlayedFront(tokenizer, limits=Limits(max_waiting_sequences=1))
    front.listen()
    front.allow(0)
    assert front.server is not None
    clients = Clients(front)
    waiting = Asker(front.server).send("/v1/completions", {"prompt": "hello"})
    try:
        front.wait_until(lambda: len(front.submits) == 1)
        with pytest.raises(openai.RateLimitError) as chat:
            clients.chat(stream=stream)
        assert int(chat.value.response.headers["retry-after"]) >= 1
        with pytest.raises(anthropic.RateLimitError) as message:
            clients.message(stream=stream)
        assert int(message.value.response.headers["retry-after"]) >= 1
    finally:
        waiting.close()
        clients.close()
        front.close()


def test_a_key_over_its_rate_is_limited_in_every_package(own_front: PlayedFront) -> None:
    own_front.listen(KEY, quota=Quota(requests_per_s=0.001))
    clients = Clients(own_front, KEY)
    assert clients.chat().choices[0].message.content == "good island"
    for ask, kind in (
        (clients.chat, openai.RateLimitError),
        (clients.message, anthropic.RateLimitError),
        (clients.ollama_chat, ollama.ResponseError),
    ):
        with pytest.raises(kind, match="requests per second"):
            ask()
    clients.close()


def test_another_key_is_an_authentication_error(own_front: PlayedFront) -> None:
    own_front.listen(KEY)
    clients = Clients(own_front, "wrong")
    with pytest.raises(openai.AuthenticationError):
        clients.chat()
    with pytest.raises(anthropic.AuthenticationError):
        clients.message()
    with pytest.raises(ollama.ResponseError) as unknown:
        clients.ollama_chat()
    assert unknown.value.status_code == 401
    clients.close()


def test_too_large_a_body_has_its_class(clients: Clients) -> None:
    large: Any = [{"role": "user", "content": "x" * 5_000_000}]
    for _ in range(10):  # the connection ends while the client still sends
        with pytest.raises(openai.APIStatusError) as chat:
            clients.openai.chat.completions.create(model="tiny", messages=large)
        assert chat.value.status_code == 413
        with pytest.raises(anthropic.RequestTooLargeError):
            clients.message(messages=large)


def test_a_server_that_is_not_there_is_a_connection_error(own_front: PlayedFront) -> None:
    own_front.listen()
    clients = Clients(own_front)
    assert own_front.server is not None
    own_front.server.stop()
    with pytest.raises(openai.APIConnectionError):
        clients.chat()
    with pytest.raises(anthropic.APIConnectionError):
        clients.message()
    with pytest.raises(ConnectionError):
        clients.ollama_chat()
    clients.close()
