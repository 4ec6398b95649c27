"""Every field of every API with values that nobody should send: an answer, never a server error."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from played_front import Asker

from branchline.runtime.server.http.chat import ChatRequest
from branchline.runtime.server.http.completions import CompletionRequest
from branchline.runtime.server.http.embeddings import EmbeddingRequest
from branchline.runtime.server.http.native_fields import NativeRequest, NativeSampling
from branchline.runtime.server.http.ollama_embed import OllamaEmbed
from branchline.runtime.server.http.tokens import DetokenizeRequest, TokenizeRequest

ODD_VALUES = [
    *(-(2**63), -1, 0, 1, 0.5, 2**31, 2**63, 1e308, 10**400, True, "1", "", [], {}, None),
    *("x" * 20_000, [0] * 10_000, [[]], ["\0", "é"], {"type": "json_object"}, {"1": 1e9}),
    {"9" * 30: 1},
]
MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    ("path", "struct", "base"),
    [
        ("/v1/chat/completions", ChatRequest, {"messages": MESSAGES}),
        ("/v1/completions", CompletionRequest, {"prompt": "hello"}),
        ("/v1/embeddings", EmbeddingRequest, {"input": "hello"}),
        ("/api/embed", OllamaEmbed, {"model": "tiny", "input": "hello"}),
        ("/generate", NativeRequest, {"text": "hello"}),
        ("/generate", NativeSampling, {}),
        ("/v1/tokenize", TokenizeRequest, {"prompt": "hello"}),
        ("/v1/detokenize", DetokenizeRequest, {"tokens": [1]}),
    ],
)
def test_no_value_of_any_field_is_a_server_error(
    asker: Asker, path: str, struct: type[msgspec.Struct], base: dict[str, object]
) -> None:
    for name, value in itertools.product(struct.__struct_fields__, ODD_VALUES):
        body: dict[str, object] = {**base, name: value}
        if struct is NativeSampling:
            body = {"text": "hello", "sampling_params": body}
        answer = asker.post(path, **body)
        assert answer.status in (200, 400, 404), (name, value, answer.body)
    assert asker.get("/ready").status == 200
