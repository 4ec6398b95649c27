"""Five hundred pickles on every socket, in every field and in every file that is read: none is
opened (S3)."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from asking import generate
from pickles import bare, wrapped

import branchline as bl
from branchline.lang.checkpoint import CheckpointError
from branchline.lang.client import ZmqConnection
from branchline.lang.launch import RuntimeProcess
from branchline.runtime.constrained.jobs import Job
from branchline.runtime.engine_protocol import engine_commands
from branchline.runtime.memory.allocator import SlotAllocator
from branchline.runtime.protocol import Error, FrameError, front_messages
from branchline.runtime.radix_cache.snapshot import SnapshotError, load
from branchline.runtime.radix_cache.tree import RadixCache
from branchline.runtime.server.http.anthropic_fields import AnthropicRequest
from branchline.runtime.server.http.chat import ChatRequest
from branchline.runtime.server.http.completions import CompletionRequest
from branchline.runtime.server.http.embeddings import EmbeddingRequest
from branchline.runtime.server.http.native_fields import NativeRequest
from branchline.runtime.server.http.ollama_fields import OllamaChat
from branchline.runtime.server.http.responses_fields import ResponseRequest
from branchline.runtime.tokenizer import Tokenizer, TokenizerError

Start = Callable[..., RuntimeProcess]

ASK = [{"role": "user", "content": "the"}]
BODIES: dict[str, tuple[type[msgspec.Struct], dict[str, Any]]] = {
    "/v1/chat/completions": (ChatRequest, {"messages": ASK, "max_tokens": 1}),
    "/v1/completions": (CompletionRequest, {"prompt": "the", "max_tokens": 1}),
    "/v1/responses": (ResponseRequest, {"input": "the", "max_output_tokens": 1}),
    "/v1/embeddings": (EmbeddingRequest, {"input": "the"}),
    "/v1/messages": (AnthropicRequest, {"messages": ASK, "max_tokens": 1}),
    "/api/chat": (OllamaChat, {"model": "tiny", "messages": ASK}),
    "/generate": (NativeRequest, {"text": "the", "sampling_params": {"max_new_tokens": 1}}),
}
FIELDS = [(path, name) for path, (kind, _) in BODIES.items() for name in kind.__struct_fields__]
KINDS = ("application/json", "application/octet-stream", "application/x-python-pickle")


@pytest.fixture
def traps(tmp_path: Path) -> Iterator[Path]:
    """Where opened pickles leave their traces; there must be none."""
    folder = tmp_path / "traps"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []


def test_each_of_them_does_harm_where_it_is_opened(tmp_path: Path) -> None:
    """Planted: opened by Python, not one is a dud."""
    pickles = bare(tmp_path)
    assert len(list(wrapped(tmp_path))) >= 500
    opener = "import pickle, sys\nwhile True:\n    try: pickle.load(sys.stdin.buffer)\n"
    opener += "    except EOFError: break\n"
    subprocess.run([sys.executable, "-c", opener], input=b"".join(pickles.values()), check=True)
    assert {path.name for path in tmp_path.iterdir()} == set(pickles)


def test_no_socket_opens_them(start: Start, traps: Path) -> None:
    process = start()
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.RCVTIMEO, 60_000)
        dealer.connect(process.address)
        for frame in wrapped(traps):
            dealer.send(frame)
            assert isinstance(front_messages.decode(dealer.recv()), Error)
    # Past ZeroMQ, too. There is no other way in: the engine's channel has no name.
    path = Path(process.address.removeprefix("ipc://"))
    assert list(path.parent.glob("*.sock")) == [path]
    for data in bare(traps).values():
        with socket.socket(socket.AF_UNIX) as raw, suppress(BrokenPipeError):
            raw.connect(str(path))
            raw.sendall(data)
    connection = ZmqConnection(process.address)
    assert generate(connection).outputs
    connection.close()


def test_no_field_and_no_body_of_http_opens_them(start: Start, traps: Path) -> None:
    process = start(http="127.0.0.1:0")
    address = str(process.http_url).removeprefix("http://")

    def status_of(path: str, body: bytes, kind: str, key: str = "none") -> int:
        connection = HTTPConnection(address, timeout=60)
        headers = {"Content-Type": kind, "X-Request-Id": key, "Cookie": f"session={key}"}
        connection.request("POST", path, body, headers)
        status = connection.getresponse().status
        connection.close()
        return status

    places = itertools.cycle(FIELDS)
    for number, data in enumerate(wrapped(traps)):
        path, name = next(places)
        body = json.dumps({**BODIES[path][1], name: data.decode("latin-1")}).encode()
        assert status_of(path, body, "application/json") < 500, (path, name)
        kind = KINDS[number % len(KINDS)]
        assert status_of(path, data, kind, key=data.hex()[:4_000]) in (400, 415), (path, kind)
    assert status_of("/generate", b'{"text": "the"}', "application/json") == 200


def test_no_pipe_between_the_processes_opens_them(traps: Path) -> None:
    jobs = msgspec.msgpack.Decoder(Job)
    for data in wrapped(traps):
        with pytest.raises(FrameError):
            engine_commands.decode(data)
        with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
            jobs.decode(data)


def test_no_file_that_is_read_opens_them(runtime: RuntimeProcess, traps: Path) -> None:
    @bl.function
    def echo(s: bl.ProgramState, text: str) -> None:
        s += text

    file = traps.parent / "tokenizer.json"
    with bl.RuntimeEndpoint(runtime.address) as backend:
        for data in bare(traps).values():
            file.write_bytes(data)
            with pytest.raises(SnapshotError):
                load(RadixCache(SlotAllocator(8)), lambda slots, kv: None, "f", file)
            with pytest.raises(TokenizerError):
                Tokenizer.load(file.parent)
            with pytest.raises(CheckpointError):
                echo.run_batch([("a",)], backend=backend, checkpoint=file)
