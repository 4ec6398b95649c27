"""A server that speaks HTTP exactly as a test tells it. Used by the tests of the load generator."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Played:
    """pieces: what each answer streams, with usage at its end. status: of every POST. cut: end the
    stream early. most_at_once: how many requests were ever open together."""

    pieces: list[str] = field(default_factory=lambda: ["a", "b", "c"])
    status: int = 200
    cut: bool = False
    meet: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    open: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        played = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                played.keys.append(self.headers.get("Authorization"))
                self.answer(200, json.dumps({"data": [{"id": "played"}]}).encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with played.changed:
                    played.bodies.append(body)
                    played.paths.append(self.path)
                    played.keys.append(self.headers.get("Authorization"))
                    played.open += 1
                    played.most_at_once = max(played.most_at_once, played.open)
                    played.changed.notify_all()
                    played.changed.wait_for(lambda: played.most_at_once >= played.meet, 10)
                    played.open -= 1
                if played.status != 200:
                    self.answer(played.status, b'{"error": {"message": "too many"}}')
                    return
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for event in played.events("messages" in body):
                    self.chunk(f"data: {json.dumps(event)}\n\n".encode())
                if not played.cut:
                    self.chunk(b"data: [DONE]\n\n")
                self.wfile.write(b"0\r\n\r\n")

            def chunk(self, data: bytes) -> None:
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def events(self, chat: bool) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if chat:
            found.append({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
        for piece in self.pieces:
            found.append({"choices": [{"delta": {"content": piece}} if chat else {"text": piece}]})
        usage = {
            "prompt_tokens": 10,
            "completion_tokens": len(self.pieces),
            "prompt_tokens_details": {"cached_tokens": 4},
        }
        return [*found, {"choices": [], "usage": usage}]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Played:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
