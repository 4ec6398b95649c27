"""`bl.Crusoe` and `bl.LiteLLM`: other ways to what answers like OpenAI's API."""

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
