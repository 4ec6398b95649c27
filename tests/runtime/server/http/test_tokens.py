"""/v1/tokenize and /v1/detokenize."""

from __future__ import annotations

import pytest
from played_front import Asker, PlayedFront


def test_a_text_has_the_tokens_that_a_call_would_see(front: PlayedFront, asker: Asker) -> None:
    answer = asker.post("/v1/tokenize", prompt="hello world").json
    asker.post("/v1/completions", prompt="hello world")
    assert answer["tokens"] == front.submits[0].input_ids
    assert (answer["count"], answer["max_model_len"]) == (len(answer["tokens"]), 256)


def test_a_conversation_has_the_tokens_that_a_call_would_see(
    front: PlayedFront, asker: Asker
) -> None:
    messages = [{"role": "user", "content": "hello"}]
    answer = asker.post("/v1/tokenize", messages=messages).json
    asker.chat("hello")
    assert answer["tokens"] == front.submits[0].input_ids


def test_tokens_go_back_to_their_text(asker: Asker) -> None:
    tokens = asker.post("/v1/tokenize", prompt="héllo <|im_end|>", markup=True).json["tokens"]
    assert tokens[-1] == 2
    assert asker.post("/v1/detokenize", tokens=tokens).json == {"prompt": "héllo <|im_end|>"}


def test_a_long_text_is_tokenized_beside_the_loop(asker: Asker) -> None:
    assert asker.post("/v1/tokenize", prompt="hello" * 20_000).json["count"] > 256


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/tokenize", {}),
        ("/v1/tokenize", {"prompt": "a", "messages": []}),
        ("/v1/detokenize", {"tokens": [10**6]}),
        ("/v1/detokenize", {"tokens": [-1]}),
        ("/v1/detokenize", {"tokens": "x"}),
    ],
)
def test_a_wrong_field_is_refused(asker: Asker, path: str, fields: dict[str, object]) -> None:
    assert asker.post(path, **fields).status == 400
