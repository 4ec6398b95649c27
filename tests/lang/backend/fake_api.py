"""An HTTP server on loopback that answers in the shapes of the vendors' APIs and notes what it was
asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Request = dict[str, Any]


class FakeApi:
    """`write(request)` is what the model says, `call(request)` the tools that it calls instead,
    with `text_with_calls`; `status`, when set, is answered instead. With `cut_stream` a stream
    ends after its first event, or with `stream_error`; with `drop_connection` no answer comes
    whole. With `refuse_echo` no log probabilities of prompts are told, as by OpenAI's own
    completion models. With HTTP/1.1 as `protocol` connections stay open between requests;
    `connections` tells how many there are."""

    def __init__(self, protocol: str = "HTTP/1.0") -> None:
        self.write: Callable[[Request], str] = lambda request: "Paris is the answer."
        self.call: Callable[[Request], Sequence[tuple[str, str]]] = lambda request: ()
        self.text_with_calls = ""
        self.status: int | None = None
        self.error: Request = {}
        self.headers: dict[str, str] = {}
        self.cut_stream = False
        self.stream_error: Request | None = None
        self.drop_connection = False
        self.refuse_echo = False
        self.requests: list[Request] = []
        self.authorizations: list[str | None] = []
        self.connections = 0
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = protocol

            def setup(self) -> None:
                super().setup()
                api.connections += 1

            def finish(self) -> None:
                super().finish()
                api.connections -= 1

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                api.requests.append(body)
                api.authorizations.append(self.headers.get("authorization"))
                if api.status is not None:
                    self._send(api.status, json.dumps({"error": api.error}), "application/json")
                elif body.get("echo") and api.refuse_echo:
                    told = "Setting 'echo' and 'logprobs' at the same time is not supported."
                    self._send(400, json.dumps({"error": {"message": told}}), "application/json")
                elif body.get("stream"):
                    events = api.events(self.path, body)
                    self._send(200, "".join(events), "text/event-stream")
                else:
                    answer = json.dumps(api.answer(self.path, body))
                    self._send(200, answer, "application/json")

            def _send(self, status: int, text: str, kind: str) -> None:
                data = text.encode()
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data) + api.drop_connection))
                for name, value in api.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            # Batches connect all at once.
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def last(self) -> Request:
        return self.requests[-1]

    def answer(self, path: str, body: Request) -> Request:
        if calls := self.call(body) if body.get("tools") else ():
            with_calls = _message_with_calls if path.endswith("/messages") else _chat_with_calls
            return with_calls(self.text_with_calls, calls, body)
        if path.endswith("/messages"):
            return _message(self.write(body), body)
        if path.endswith("/chat/completions"):
            return _chat(self.write(body), body)
        assert path.endswith("/completions"), path
        return _echo(body) if body.get("echo") else _completion(self.write(body), body)

    def events(self, path: str, body: Request) -> list[str]:
        text = self.write(body)
        pieces = [text[start : start + 4] for start in range(0, len(text), 4)]
        if path.endswith("/messages"):
            events = _message_events(pieces)
        else:
            events = _chat_events(pieces) if "/chat/" in path else _completion_events(pieces)
        if self.stream_error is not None:
            return [events[0], _sse({"type": "error", "error": self.stream_error}, "error")]
        return events[:1] if self.cut_stream else events

    def __enter__(self) -> FakeApi:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}


def cut(text: str, body: Request) -> tuple[str, str]:
    """The text before the first stop string; and, one word being a token, before the limit."""
    for stop in body.get("stop") or body.get("stop_sequences") or ():
        text = text.split(stop)[0]
    limit = body.get("max_tokens") or body.get("max_completion_tokens") or 1000
    words = text.split(" ")
    if len(words) > limit:
        return " ".join(words[:limit]), "length"
    return text, "stop"


def _chat(text: str, body: Request) -> Request:
    text, reason = cut(text, body)
    token = {"token": text[:2], "logprob": -0.5, "bytes": None}
    logprobs = {"content": [{**token, "top_logprobs": [token]}], "refusal": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": logprobs if body.get("logprobs") else None,
                "finish_reason": reason,
            }
            for index in range(body.get("n", 1))
        ],
        "usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 3}},
    }


def _chat_with_calls(text: str, calls: Sequence[tuple[str, str]], body: Request) -> Request:
    answer = _chat(text, body)
    answer["choices"][0]["finish_reason"] = "tool_calls"
    answer["choices"][0]["message"]["tool_calls"] = [
        {"id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for i, (name, arguments) in enumerate(calls)
    ]
    return answer


def _message_with_calls(text: str, calls: Sequence[tuple[str, str]], body: Request) -> Request:
    answer = _message(text, body)
    answer["stop_reason"] = "tool_use"
    answer["content"] = [block for block in answer["content"] if block["text"]] + [
        {"type": "tool_use", "id": f"toolu_{i}", "name": name, "input": json.loads(arguments)}
        for i, (name, arguments) in enumerate(calls)
    ]
    return answer


def _completion(text: str, body: Request) -> Request:
    text, reason = cut(text, body)
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": reason}],
        "usage": USAGE,
    }


def _echo(body: Request) -> Request:
    """A character is a token, except that "?A" is one; vowels are likely."""

    def choice(index: int, prompt: str) -> Request:
        tokens: list[str] = []
        for character in prompt + "!":
            if tokens and tokens[-1] == "?" and character == "A":
                tokens[-1] = "?A"
            else:
                tokens.append(character)
        logprobs = [None, *(-0.1 if token[-1] in "aeiou" else -1.0 for token in tokens[1:])]
        offsets = [sum(map(len, tokens[:i])) for i in range(len(tokens))]
        return {
            "index": index,
            "text": prompt + "!",
            "finish_reason": "length",
            "logprobs": {
                "tokens": tokens,
                "token_logprobs": logprobs,
                "text_offset": offsets,
                "top_logprobs": None,
            },
        }

    return {
        "id": "cmpl-2",
        "object": "text_completion",
        "created": 1,
        "model": body["model"],
        # A server may answer in any order.
        "choices": [choice(i, prompt) for i, prompt in enumerate(body["prompt"])][::-1],
        "usage": USAGE,
    }


def _sse(data: Request, event: str | None = None) -> str:
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(data)}\n\n"


def _chat_events(pieces: list[str]) -> list[str]:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}

    def chunk(delta: Request, reason: str | None = None) -> str:
        return _sse({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": piece}) for piece in pieces),
        chunk({}, "stop"),
        _sse({**base, "choices": [], "usage": USAGE}),
        "data: [DONE]\n\n",
    ]


def _completion_events(pieces: list[str]) -> list[str]:
    base = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m"}

    def chunk(text: str, reason: str | None = None) -> str:
        one = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
        return _sse({**base, "choices": [one]})

    return [
        *(chunk(piece) for piece in pieces),
        chunk("", "length"),
        _sse({**base, "choices": [], "usage": USAGE}),
        "data: [DONE]\n\n",
    ]


def _message(text: str, body: Request) -> Request:
    text, reason = cut(text, body)
    return {
        "id": "msg-1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": text}],
        "stop_reason": "max_tokens" if reason == "length" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 5, "cache_read_input_tokens": 2},
    }


def _message_events(pieces: list[str]) -> list[str]:
    start = _message("", {"model": "m"}) | {"content": [], "stop_reason": None}
    block = {"type": "content_block_start", "index": 0}
    return [
        _sse({"type": "message_start", "message": start}, "message_start"),
        _sse({**block, "content_block": {"type": "text", "text": ""}}, "content_block_start"),
        *(
            _sse(
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "text_delta", "text": piece},
                },
                "content_block_delta",
            )
            for piece in pieces
        ),
        _sse({"type": "content_block_stop", "index": 0}, "content_block_stop"),
        _sse(
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 5},
            },
            "message_delta",
        ),
        _sse({"type": "message_stop"}, "message_stop"),
    ]
