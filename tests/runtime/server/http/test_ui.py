"""The web page's files and the JSON behind it: whole, closed to others, honest."""

from __future__ import annotations

import base64
import itertools
import json
import re
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest
from played_front import Answer, Asker, PlayedFront

import branchline.runtime.server as server_package
from branchline.runtime.engine_protocol import Failed, Submit
from branchline.runtime.tokenizer import Tokenizer
from branchline.runtime.views import (
    EngineQuery,
    EngineView,
    PathQuery,
    PathView,
    Segment,
    SequencesView,
    Sibling,
    TreeQuery,
    TreeView,
)

KEY, OTHER_KEY = "correct-horse-battery", "staple-of-another"
FOLDER = Path(server_package.__file__).parent / "ui"
FILES = sorted(path for path in FOLDER.iterdir() if path.is_file())


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"me:{key}".encode()).decode()


@pytest.fixture(scope="module")
def locked_front(tokenizer: Tokenizer) -> Iterator[PlayedFront]:
    """A front whose HTTP two keys open."""
    front = PlayedFront(tokenizer)
    front.listen(KEY, OTHER_KEY)
    yield front
    front.close()


@pytest.fixture
def locked(locked_front: PlayedFront) -> Asker:
    assert locked_front.server is not None
    return Asker(locked_front.server)


def test_every_file_of_the_page_is_served_as_it_lies_there(asker: Asker) -> None:
    for path in FILES:
        answer = asker.get(f"/ui/{path.name}")
        assert (answer.status, answer.body) == (200, path.read_bytes()), path.name
    assert asker.get("/ui").body == (FOLDER / "index.html").read_bytes()


def test_nothing_on_the_page_comes_from_elsewhere(asker: Asker) -> None:
    for path in FILES:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        text = re.sub(r"^\s*//.*", "", text, flags=re.MULTILINE)
        assert not re.search(r"(https?:)?//[\w.-]+\.\w|@import|url\(", text), path.name
        referred = re.findall(r"""(?:src|href)="/ui/([^"]+)"|from "\./([^"]+)\"""", text)
        for names in referred:
            assert (FOLDER / (names[0] or names[1])).is_file(), (path.name, names)
    policy = asker.get("/ui").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", ["..%2f..%2fhttp%2fui.py", "../ui.py", "nothing.js", "api/x"])
def test_no_other_file_can_be_had(asker: Asker, name: str) -> None:
    assert asker.get(f"/ui/{name}").status == 404


PATHS = [
    "/ui",
    "/ui/app.js",
    "/ui/nothing",
    "/ui/api/tree",
    "/ui/api/now",
    "/ui/api/requests/1/cache",
]


@pytest.mark.parametrize("path", PATHS)
def test_the_page_asks_a_browser_for_the_key(locked: Asker, path: str) -> None:
    answer = locked.get(path)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize("path", PATHS)
def test_a_key_as_a_password_opens_the_page(locked: Asker, path: str) -> None:
    answer = locked.ask("GET", path, headers={"Authorization": basic(KEY)})
    assert answer.status not in (401, 403)


@pytest.mark.parametrize(
    "credentials",
    [basic("wrong-key"), basic(""), basic(KEY) + "!", "Basic ", "Basic x", f"Basic {KEY}"],
)
def test_no_other_password_does(locked: Asker, credentials: str) -> None:
    assert locked.ask("GET", "/ui", headers={"Authorization": credentials}).status == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 401),
        ({}, 401),
        ({"Sec-Fetch-Site": "cross-site"}, 401),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://HOST"}, 401),
        ({"Origin": "http://HOST"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_other_pages_cannot_use_a_password_that_the_browser_knows(
    locked: Asker, headers: dict[str, str], status: int
) -> None:
    host = f"127.0.0.1:{locked.address[1]}"
    sent = {name: value.replace("HOST", host) for name, value in headers.items()}
    sent["Authorization"] = basic(KEY)
    assert locked.ask("POST", "/flush_cache", headers=sent).status == status


def test_a_browser_and_a_program_with_one_key_share_a_namespace(
    locked: Asker, locked_front: PlayedFront
) -> None:
    seen: list[str] = []

    def note(namespace: str, query: EngineQuery) -> EngineView:
        seen.append(namespace)
        return SequencesView([], {})

    locked_front.inspect = note
    for credentials in (basic(KEY), f"Bearer {KEY}", basic(OTHER_KEY)):
        locked.ask("GET", "/ui/api/now", headers={"Authorization": credentials})
    assert seen[0] == seen[1] != ""
    assert seen[2] not in ("", seen[0])


def test_the_tree_comes_with_texts(front: PlayedFront, asker: Asker) -> None:
    ids = front.tokenizer.encode_text("hello island")

    def tree(namespace: str, query: EngineQuery) -> EngineView:
        assert isinstance(query, TreeQuery)
        assert (query.max_nodes, query.head_tokens) == (10_000, 4)
        head = array("i", ids).tobytes()
        return TreeView([3], [-1], [len(ids)], [2], [0.5], [head], [(9, 0)], False, 1, 12, 100, 0)

    front.inspect = tree
    told = asker.get("/ui/api/tree?head_tokens=4").json
    assert (told["texts"], told["hits"], told["holders"]) == (["hello island"], [2], [[9, 0]])


@pytest.mark.parametrize("query", ["max_nodes=0", "max_nodes=10000000", "head_tokens=65"])
def test_a_tree_has_bounds(asker: Asker, query: str) -> None:
    assert asker.get(f"/ui/api/tree?{query}").status == 400


def test_a_request_is_shown_while_it_runs_and_when_it_ended(
    front: PlayedFront, asker: Asker
) -> None:
    front.allow(0)
    with asker.send("/v1/completions", {"prompt": "hello", "max_tokens": 4}):
        front.wait_until(lambda: len(front.submits) == 1)
        [running] = asker.get("/ui/api/now").json["view"]["running"]
        front.allow(None)
        front.wait_until(lambda: not front.service._history.running())
    ended = asker.get("/ui/api/now").json["view"]["ended"][0]
    assert running["number"] == ended["number"]
    assert (running["outcome"], running["generated_tokens"]) == (None, 0)
    assert (ended["outcome"], ended["cached_tokens"]) in (("stop", 3), ("length", 3))


def test_the_cache_explains_itself(front: PlayedFront, asker: Asker) -> None:
    asker.post("/v1/completions", prompt="hello world, hello", max_tokens=2)
    number = asker.get("/ui/api/now").json["view"]["ended"][0]["number"]
    other = array("i", front.tokenizer.encode_text("green")).tobytes()

    def path(namespace: str, query: EngineQuery) -> EngineView:
        assert isinstance(query, PathQuery)
        return PathView([Segment(query.num_cached, 4, 1.0)], [Sibling(other, 7, 1)], 1)

    front.inspect = path
    told = asker.get(f"/ui/api/requests/{number}/cache").json
    assert told["cached_text"] + told["computed_text"] == "hello world, hello"
    assert (told["num_cached"], told["reason"]) == (3, "diverged")
    assert told["continuations"] == [{"text": "green", "size": 7, "hits": 1}]


def test_a_request_that_never_was_is_not_explained(asker: Asker) -> None:
    assert asker.get("/ui/api/requests/99999/cache").status == 400


def test_a_request_that_ended_before_it_began_says_so(front: PlayedFront, asker: Asker) -> None:
    front.fail = lambda submit: Failed(submit.sid, "grammar", "no such schema")
    assert asker.chat().status == 400
    number = asker.get("/ui/api/now").json["view"]["ended"][0]["number"]
    answer = asker.get(f"/ui/api/requests/{number}/cache")
    assert answer.error["message"] == f"request {number} ended before it began: grammar"


def test_another_keys_request_is_as_one_that_never_was(
    locked: Asker, locked_front: PlayedFront
) -> None:
    locked_front.inspect = lambda namespace, query: SequencesView([], {})

    def get(path: str, key: str) -> Answer:
        return locked.ask("GET", path, headers={"Authorization": f"Bearer {key}"})

    locked.ask(
        "POST", "/v1/completions", {"prompt": "hello"}, headers={"Authorization": f"Bearer {KEY}"}
    )
    number = get("/ui/api/now", KEY).json["view"]["ended"][0]["number"]
    assert get("/ui/api/now", OTHER_KEY).json["view"]["ended"] == []
    told = get(f"/ui/api/requests/{number}/cache", OTHER_KEY)
    never = get("/ui/api/requests/99999/cache", OTHER_KEY)
    assert (told.status, never.status) == (400, 400)
    assert told.body.replace(str(number).encode(), b"N") == never.body.replace(b"99999", b"N")


def test_a_schema_that_compiles_can_be_enforced(front: PlayedFront, asker: Asker) -> None:
    schema = json.dumps({"type": "integer"})
    assert asker.post("/ui/api/schema", json_schema=schema).json["ok"] is True
    assert front.submits[0].sampling.max_new_tokens > 0  # or nothing would be compiled
    front.wait_until(lambda: not front.service._history.running())


def test_a_schema_that_does_not_says_where(front: PlayedFront, asker: Asker) -> None:
    def fail(submit: Submit) -> Failed:
        return Failed(submit.sid, "grammar", "not supported", "/properties/a")

    front.fail = fail
    told = asker.post("/ui/api/schema", json_schema="{}").json
    assert told == {"ok": False, "message": "not supported", "pointer": "/properties/a"}


def test_an_engine_that_hangs_is_said(
    front: PlayedFront, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("branchline.runtime.server.http.ui._ANSWER_S", 0.05)
    front.hung = True
    assert asker.get("/ui/api/now").status == 503


def test_the_bare_address_leads_to_the_page(asker: Asker) -> None:
    for method, path in itertools.product(("GET", "HEAD"), ("/", "/ui/")):
        answer = asker.ask(method, path)
        assert (answer.status, answer.headers["location"]) == (307, "/ui")
