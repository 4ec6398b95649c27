"""`select` on completion APIs that tell no log probabilities of prompts."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from fake_api import FakeApi
from hypothesis import given, settings
from hypothesis import strategies as st

import branchline as bl
from branchline.lang.backend.choosing import choose_by_bias
from branchline.lang.backend.openai import OpenAI
from branchline.lang.choices import greedy_token_selection, mean_logprob
from branchline.lang.loop import shared_loop
from branchline.lang.meta import logprob_tuples

END = 0


class Characters:
    """A tokenizer whose tokens are characters."""

    eot_token = END

    def encode(self, text: str, disallowed_special: tuple[str, ...] = ("all",)) -> list[int]:
        assert disallowed_special == ()
        return list(map(ord, text))

    def decode(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))


@pytest.fixture
def model(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> OpenAI:
    def encoding_for_model(name: str) -> Characters:
        if name != "old-instruct":
            raise KeyError(name)
        return Characters()

    package = ModuleType("tiktoken")
    package.encoding_for_model = encoding_for_model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tiktoken", package)
    api.refuse_echo = True
    return completion_model(api, "old-instruct")


def completion_model(api: FakeApi, name: str) -> OpenAI:
    return OpenAI(name, False, base_url=f"{api.url}/v1", api_key="none", max_retries=0)


@bl.function
def pick(s: bl.ProgramState, choices: list[str]) -> None:
    s += "Best?" + bl.select("x", choices=choices)


def likes(word: str) -> Any:
    """A model that writes a word as far as it is allowed to, and otherwise what it may."""

    def write(request: dict[str, Any]) -> str:
        so_far = "".join(map(chr, request["prompt"])).removeprefix("Best?")
        allowed = [int(token) for token in request["logit_bias"]]
        wanted = [*map(ord, word), END][len(so_far)] if word.startswith(so_far) else -1
        token = wanted if wanted in allowed else allowed[0]
        return "" if token == END else chr(token)

    return write


@pytest.mark.parametrize("word", ["yes", "yet", "no", "not"])
def test_the_model_takes_a_choice_token_by_token(api: FakeApi, model: OpenAI, word: str) -> None:
    api.write = likes(word)
    state = pick(["yes", "yet", "no", "not"], backend=model)
    assert state["x"] == word
    asked = api.requests[1:]
    # Once for the first letter, once for the last or the end; what is certain is not asked.
    assert [set(request["logit_bias"]) for request in asked] == [
        {str(ord("y")), str(ord("n"))},
        {str(ord(c)) for c in "st"} if word[0] == "y" else {str(END), str(ord("t"))},
    ]
    assert asked[0]["prompt"] == list(map(ord, "Best?"))
    assert (asked[0]["max_tokens"], asked[0]["temperature"]) == (1, 0.0)


def test_a_server_is_asked_for_an_echo_once(api: FakeApi, model: OpenAI) -> None:
    api.write = likes("b")
    for _ in range(2):
        assert pick(["a", "b"], backend=model)["x"] == "b"
    assert ["echo" in request for request in api.requests] == [True, False, False]


def test_its_tokens_are_counted(api: FakeApi, model: OpenAI) -> None:
    api.write = likes("yet")
    usage = pick(["yes", "yet", "no"], backend=model).usages()[0]
    assert (usage.prompt_tokens, model.token_usage.prompt_tokens) == (22, 22)


def test_a_model_without_a_public_tokenizer_is_told(api: FakeApi, model: OpenAI) -> None:
    with pytest.raises(bl.InvalidRequest, match="takes the model's tokenizer, which is not public"):
        pick(["a", "b"], backend=completion_model(api, "another"))["x"]


def test_without_the_package_the_error_says_how_to_install(
    api: FakeApi, model: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    with pytest.raises(bl.InvalidRequest, match="pip install tiktoken"):
        pick(["a", "b"], backend=model)["x"]


def test_a_bias_that_the_server_ignores_is_told(api: FakeApi, model: OpenAI) -> None:
    api.write = lambda request: "z"
    with pytest.raises(bl.InternalError, match="wrote 'z', which is none of the tokens"):
        pick(["a", "b"], backend=model)["x"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=6, unique=True),
    st.data(),
)
def test_what_the_model_takes_wins_under_each_rule(choices: list[str], data: Any) -> None:
    wanted = data.draw(st.sampled_from(choices))

    async def ask(prompt: list[int], bias: dict[int, float]) -> str:
        so_far = "".join(map(chr, prompt))[1:]
        token = [*map(ord, wanted), END][len(so_far)]
        assert token in bias
        assert len(bias) > 1
        return "" if token == END else chr(token)

    scores = shared_loop().run(choose_by_bias(ask, Characters(), "?", choices))
    means = [mean_logprob([token.logprob for token in one.logprobs]) for one in scores]
    assert [mean == 0.0 for mean in means] == [choice == wanted for choice in choices]
    decided = greedy_token_selection(
        choices=choices,
        normalized_prompt_logprobs=means,
        input_token_logprobs=[logprob_tuples(one.logprobs) for one in scores],
        output_token_logprobs=[[] for _ in scores],
    )
    assert decided.decision == wanted
