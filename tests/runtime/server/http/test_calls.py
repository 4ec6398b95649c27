"""Requests for the engine take a way past the application's layers, and get the same answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import Message

from branchline.runtime.server.http import completions
from branchline.runtime.server.http.app import build_router
from branchline.runtime.server.http.calls import CallRoutes
from branchline.runtime.server.http.door import CALLS
from branchline.runtime.server.http.link import ClientGone, Link
from branchline.runtime.server.http.metrics import Metrics


class Asked:
    """What an application does with one request: what it sends, what it raises, the route."""

    def __init__(self, app: Any, method: str, path: str, body: bytes, kind: str) -> None:
        self.sent: list[Message] = []
        self.error: str | None = None
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"content-type", kind.encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "state": {"namespace": ""},
        }
        self._body = [{"type": "http.request", "body": body, "more_body": False}]
        asyncio.run(self._run(app))

    async def _run(self, app: Any) -> None:
        async def receive() -> Message:
            return self._body.pop() if self._body else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            self.sent.append(message)

        try:
            await app(self.scope, receive, send)
        except Exception as error:
            self.error = repr(error)


@pytest.fixture(scope="module")
def application() -> FastAPI:
    """Without a runtime: what is in order is told that the model is being loaded."""
    return build_router(Link(lambda message: None), Metrics())


@pytest.mark.parametrize("path", [*sorted(CALLS), "/v1/tokenize", "/v1/models", "/nowhere"])
@pytest.mark.parametrize("method", ["POST", "GET", "OPTIONS"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", "application/json"),
        (b"{}", "application/json"),
        (b'{"no such field": 1}', "application/json; charset=utf-8"),
        (b'{"prompt": "hello", "stream": true}', "application/json"),
        (b"hello", "text/plain"),
    ],
)
def test_both_ways_give_the_same_answer(
    application: FastAPI, method: str, path: str, body: bytes, kind: str
) -> None:
    short = Asked(CallRoutes(application), method, path, body, kind)
    long = Asked(application, method, path, body, kind)
    assert (short.sent, short.error) == (long.sent, long.error)
    assert short.scope.get("route") is long.scope.get("route")


@pytest.mark.parametrize("error", [ArithmeticError("a defect"), ClientGone()])
def test_what_an_endpoint_raises_is_answered_alike(
    application: FastAPI, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(completions.bodies, "read", fails)
    short, long = (
        Asked(app, "POST", "/v1/completions", b"{}", "application/json")
        for app in (CallRoutes(application), application)
    )
    assert short.sent
    assert (short.sent, short.error) == (long.sent, long.error)


def test_every_call_has_the_short_way(application: FastAPI) -> None:
    assert CallRoutes(application)._routes.keys() == CALLS
