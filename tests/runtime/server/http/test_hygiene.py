"""What errors may say, what is never fetched, and what clients call their requests (S8, S16, S18,
R22), over HTTP with an engine played by the test."""

from __future__ import annotations

import itertools
import json
import re
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from played_front import Asker, PlayedFront

from branchline.runtime.engine_protocol import Failed, Submit
from branchline.runtime.server.http.chat import ChatRequest
from branchline.runtime.server.http.completions import CompletionRequest
from branchline.runtime.server.http.native_fields import NativeSampling

LEAKS = re.compile(rb"0x[0-9a-f]{6,}|Traceback|File \\?\"|/(?:usr|home|root|tmp|work)/|\.py\b")
SECRET = "hunter2-is-the-password"

# Beside tests/runtime/server/http/test_odd_values.py, which has one field at a time.
PAIRED = {
    "temperature": [0, 1e-9, 100, 1e308, -1, None],
    "top_p": [0, 1e-9, 1, 2, None],
    "min_p": [0, 1, 2],
    "max_tokens": [0, 1, 2**31, 2**63, -1, None],
    "min_tokens": [0, 1, 2**20, 2**31],
    "n": [0, 1, 16, 129, 10**6],
    "seed": [0, -1, 2**63 - 1, 2**64],
    "stop": [[], "x", ["x"] * 33, [""], "x" * 300],
    "logit_bias": [{}, {"1": 100}, {"1": 101}, {"-1": 1}, {"999999999999": 1}],
    "frequency_penalty": [-2, 2, 3],
    "presence_penalty": [-2, 2, -3],
    "repetition_penalty": [0, 1, 11],
    "logprobs": [0, 5, 21, -1],
    "stop_token_ids": [[], [1], [-1], [2**31], list(range(65))],
}
PAIRS = [
    {first: a, second: b}
    for first, second in itertools.combinations(PAIRED, 2)
    for a, b in itertools.islice(itertools.product(PAIRED[first], PAIRED[second]), 0, None, 9)
]


def test_every_pair_of_sampling_fields_has_an_answer_that_names_the_wrong_one(
    asker: Asker,
) -> None:
    """S8, pairwise."""
    statuses = set()
    for fields in PAIRS:
        answer = asker.post("/v1/completions", prompt="hello", **fields)
        assert answer.status in (200, 400), (fields, answer.body)
        statuses.add(answer.status)
        if answer.status == 400:
            named = answer.error["param"] or ""
            assert named.split(".")[0] in (*fields, "prompt", "top_logprobs"), (fields, answer.body)
    assert statuses == {200, 400}
    assert asker.get("/ready").status == 200


DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
BODIES = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"{",
    b"\xff\xfe{}",
    b'{"prompt": "\\ud800"}',
    b'{"prompt": NaN}',
    b'{"prompt": Infinity}',
    b'{"prompt": "a", "prompt": "b", "max_tokens": 1}',
    b'{"prompt": "a", "max_tokens": ' + b"9" * 100_000 + b"}",
    b'{"prompt": "' + b"x" * 200_000 + b'"}',
    b'{"prompt": [' + b"1," * 100_000 + b"1]}",
    b'{"prompt": "a", "user": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    DEEP,
]


def test_no_error_tells_of_the_server_s_inside_nor_repeats_a_prompt(
    front: PlayedFront, asker: Asker
) -> None:
    """S18: bodies of every refusal, of whatever cause."""
    front.fail = lambda submit: Failed(submit.sid, "internal", "ZeroDivisionError in the engine")
    answers = [asker.post("/v1/completions", prompt=SECRET, max_tokens=2)]
    front.fail = lambda submit: None
    paths = ["/v1/chat/completions", "/v1/completions", "/generate", "/v1/tokenize", "/nowhere"]
    for path, body in itertools.product(paths, [*BODIES, json.dumps({"q": SECRET}).encode()]):
        answers.append(asker.ask("POST", path, raw=body))
    for struct in (ChatRequest, CompletionRequest, NativeSampling):
        for name in struct.__struct_fields__:
            answers.append(asker.post("/v1/chat/completions", **{name: {"colour": SECRET}}))
    refusals = [answer for answer in answers if answer.status >= 400]
    assert len(refusals) > 80
    for answer in refusals:
        assert not LEAKS.search(answer.body), answer.body
        assert answer.status < 500 or answer is answers[0], answer.body
        assert SECRET.encode() not in answer.body, answer.body
    assert asker.get("/ready").status == 200


def test_an_error_that_tells_of_the_inside_would_be_seen(front: PlayedFront, asker: Asker) -> None:
    """Planted: a text of the engine's that names a file, and one that repeats the prompt."""
    for text in ("in /usr/lib/engine.py", f"{SECRET}?"):
        front.fail = lambda submit, text=text: Failed(submit.sid, "invalid_request", text)
        answer = asker.post("/v1/completions", prompt=SECRET, max_tokens=2)
        assert LEAKS.search(answer.body) or SECRET.encode() in answer.body


@pytest.fixture(scope="module")
def connections() -> list[tuple[str, object]]:
    """Outgoing connections and name look-ups of this process, from now on; an audit hook stays."""
    seen: list[tuple[str, object]] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in ("socket.connect", "socket.getaddrinfo", "urllib.Request"):
            seen.append((threading.current_thread().name, arguments[-1]))

    sys.addaudithook(hook)
    return seen


URLS = [
    "http://127.0.0.1:1/x.png",
    "http://169.254.169.254/latest/meta-data/",
    "https://example.com/cat.png",
    "file:///etc/passwd",
    "ftp://example.com/x",
    "//example.com/x",
    "data:text/html,<script>",
]


@pytest.mark.parametrize("url", URLS)
def test_no_url_is_ever_fetched(
    asker: Asker, connections: list[tuple[str, object]], url: str
) -> None:
    """S16: wherever a URL may stand."""
    connections.clear()
    parts = [{"type": "image_url", "image_url": {"url": url}}]
    schemas = [{"$ref": url}, {"$id": url, "$ref": "#/x"}, {"$schema": url, "type": "object"}]
    answers = [
        asker.post("/v1/chat/completions", messages=[{"role": "user", "content": parts}]),
        asker.post("/v1/completions", prompt="x", image_url=url),
        asker.post("/generate", text="x", image_data=url),
        asker.post("/generate", text="x", image_data=[url]),
    ]
    assert [answer.status for answer in answers] == [400] * 4
    for schema in schemas:
        asker.post("/generate", text="x", sampling_params={"json_schema": json.dumps(schema)})
    mine = threading.current_thread().name
    assert [call for call in connections if call[0] != mine] == []


def test_a_connection_of_the_server_would_be_seen(
    connections: list[tuple[str, object]],
) -> None:
    """Planted: another thread connects, to a port at which nobody listens."""
    connections.clear()
    with socket.socket() as free, ThreadPoolExecutor(1) as threads:
        free.bind(("127.0.0.1", 0))
        with socket.socket() as one:
            threads.submit(one.connect_ex, free.getsockname()).result()
    [(thread, _)] = connections
    assert thread != threading.current_thread().name


def test_a_request_level_chat_template_is_refused(asker: Asker) -> None:
    """S12."""
    for name in ("chat_template", "chat_template_kwargs"):
        answer = asker.chat(**{name: "{{ ''.__class__ }}"})
        assert answer.status == 400
        assert name in answer.error["message"]


@pytest.fixture
def echo(front: PlayedFront) -> PlayedFront:
    """Says the last number of its prompt."""

    def reply(submit: Submit) -> str:
        return re.findall(r"\d+", front.tokenizer.decode(submit.input_ids))[-1]

    front.reply = reply
    return front


NAMES = ["", "same", "same", "é", "x" * 8_000, "../../etc", "http-1", "\x01", "a b"]


def test_no_answer_reaches_another_s_request_whatever_clients_call_theirs(
    echo: PlayedFront, asker: Asker
) -> None:
    """R22: 1,000 at once, under equal, empty, long and odd names."""

    def ask(number: int) -> None:
        name = NAMES[number % len(NAMES)]
        headers = {"X-Request-Id": name.encode().decode("latin-1")} if name.isprintable() else {}
        answer = asker.ask(
            "POST", "/v1/completions", {"prompt": f"say {number}", "user": name}, headers=headers
        )
        if answer.status == 200:
            assert answer.json["choices"][0]["text"] == str(number)
            seen.append(answer.json["id"])
        else:
            assert answer.status == 400, answer.body

    seen: list[str] = []
    with ThreadPoolExecutor(32) as threads:
        list(threads.map(ask, range(1_000)))
    assert len(seen) > 500
    assert len(set(seen)) == len(seen)


def test_an_answer_to_another_s_request_would_be_seen(front: PlayedFront, asker: Asker) -> None:
    """Planted: everybody is told what the one before should have been."""
    said = ["0"]

    def reply(submit: Submit) -> str:
        said.append(re.findall(r"\d+", front.tokenizer.decode(submit.input_ids))[-1])
        return said[-2]

    front.reply = reply
    with pytest.raises(AssertionError):
        test_no_answer_reaches_another_s_request_whatever_clients_call_theirs(front, asker)


def test_metrics_and_limits_are_about_the_same_structs() -> None:
    """The pairs above name fields that exist: a renamed one would be refused for another reason."""
    known = set(CompletionRequest.__struct_fields__)
    names = {field.encode_name for field in msgspec.structs.fields(CompletionRequest)} | known
    assert set(PAIRED) <= names
