"""Turns requests away that the runtime cannot take in at the moment, before anything is done for
them. Used by connection.py for what it finds in a connection's bytes, by gate.py for all others.

A server that is asked for four times what it can do refuses three requests for each that it serves:
what a refusal costs is taken from those. The short way costs a fifth of the way through h11, a task
and the gate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from starlette.types import Scope

from ..entrance import Entrance
from .errors import ApiError, from_request_error
from .metrics import Metrics

# Routes whose every request is a call of the engine.
CALLS: Final = frozenset(
    {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/embeddings",
        "/v1/messages",
        "/generate",
        "/api/generate",
        "/api/chat",
        "/api/embed",
    }
)
# So much of a refused request's body is read and forgotten; for more the connection is closed.
MAX_UNREAD_BYTES: Final = 65_536
_BLANK: Final = b"\r\n\r\n"
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Fields that ask for more than an answer.
_SPECIAL: Final = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
_CLOSES: Final = {b"close": True, b"keep-alive": False}

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer as bytes; how many bytes of the request are still to come, and whether the
    connection ends with it."""

    answer: bytes
    num_missing: int
    closes: bool


class Door:
    """entrance: None until the runtime is ready. check: raises ApiError for a head that the gate
    does not let in."""

    def __init__(self, metrics: Metrics) -> None:
        self.entrance: Entrance | None = None
        self.check: Callable[[Scope], str] = lambda scope: ""
        self._requests = metrics.requests

    def refusal(self, scope: Scope) -> ApiError | None:
        """The answer to a request that is not taken in now, counted; None for any other."""
        path = scope["path"]
        if self.entrance is None or scope["method"] != "POST" or path not in CALLS:
            return None
        error = self.entrance.refusal()
        if error is None:
            return None
        self.entrance.turn_away(error)
        answer = from_request_error(error)
        self._requests.labels(path, str(answer.status)).inc()
        return answer

    def answer(self, data: bytes, headers: Headers) -> Refusal | None:
        """The refusal of the request that `data` begins. None where the long way must be taken:
        nothing is to be refused, the gate has its own word, or the request is not as plain as those
        of most clients.

        headers: those of every answer."""
        if self.entrance is None or self.entrance.refusal() is None:
            return None
        plain = _plain_request(data)
        if plain is None:
            return None
        scope, num_missing, closes = plain
        try:
            self.check(scope)
        except ApiError:
            return None
        error = self.refusal(scope)
        if error is None:
            return None
        return Refusal(_written(error, scope["path"], headers, closes), num_missing, closes)


def _plain_request(data: bytes) -> tuple[Scope, int, bool] | None:
    """A POST whose head is whole, asks for nothing but an answer and says how long its body is; how
    much of that is missing, and whether the client wants the connection closed."""
    end = data.find(_BLANK)
    if end < 0 or not data.startswith(b"POST "):
        return None
    first, *lines = data[:end].split(b"\r\n")
    target, _, version = first[5:].partition(b" ")
    path = target.decode("latin-1")
    if version != b"HTTP/1.1" or path not in CALLS:
        return None
    headers: list[tuple[bytes, bytes]] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or _NAME.fullmatch(name) is None or not _is_plain(value):
            return None
        headers.append((name.lower(), value.strip(b" \t")))
    fields = dict(headers)
    if len(fields) != len(headers) or not _SPECIAL.isdisjoint(fields):
        return None
    length = fields.get(b"content-length", b"")
    if not length.isdigit() or len(length) > 5 or int(length) > MAX_UNREAD_BYTES:
        return None
    num_missing = int(length) - (len(data) - end - len(_BLANK))
    closes = _CLOSES.get(fields.get(b"connection", b"keep-alive").lower())
    if closes is None or num_missing < 0 or (closes and num_missing):
        return None
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": target,
        "query_string": b"",
        "headers": headers,
    }
    return scope, num_missing, closes


def _is_plain(value: bytes) -> bool:
    return b"\r" not in value and b"\n" not in value and b"\0" not in value


def _written(error: ApiError, path: str, headers: Headers, closes: bool) -> bytes:
    """As uvicorn would write it."""
    body = error.body(path)
    lines = [b"HTTP/1.1 %d %b" % (error.status, HTTPStatus(error.status).phrase.encode())]
    lines += [b"%b: %b" % header for header in headers]
    lines += [b"%b: %b" % (k.lower().encode(), v.encode()) for k, v in error.headers.items()]
    lines += [b"content-length: %d" % len(body), b"content-type: application/json"]
    lines += [b"Connection: close", b"", body] if closes else [b"", body]
    return b"\r\n".join(lines)
