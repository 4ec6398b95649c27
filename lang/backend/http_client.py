"""A small HTTP/1.1 client on asyncio's streams: JSON bodies, server-sent events. Used by sglang.py;
the vendors' backends use their own packages.

One connection per request: leaving a call early closes it, which is how a server learns that
nobody waits any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final
from urllib.parse import urlsplit

from ..errors import RuntimeUnavailable

_CONNECT_TIMEOUT_S: Final = 5.0
# Lines of an event stream hold whole texts with their log probabilities.
_MAX_LINE_BYTES: Final = 64 * 1024 * 1024
_MAX_BODY_BYTES: Final = 256 * 1024 * 1024


class HttpStatus(Exception):
    """The server answered with an error status."""

    def __init__(self, status: int, body: str, retry_after_s: float | None) -> None:
        super().__init__(f"HTTP status {status}: {body[:500]}")
        self.status = status
        self.body = body
        self.retry_after_s = retry_after_s


class HttpClient:
    """Requests to one server. Raises RuntimeUnavailable for everything that goes wrong with the
    connection, HttpStatus for a status other than 200.

    verify: False to accept any certificate, or the file of the certificates to accept.
    """

    def __init__(
        self, base_url: str, *, api_key: str | None = None, verify: bool | str | None = None
    ) -> None:
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"{base_url!r} is no address of a server; expected http://host:port")
        self.base_url = base_url.rstrip("/")
        self._host, self._path = url.hostname, url.path.rstrip("/")
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._tls = _tls(verify) if url.scheme == "https" else None
        self._headers = {"Host": url.netloc.rpartition("@")[2], "Connection": "close"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"

    async def json(self, method: str, path: str, body: object = None) -> Any:
        """The JSON that a request is answered with; None for an empty answer or a text."""
        async with self._request(method, path, body) as answer:
            text = await answer.read()
        try:
            return json.loads(text)
        except ValueError:
            return None

    async def events(self, path: str, body: object) -> AsyncGenerator[Any, None]:
        """The JSON of each server-sent event, up to [DONE]."""
        async with self._request("POST", path, body) as answer:
            async for line in answer.lines():
                data = line.removeprefix(b"data:").strip()
                if data == b"[DONE]":
                    return
                if line.startswith(b"data:"):
                    yield json.loads(data)
        raise RuntimeUnavailable(f"{self.base_url} ended a stream before its end")

    @contextlib.asynccontextmanager
    async def _request(self, method: str, path: str, body: object) -> AsyncIterator[_Answer]:
        data = b"" if body is None else json.dumps(body).encode()
        headers = {**self._headers, "Content-Length": str(len(data))}
        if body is not None:
            headers["Content-Type"] = "application/json"
        head = f"{method} {self._path}{path} HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers.items()
        )
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._tls, limit=_MAX_LINE_BYTES
                )
            writer.write(head.encode("latin-1") + b"\r\n" + data)
            await writer.drain()
            answer = await _Answer.begin(reader)
            if answer.status != 200:
                text = (await answer.read()).decode("utf-8", "replace")
                raise HttpStatus(answer.status, text, answer.retry_after_s)
            yield answer
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            raise RuntimeUnavailable(
                f"no answer from {self.base_url}: {str(error) or type(error).__name__}"
            ) from error
        finally:
            if writer is not None:
                writer.close()


class _Answer:
    """The status and headers of an answer, and its body still to be read."""

    def __init__(self, reader: asyncio.StreamReader, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self._reader = reader
        self._headers = headers

    @classmethod
    async def begin(cls, reader: asyncio.StreamReader) -> _Answer:
        first = await reader.readuntil(b"\n")
        words = first.decode("latin-1").split(maxsplit=2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
            raise ValueError(f"{first[:80]!r} is no HTTP answer")
        headers: dict[str, str] = {}
        while line := (await reader.readuntil(b"\n")).decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return cls(reader, int(words[1]), headers)

    @property
    def retry_after_s(self) -> float | None:
        value = self._headers.get("retry-after", "")
        return float(value) if value.replace(".", "", 1).isdecimal() else None

    async def read(self) -> bytes:
        """The whole body."""
        pieces: list[bytes] = []
        size = 0
        async for piece in self._pieces():
            pieces.append(piece)
            size += len(piece)
            if size > _MAX_BODY_BYTES:
                raise ValueError(f"an answer of more than {_MAX_BODY_BYTES} bytes")
        return b"".join(pieces)

    async def lines(self) -> AsyncIterator[bytes]:
        """The body by lines."""
        rest = b""
        async for piece in self._pieces():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line.rstrip(b"\r")
        yield rest

    async def _pieces(self) -> AsyncIterator[bytes]:
        if self._headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await self._reader.readuntil(b"\n")).split(b";")[0], 16):
                yield await self._reader.readexactly(size)
                await self._reader.readexactly(2)
        elif "content-length" in self._headers:
            yield await self._reader.readexactly(int(self._headers["content-length"]))
        else:
            while piece := await self._reader.read(65_536):
                yield piece


def _tls(verify: bool | str | None) -> ssl.SSLContext:
    if verify is False:
        return ssl._create_unverified_context()
    return ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
