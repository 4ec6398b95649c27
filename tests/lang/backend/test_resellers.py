"""`bl.Crusoe`, `bl.LiteLLM` and `bl.VertexAI`: other ways to what answers like OpenAI's API."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from fake_api import FakeApi

import branchline as bl


@bl.function
def capital(s: bl.ProgramState) -> None:
    s += bl.user("Capital of France?")
    s += bl.assistant(bl.gen("answer", max_tokens=8, temperature=0.0))


@pytest.fixture
def litellm(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stands for the package, which answers as OpenAI's does; what it was asked."""
    seen: list[dict[str, Any]] = []

    async def acompletion(**given: Any) -> Any:
        seen.append(dict(given))
        options = {name: given.pop(name) for name in ("base_url", "api_key", "timeout")}
        given.pop("extra_headers", None)
        return await openai.AsyncOpenAI(**options, max_retries=0).chat.completions.create(**given)

    monkeypatch.setitem(sys.modules, "litellm", SimpleNamespace(acompletion=acompletion))
    return seen


def test_crusoe_is_openai_s_api_with_a_key_of_its_own(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRUSOE_API_KEY", "secret")
    backend = bl.Crusoe("some/model", base_url=f"{api.url}/v1", max_retries=0)
    assert capital(backend=backend)["answer"] == "Paris is the answer."
    assert backend.client_options["api_key"] == "secret"
    assert api.last["model"] == "some/model"


def test_crusoe_without_a_key_says_where_one_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRUSOE_API_KEY", raising=False)
    with pytest.raises(ValueError, match="CRUSOE_API_KEY"):
        bl.Crusoe("some/model")


def test_litellm_is_asked_for_whole_conversations(
    api: FakeApi, litellm: list[dict[str, Any]]
) -> None:
    backend = bl.LiteLLM(
        "vendor/model", api_key="k", base_url=f"{api.url}/v1", default_headers={"X-Team": "a"}
    )
    assert capital(backend=backend)["answer"] == "Paris is the answer."
    assert api.last["messages"] == [{"role": "user", "content": "Capital of France?"}]
    assert litellm[0]["extra_headers"] == {"X-Team": "a"}
    assert backend.token_usage.completion_tokens > 0


def test_litellm_streams(api: FakeApi, litellm: list[dict[str, Any]]) -> None:
    backend = bl.LiteLLM("vendor/model", api_key="k", base_url=f"{api.url}/v1")
    state = capital.run(backend=backend, stream=True)
    assert "".join(state.text_iter("answer")) == "Paris is the answer."


def test_without_the_package_the_error_says_how_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "litellm", None)
    with pytest.raises(ImportError, match=r"pip install 'branchline\[litellm\]'"):
        bl.LiteLLM("vendor/model")


class _Credentials:
    """Google's, which hold for one call."""

    def __init__(self) -> None:
        self.token = ""
        self.valid = False
        self.num_refreshed = 0

    def refresh(self, request: object) -> None:
        self.num_refreshed += 1
        self.token, self.valid = f"token {self.num_refreshed}", True


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> _Credentials:
    """Stands for `google-auth`."""
    credentials = _Credentials()
    auth = SimpleNamespace(default=lambda scopes: (credentials, "their-project"))
    monkeypatch.setitem(sys.modules, "google.auth", auth)
    requests = SimpleNamespace(Request=object)
    monkeypatch.setitem(sys.modules, "google.auth.transport.requests", requests)
    for variable in ("GCP_PROJECT_ID", "GCP_LOCATION"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.replace("GCP", "GOOGLE_CLOUD"), raising=False)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    return credentials


def test_vertex_ai_is_asked_with_a_token_that_holds(api: FakeApi, google: _Credentials) -> None:
    settings = {"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"}
    backend = bl.VertexAI("gemini-pro", settings, base_url=f"{api.url}/v1", max_retries=0)
    assert capital(backend=backend)["answer"] == "Paris is the answer."
    assert api.authorizations == ["Bearer token 1"]
    assert api.last["model"] == "google/gemini-pro"
    harassment = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
    assert api.last["extra_body"] == {"google": {"safety_settings": [harassment]}}
    google.valid = False  # an hour later
    state = capital.run(backend=backend, stream=True)
    assert "".join(state.text_iter("answer")) == "Paris is the answer."
    assert api.authorizations == ["Bearer token 1", "Bearer token 2"]


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, "https://aiplatform.googleapis.com/v1/projects/their-project/locations/global"),
        (
            {"project": "ours", "location": "europe-west4"},
            "https://europe-west4-aiplatform.googleapis.com/v1/projects/ours/locations/europe-west4",
        ),
    ],
)
def test_vertex_ai_has_an_address_for_each_project(
    google: _Credentials, given: dict[str, Any], address: str
) -> None:
    backend = bl.VertexAI("gemini-pro", **given)
    assert backend.client_options["base_url"] == f"{address}/endpoints/openapi"


def test_vertex_ai_takes_the_variables_of_sglang_s_programs(
    google: _Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCP_PROJECT_ID", "mine")
    monkeypatch.setenv("GCP_LOCATION", "us-central1")
    backend = bl.VertexAI("gemini-pro")
    assert "/projects/mine/locations/us-central1/" in backend.client_options["base_url"]


def test_vertex_ai_refuses_what_its_api_lacks(api: FakeApi, google: _Credentials) -> None:
    backend = bl.VertexAI("gemini-pro", base_url=f"{api.url}/v1")
    error = capital.run(backend=backend, top_k=4).error()
    assert isinstance(error, bl.InvalidRequest)
    assert "top_k" in str(error)
    assert not api.requests


def test_vertex_ai_without_a_project_says_where_one_goes(google: _Credentials) -> None:
    with pytest.raises(ValueError, match="GOOGLE_CLOUD_PROJECT"):
        bl.VertexAI("gemini-pro", api_key="a token")


def test_vertex_ai_without_google_s_package_says_what_else_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)
    with pytest.raises(ImportError, match=r"api_key=.*pip install 'branchline\[vertexai\]'"):
        bl.VertexAI("gemini-pro")
