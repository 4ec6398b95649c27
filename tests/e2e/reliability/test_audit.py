"""What no request may cause, watched in every process of a runtime by Python's audit hooks (S1, S3,
S12, S16)."""

from __future__ import annotations

import http.client
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from asking import generate, run

from branchline.lang.client import ZmqConnection
from branchline.lang.launch import RuntimeProcess
from branchline.runtime.protocol import Generate, Regex, SamplingParams, Text

pytestmark = pytest.mark.timeout(600)

Start = Callable[..., RuntimeProcess]

HOOKS = Path(__file__).parent / "audit"
ASK = [{"role": "user", "content": "the quick brown"}]
SCHEMA = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}
TOOLS = [{"type": "function", "function": {"name": "paint", "parameters": SCHEMA}}]
REMOTE = {"$ref": "http://127.0.0.1:9/schema.json"}


class Trap:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self._path,)


def form(schema: object) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def requests(trap: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Paths with bodies: one of every kind, then hostile ones."""
    chat = {"messages": ASK, "max_tokens": 4}
    yield "/v1/chat/completions", chat
    yield "/v1/chat/completions", {**chat, "stream": True, "logprobs": True, "top_logprobs": 2}
    yield "/v1/chat/completions", {**chat, "response_format": form(SCHEMA), "max_tokens": 60}
    yield "/v1/chat/completions", {**chat, "response_format": {"type": "regex", "pattern": "a+"}}
    yield "/v1/chat/completions", {**chat, "tools": TOOLS, "tool_choice": "required"}
    yield "/v1/responses", {"input": "the quick", "max_output_tokens": 4}
    yield "/v1/completions", {"prompt": ["the", "fox"], "max_tokens": 4, "echo": True}
    yield "/v1/embeddings", {"input": ["the", "fox"]}
    yield "/v1/tokenize", {"messages": ASK}
    yield "/v1/detokenize", {"tokens": [5, 6]}
    yield "/v1/messages", {"messages": ASK, "max_tokens": 4}
    yield "/api/generate", {"model": "MODEL", "prompt": "fox", "options": {"num_predict": 4}}
    yield "/generate", {"text": "the fox", "sampling_params": {"max_new_tokens": 4}}
    yield from ((path, None) for path in ("/health", "/ready", "/metrics", "/v1/models", "/ui"))
    yield from ((path, None) for path in ("/ui/api/now", "/ui/api/tree", "/openapi.json"))
    yield "/flush_cache", {}
    for text in (trap, "{{ ''.__class__.__mro__[1].__subclasses__() }}", "__import__('os')"):
        yield "/v1/chat/completions", {**chat, "messages": [{"role": "user", "content": text}]}
        yield "/v1/chat/completions", {**chat, "chat_template": text}
        yield "/v1/completions", {"prompt": text, "max_tokens": 1, "user": text[:64]}
        yield (
            "/v1/chat/completions",
            {**chat, "response_format": {"type": "regex", "pattern": text}},
        )
    picture = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/x.png"}}
    yield "/v1/chat/completions", {**chat, "messages": [{"role": "user", "content": [picture]}]}
    for schema in (REMOTE, {"$ref": "file:///etc/passwd"}, {"properties": {"a": REMOTE}}):
        yield "/v1/chat/completions", {**chat, "response_format": form(schema)}


def test_no_request_unpickles_runs_writes_starts_or_connects(
    start: Start, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = os.pathsep.join(filter(None, [str(HOOKS), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("BRANCHLINE_AUDIT", str(tmp_path))
    process = start(http="127.0.0.1:0")
    trap = tmp_path / "opened"
    frames = [pickle.dumps(Trap(trap), protocol) for protocol in range(6)]
    connection = ZmqConnection(process.address)
    # The first constraint builds and loads the machine for masks, whoever sends it.
    first = Generate(connection.new_rid(), [Text("the")], SamplingParams(), Regex("a"))
    assert run(connection.complete(first)).outputs
    (tmp_path / "armed").touch()

    assert generate(connection).outputs
    client = http.client.HTTPConnection(str(process.http_url).removeprefix("http://"), timeout=60)
    for route, body in requests(frames[0].decode("latin-1")):
        sent = None if body is None else json.dumps(body).replace("MODEL", model_dir.name)
        method = "GET" if body is None else "POST"
        client.request(method, route, sent, {"Content-Type": "application/json"})
        answer = client.getresponse()
        said = answer.read()
        assert answer.status in (200, 400, 404, 503), (route, body, said)
        assert answer.status < 500 or route == "/ready", (route, body, said)
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.RCVTIMEO, 20_000)
        dealer.connect(process.address)
        for frame in frames:
            dealer.send(frame)
            assert dealer.recv()
    assert generate(connection).outputs
    connection.close()
    client.close()

    assert not trap.exists()
    found = {file.name: file.read_text() for file in tmp_path.glob("*.events")}
    assert not found, "\n".join(found.values())


def test_the_hook_itself_sees_what_it_should(tmp_path: Path) -> None:
    (tmp_path / "armed").touch()
    code = (
        "import pickle, pathlib, socket\n"
        f"open({str(tmp_path / 'written')!r}, 'w').close()\n"
        "pickle.loads(pickle.dumps(pathlib.Path('x')))\n"
        "socket.socket().connect_ex(('127.0.0.1', 9))\n"
        "exec('1')\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(HOOKS), "BRANCHLINE_AUDIT": str(tmp_path)},
        check=True,
    )
    [file] = tmp_path.glob("*.events")
    events = {line.split()[0] for line in file.read_text().splitlines() if line[:1].isalpha()}
    assert {"open", "pickle.find_class", "socket.connect", "exec"} <= events
