"""Who may come in: API keys, Host and heads, over raw sockets: a client library would tidy up."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from played_front import Asker, PlayedFront
from starlette.routing import Route
from starlette.types import Scope

from branchline.runtime.server.http.app import build_router
from branchline.runtime.server.http.gate import Gate
from branchline.runtime.server.http.link import Link
from branchline.runtime.server.http.metrics import Metrics
from branchline.runtime.tokenizer import Tokenizer

KEY, OTHER_KEY = "correct-horse-battery", "staple-of-another"
ROUTER = build_router(Link(lambda message: None), Metrics())
ROUTES = sorted(
    (method, route.path.replace("{name:path}", "tiny"))
    for route in ROUTER.routes
    if isinstance(route, Route)
    for method in route.methods or ()
)
BEARER = f"Authorization: Bearer {KEY}"


@pytest.fixture(scope="module")
def locked(tokenizer: Tokenizer) -> Iterator[Asker]:
    """A server that two keys open."""
    front = PlayedFront(tokenizer)
    yield Asker(front.listen(KEY, OTHER_KEY))
    front.close()


def status_of(asker: Asker, head: str) -> int:
    """Send a head as it stands and read the status; 0 when the server just hangs up."""
    with socket.create_connection(asker.address, timeout=60) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n")
        answer = connection.recv(64)
    return int(answer.split()[1]) if answer else 0


def test_every_kind_of_api_is_among_the_routes() -> None:
    paths = {path for _, path in ROUTES}
    assert len(ROUTES) == len(ROUTER.routes) + 3  # /openapi.json, / and /ui/ take HEAD, too
    assert {"/health", "/v1/chat/completions", "/generate", "/metrics", "/flush_cache"} <= paths


@pytest.mark.parametrize(
    "credentials",
    [
        "",
        "Authorization: ",
        "Authorization: Bearer",
        "Authorization: Bearer ",
        "Authorization: Bearer wrong-but-long-enough",
        f"Authorization: Bearer {KEY[:-1]}",
        f"Authorization: Bearer {KEY}x",
        f"Authorization: Bearer {KEY.upper()}",
        f"Authorization: Bearer  {KEY}",
        f"Authorization: Bearer {KEY} {KEY}",
        f"Authorization: Basic {KEY}",
        f"Authorization: {KEY}",
        f"{BEARER}\n{BEARER}",
        f"{BEARER}\nAuthorization: Bearer wrong",
        f"X-Api-Key: {KEY}x",
        f"X-Api-Key: {KEY}\nX-Api-Key: {KEY}",
        f"Authorization: Bearer wrong\nX-Api-Key: {KEY}",
        f"Cookie: key={KEY}",
        "X-HTTP-Method-Override: GET",
        "X-Forwarded-For: 127.0.0.1",
        "X-Original-URL: /health",
        "X-Rewrite-URL: /health",
    ],
)
def test_no_route_but_health_opens_without_the_whole_key(locked: Asker, credentials: str) -> None:
    lines = f"\n{credentials}" if credentials else ""
    for method, path in ROUTES:
        expected = 200 if path == "/health" else 401
        assert status_of(locked, f"{method} {path} HTTP/1.1\nHost: a{lines}") == expected, path


@pytest.mark.parametrize(
    "target",
    [
        "//v1/models",
        "/V1/models",
        "/v1/models/",
        "/v1//models",
        "/v1%2fmodels",
        "/v1/models%00",
        "/health/",
        "/health/../v1/models",
        "/health%2f..%2fv1%2fmodels",
        "/health;/v1/models",
        "/HEALTH",
        "http://a/v1/models",
        "/openapi.json",
        "/docs",
        "/nowhere",
        "*",
    ],
)
@pytest.mark.parametrize("host", ["a", "a/?x=", "a/#", "a:80", "/health", "a@b"])
def test_no_spelling_of_a_target_gets_round_the_key(locked: Asker, target: str, host: str) -> None:
    assert status_of(locked, f"GET {target} HTTP/1.1\nHost: {host}") in (400, 401)


@pytest.mark.parametrize("key", [KEY, OTHER_KEY])
def test_each_key_opens_every_route(locked: Asker, key: str) -> None:
    for method, path in ROUTES:
        head = f"{method} {path} HTTP/1.1\nHost: a\nAuthorization: bearer {key}"
        assert status_of(locked, head) not in (0, 401), path


def test_a_refusal_says_how_to_come_in(locked: Asker) -> None:
    answer = locked.get("/v1/models")
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["connection"] == "close"


def test_a_wrong_key_is_told_from_none(locked: Asker) -> None:
    wrong = Asker(locked.server, {"Authorization": "Bearer nobody-knows-this-key"})
    assert "an API key is needed" in locked.get("/v1/models").error["message"]
    assert "does not know that API key" in wrong.get("/v1/models").error["message"]


def test_each_key_has_a_namespace_of_its_own(own_front: PlayedFront) -> None:
    server = own_front.listen(KEY, OTHER_KEY)
    for key in (KEY, OTHER_KEY, KEY):
        Asker(server, {"Authorization": f"Bearer {key}"}).chat()
    first, second, third = [submit.namespace for submit in own_front.submits]
    assert first == third
    assert first != second
    assert KEY not in first


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:80", "localhost:9", "LOCALHOST", "[::1]:1"]
)
def test_a_server_without_keys_answers_to_this_machines_names(asker: Asker, host: str) -> None:
    assert status_of(asker, f"GET /health HTTP/1.1\nHost: {host}") == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost:80:80", "localhost:x", "[::1]x", "", "a"],
)
def test_a_name_that_a_web_page_brought_along_is_refused(asker: Asker, host: str) -> None:
    assert status_of(asker, f"GET /health HTTP/1.1\nHost: {host}") == 421


@pytest.mark.parametrize(
    "head",
    [
        "GET /health HTTP/1.0",
        "GET /health HTTP/1.1",
        "GET /health HTTP/1.1\nHost: localhost\nHost: localhost",
        "GET /health HTTP/1.1\nHost: localhost\nBad Header: x",
        "GET /health HTTP/1.1\nHost: localhost\nContent-Length: 2\nTransfer-Encoding: chunked",
        "nonsense",
    ],
)
def test_a_malformed_head_is_refused(asker: Asker, head: str) -> None:
    assert status_of(asker, head) == 400


def test_named_hosts_are_the_only_ones(own_front: PlayedFront) -> None:
    asker = Asker(own_front.listen(KEY, hosts=("models.example",)))
    assert status_of(asker, "GET /health HTTP/1.1\nHost: models.example:443") == 200
    assert status_of(asker, "GET /health HTTP/1.1\nHost: localhost") == 421


def test_a_head_has_bounds(asker: Asker) -> None:
    many = "\n".join(f"X-{number}: 1" for number in range(64))
    assert status_of(asker, f"GET /health HTTP/1.1\nHost: localhost\n{many}") == 431
    long = "x" * 17_000
    assert status_of(asker, f"GET /health HTTP/1.1\nHost: localhost\nX: {long}") == 431


def test_a_route_that_is_open_would_be_seen(locked: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: another open route than /health."""
    namespace = Gate._namespace

    def forgetful(self: Gate, scope: Scope) -> str:
        return "" if scope["path"] == "/v1/models" else namespace(self, scope)

    monkeypatch.setattr(Gate, "_namespace", forgetful)
    with pytest.raises(AssertionError, match="/v1/models"):
        test_no_route_but_health_opens_without_the_whole_key(locked, "")
