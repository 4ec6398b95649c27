"""The web page at /ui and the JSON that it reads: tree, requests, cache, schemas. Its files lie in
server/ui/ and are sent as they are; nothing comes from elsewhere. Added by app.py."""

from __future__ import annotations

import asyncio
from array import array
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from fastapi import FastAPI, Request
from msgspec import Meta, Struct
from starlette.responses import Response

from ...errors import RequestError
from ...protocol import (
    MAX_CONSTRAINT_CHARS,
    Generate,
    Inspect,
    Inspected,
    JsonSchema,
    SamplingParams,
    Tokens,
)
from ...tokenizer import Tokenizer
from ...views import (
    CacheQuery,
    CacheView,
    Query,
    RequestsQuery,
    RequestsView,
    Segment,
    TreeQuery,
    TreeView,
    View,
)
from . import body as bodies
from .errors import ApiError, refuse
from .link import Link
from .schema import json_response

_FOLDER: Final = Path(__file__).parent.parent / "ui"
_MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_ANSWER_S: Final = 5.0
_COMPILE_S: Final = 10.0
# Texts of heads that are remembered: the tree is asked for again and again.
_MAX_TEXTS: Final = 50_000


class TreeNodes(Struct, frozen=True):
    """`TreeView` with texts instead of token ids."""

    ids: list[int]
    parents: list[int]
    sizes: list[int]
    hits: list[int]
    idle_s: list[float]
    texts: list[str]
    holders: list[tuple[int, int]]
    truncated: bool
    num_nodes: int
    num_tokens: int
    num_slots: int
    num_evicted: int


class Continuation(Struct, frozen=True):
    """How prompts in the tree go on where a request's left them."""

    text: str
    size: int
    hits: int


class CacheExplanation(Struct, frozen=True):
    """`CacheView` with texts. `pieces` are the prompt's stretches along the tree's nodes."""

    request: int
    reason: Literal["whole", "empty", "diverged", "evicted", "new"]
    num_tokens: int
    num_cached: int
    cached_text: str
    computed_text: str
    pieces: list[Segment]
    continuations: list[Continuation]
    num_continuations: int
    evicted_ago_s: float | None


class Now(Struct, frozen=True):
    """What the page shows of the moment."""

    model: str
    context_length: int
    version: str
    view: RequestsView


class SchemaCheck(Struct, kw_only=True, forbid_unknown_fields=True):
    """A JSON Schema, as text, that an output might be held to."""

    json_schema: Annotated[str, Meta(max_length=MAX_CONSTRAINT_CHARS)]


class SchemaVerdict(Struct, frozen=True):
    """`pointer` names the place in the schema that cannot be enforced."""

    ok: bool
    message: str | None = None
    pointer: str | None = None


_CHECK: Final = msgspec.json.Decoder(SchemaCheck)


def add_ui_routes(app: FastAPI, link: Link) -> None:
    """`link` leads to the runtime. The page is no part of the API's document."""
    files = _read_files()
    texts: dict[bytes, str] = {}

    async def ask(request: Request, query: Query) -> View:
        message = Inspect(rid="-", query=query, namespace=request.scope["state"]["namespace"])
        try:
            with link.start([message]) as call:
                async with asyncio.timeout(_ANSWER_S):
                    [answer] = await call.results()
        except TimeoutError:
            raise ApiError(
                503, f"the engine did not answer within {_ANSWER_S:g} s", kind="server_error"
            ) from None
        assert isinstance(answer, Inspected)
        return answer.view

    @app.get("/ui/api/tree", include_in_schema=False)
    async def tree(request: Request, max_nodes: int = 10_000, head_tokens: int = 16) -> Response:
        """The nodes of the caller's namespace, parents first, as columns."""
        try:
            query = msgspec.convert(
                {"view": "tree", "max_nodes": max_nodes, "head_tokens": head_tokens}, TreeQuery
            )
        except msgspec.ValidationError as error:
            raise refuse(str(error)) from None
        _, tokenizer = link.require()
        view = await ask(request, query)
        assert isinstance(view, TreeView)
        # Texts and JSON of 10,000 nodes take some 100 ms the first time.
        return await asyncio.to_thread(lambda: json_response(_with_texts(view, tokenizer, texts)))

    @app.get("/ui/api/now", include_in_schema=False)
    async def now(request: Request) -> Response:
        """Running requests, those that ended lately, rates of five minutes, the runtime's stats."""
        model, _ = link.require()
        view = await ask(request, RequestsQuery())
        assert isinstance(view, RequestsView)
        return json_response(Now(model.name, model.context_length, version("branchline"), view))

    @app.get("/ui/api/requests/{number}/cache", include_in_schema=False)
    async def cache(request: Request, number: int) -> Response:
        """Why so much, and not more, of a prompt came from the cache."""
        if not 0 <= number < 2**63:
            raise refuse("the number of a request is from 0 to 2**63 - 1", "number")
        _, tokenizer = link.require()
        view = await ask(request, CacheQuery(number))
        assert isinstance(view, CacheView)
        return json_response(_explanation(view, tokenizer))

    @app.post("/ui/api/schema", include_in_schema=False)
    async def check_schema(request: Request) -> Response:
        """Whether outputs can be held to a schema, by compiling it."""
        body = await bodies.read(request, _CHECK)
        model, _ = link.require()
        probe = Generate(
            rid="-",
            prompt=[Tokens([model.eos_token_ids[0] if model.eos_token_ids else 0])],
            # A short output may refuse a grammar that a longer one does not.
            sampling=SamplingParams(max_new_tokens=model.context_length),
            constraint=JsonSchema(body.json_schema),
            stream=True,
            namespace=request.scope["state"]["namespace"],
            timeout_s=_COMPILE_S,
        )
        try:
            # The first token shows that the grammar is there; leaving ends the rest.
            with link.start([probe]) as call:
                await call.take()
        except RequestError as error:
            if error.code not in ("grammar", "invalid_request"):
                raise
            return json_response(SchemaVerdict(False, error.message, error.pointer))
        return json_response(SchemaVerdict(True))

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    @app.api_route("/ui/", methods=["GET", "HEAD"], include_in_schema=False)
    async def root() -> Response:
        """Whoever opens the bare address wants to see something."""
        return Response(status_code=307, headers={"Location": "/ui"})

    @app.get("/ui", include_in_schema=False)
    async def page() -> Response:
        """The page."""
        return _file(files, "index.html")

    @app.get("/ui/{name:path}", include_in_schema=False)
    async def asset(name: str) -> Response:
        """Its scripts and styles."""
        return _file(files, name)


def _read_files() -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in sorted(_FOLDER.iterdir())
        if path.suffix in _MEDIA_TYPES
    }


def _file(files: dict[str, bytes], name: str) -> Response:
    content = files.get(name)
    if content is None:
        raise ApiError(404, f"/ui/{name[:128]}: there is no such file")
    return Response(content, media_type=_MEDIA_TYPES[Path(name).suffix], headers=_HEADERS)


def _with_texts(view: TreeView, tokenizer: Tokenizer, texts: dict[bytes, str]) -> TreeNodes:
    if len(texts) > _MAX_TEXTS:
        texts.clear()
    for head in view.heads:
        if head not in texts:
            texts[head] = _text(head, tokenizer)
    return TreeNodes(
        ids=view.ids,
        parents=view.parents,
        sizes=view.sizes,
        hits=view.hits,
        idle_s=view.idle_s,
        texts=[texts[head] for head in view.heads],
        holders=view.holders,
        truncated=view.truncated,
        num_nodes=view.num_nodes,
        num_tokens=view.num_tokens,
        num_slots=view.num_slots,
        num_evicted=view.num_evicted,
    )


def _explanation(view: CacheView, tokenizer: Tokenizer) -> CacheExplanation:
    ids = array("i", view.tokens)
    return CacheExplanation(
        request=view.request,
        reason=view.reason,
        num_tokens=len(ids),
        num_cached=view.num_cached,
        cached_text=tokenizer.decode(ids[: view.num_cached].tolist(), False),
        computed_text=tokenizer.decode(ids[view.num_cached :].tolist(), False),
        pieces=view.path.segments,
        continuations=[
            Continuation(_text(sibling.head, tokenizer), sibling.size, sibling.hits)
            for sibling in view.path.siblings
        ],
        num_continuations=view.path.num_siblings,
        evicted_ago_s=view.evicted_ago_s,
    )


def _text(head: bytes, tokenizer: Tokenizer) -> str:
    return tokenizer.decode(array("i", head).tolist(), False)
