"""Who may come in: Host, API key and size of the head, checked on the raw ASGI scope before
anything is routed. Wrapped round the application by app.py."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from .door import MAX_UNREAD_BYTES, Door
from .errors import ApiError
from .quota import namespace_of
from .settings import HttpSettings, digest
from .tenants import Tenants

OPEN_PATH: Final = "/health"
_PAGE: Final = "/ui"
MAX_HEAD_BYTES: Final = 16 * 1024
_MAX_HEADERS: Final = 64


class Gate:
    """Default deny: with API keys every path but /health needs one, whether a route exists or not.

    What is compared is what will be routed, `scope["path"]`, never a URL rebuilt from headers.
    """

    def __init__(self, app: ASGIApp, settings: HttpSettings, door: Door) -> None:
        self._app = app
        self._door = door
        door.check = self._check
        self._digests = settings.key_digests
        self._hosts = settings.hosts
        self._tenants = Tenants(settings.quota, settings.quotas)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        with contextlib.ExitStack() as counted:
            await self._admit(scope, receive, send, counted)

    async def _admit(
        self, scope: Scope, receive: Receive, send: Send, counted: contextlib.ExitStack
    ) -> None:
        try:
            namespace = scope["state"]["namespace"] = self._check(scope)
            refusal = self._door.refusal(scope)
            # Looking costs nothing: only what makes the runtime work is counted.
            if refusal is None and scope["method"] == "POST":
                counted.enter_context(self._tenants.admitted(namespace))
            closes = not _has_short_body(scope)
        except ApiError as error:
            refusal, closes = error, True
        if refusal is None:
            await self._app(scope, receive, send)
            return
        if closes:
            # The body is not read: the connection cannot be used again.
            refusal.headers["Connection"] = "close"
        await refusal.response(scope["path"])(scope, receive, send)

    def _check(self, scope: Scope) -> str:
        """Whose request it is. Raises ApiError."""
        self._check_head(scope)
        return self._namespace(scope)

    def _check_head(self, scope: Scope) -> None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        # uvicorn bounds what it waits for, not what comes in one piece.
        num_bytes = len(scope["raw_path"]) + len(scope["query_string"])
        num_bytes += sum(len(name) + len(value) for name, value in headers)
        if num_bytes > MAX_HEAD_BYTES:
            raise ApiError(431, f"the head is over {MAX_HEAD_BYTES} bytes")
        if len(headers) > _MAX_HEADERS:
            raise ApiError(431, f"{len(headers)} header fields; at most {_MAX_HEADERS} are allowed")
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1:
            raise ApiError(400, "the request needs exactly one Host header")
        if {b"content-length", b"transfer-encoding"} <= {name for name, _ in headers}:
            # A proxy before us may take the other one for the body's end.
            raise ApiError(400, "a body has a Content-Length or comes in chunks, not both")
        if self._hosts is not None and _name_of(hosts[0]) not in self._hosts:
            raise ApiError(
                421, "this server does not answer to that Host; see the option --allowed-host"
            )

    def _namespace(self, scope: Scope) -> str:
        """Whose cached prefixes the request may share: those of its own key."""
        if not self._digests or scope["path"] == OPEN_PATH:
            return ""
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if not given:
            # Anthropic's clients show their key so.
            given = [b"Bearer " + v for name, v in scope["headers"] if name == b"x-api-key"]
        if len(given) == 1:
            mine = digest(_key_in(given[0], scope))
            # All are compared, so that the time tells nothing.
            matches = [hmac.compare_digest(mine, known) for known in self._digests]
            if any(matches):
                return namespace_of(mine)
        raise ApiError(
            401,
            "this server does not know that API key"
            if given
            else "an API key is needed: send the header `Authorization: Bearer KEY`",
            code="invalid_api_key",
            kind="authentication_error",
            headers={"WWW-Authenticate": _challenge(scope["path"])},
        )


def _has_short_body(scope: Scope) -> bool:
    """Whether uvicorn may read and forget it."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    length = headers.get(b"content-length", b"")
    return length.isdigit() and int(length[:20]) <= MAX_UNREAD_BYTES and b"expect" not in headers


def _challenge(path: str) -> str:
    """How to show a key. A browser that opens the page asks its user: the password is the key."""
    on_page = path == _PAGE or path.startswith(_PAGE + "/")
    return 'Basic realm="Branchline: the password is an API key"' if on_page else "Bearer"


def _key_in(credentials: bytes, scope: Scope) -> bytes:
    """The key that an Authorization header shows; empty, which is no key, for anything else."""
    scheme, _, shown = credentials.partition(b" ")
    if scheme.lower() == b"bearer":
        return shown
    if scheme.lower() == b"basic" and _is_own_page(scope):
        try:
            return base64.b64decode(shown, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


def _is_own_page(scope: Scope) -> bool:
    """Whether a browser sent this on behalf of our own page or of its user. It adds passwords that
    it knows to whatever any page makes it send; then it also says where that page is from."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site in (b"same-origin", b"none")
    if scope["method"] in ("GET", "HEAD"):
        return True
    origin = headers.get(b"origin", b"").partition(b"://")[2]
    return origin == headers.get(b"host")


def _name_of(host: bytes) -> str:
    """The Host header without its port, or what no allowed name equals."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        name, bracket, port = text.partition("]")
        name, port = name + bracket, port or ":0"
        return name if port[:1] == ":" and _is_port(port[1:]) else ""
    name, colon, port = text.partition(":")
    return name if not colon or _is_port(port) else ""


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5
