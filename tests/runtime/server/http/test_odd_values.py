"""Every field of every API with values that nobody should send: an answer, never a server error."""

from __future__ import annotations

import itertools
import json
import time

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
# As they stand in a body; parsers and copies of others end with these.
EXTREMES = {
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "a number of a million digits": b"9" * 10**6,
    "1 MiB of text": b'"' + b"x" * 2**20 + b'"',
    "100,000 items": b"[" + b"1," * 99_999 + b"1]",
    "100,000 deep": b"[" * 10**5 + b"]" * 10**5,
    "100,000 objects deep": b'{"a":' * 10**5 + b"1" + b"}" * 10**5,
    "100,000 members": b"{" + b",".join(b'"k%d":1' % n for n in range(10**5)) + b"}",
}
MESSAGES = [{"role": "user", "content": "hello"}]


BODIES = pytest.mark.parametrize(
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


@BODIES
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


@BODIES
def test_no_extreme_of_any_field_is_a_server_error(
    asker: Asker, path: str, struct: type[msgspec.Struct], base: dict[str, object]
) -> None:
    """S8: every field once, the extremes in turn; each extreme meets many fields."""
    slowest_s = 0.0
    for name, kind in zip(struct.__struct_fields__, itertools.cycle(EXTREMES), strict=False):
        given = {key: json.dumps(value).encode() for key, value in base.items()}
        given[name] = EXTREMES[kind]
        body = b"{" + b",".join(b'"%s":%s' % (k.encode(), v) for k, v in given.items()) + b"}"
        if struct is NativeSampling:
            body = b'{"text":"hello","sampling_params":' + body + b"}"
        begun_s = time.perf_counter()
        answer = asker.ask("POST", path, raw=body)
        slowest_s = max(slowest_s, time.perf_counter() - begun_s)
        assert answer.status in (200, 400, 404), (name, kind, answer.body[:300])
        assert len(answer.body) < 4_096 or answer.status == 200, (name, kind)
    print(f"{path}: slowest answer {slowest_s * 1000:.0f} ms")
    assert asker.get("/ready").status == 200
