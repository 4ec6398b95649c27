"""/cache: prefixes that are evicted last, and the cache's changes for a router outside. Added by
app.py; all of it concerns the caller's namespace only."""

from __future__ import annotations

from array import array
from typing import Annotated, Final, Literal

import msgspec
from fastapi import FastAPI, Request
from msgspec import Meta, Struct
from starlette.responses import Response

from ...protocol import Generate, Inspect, Inspected, Part, Pin, Pinned, SamplingParams
from ...views import EventsQuery, EventsView
from . import body as bodies
from .conversation import conversation_parts
from .errors import refuse
from .link import Link
from .messages import Message, turns_of
from .prompts import prompts_of
from .schema import BODY_ERRORS, describe, json_response


class PinRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """A text, token ids, or the beginning of a conversation in the model's chat template; to be
    pinned for `ttl_s` seconds."""

    prompt: str | list[int] | None = None
    messages: list[Message] | None = None
    ttl_s: Annotated[float, Meta(gt=0.0, le=604_800.0)] = 600.0


class PinAnswer(Struct, frozen=True):
    """The pin's number, for /cache/unpin, and how many tokens it holds."""

    pin: int
    num_tokens: int


class UnpinRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """A number that /cache/pin gave."""

    pin: Annotated[int, Meta(ge=1, le=2**53)]


class UnpinAnswer(Struct, frozen=True):
    """The pin is no more, if it was one."""

    success: bool = True


class CacheEvent(Struct, frozen=True):
    """`tokens`, behind the prefix with the hash `parent`, are cached now or no longer. Of "cleared"
    nothing is left of anything told before."""

    number: int
    kind: Literal["stored", "evicted", "cleared"]
    parent: str
    tokens: list[int]


class CacheEvents(Struct, frozen=True):
    """Ask again with since=`next`. When `oldest` is larger than what was asked for, the runtime no
    longer kept what lies between."""

    events: list[CacheEvent]
    oldest: int
    next: int


_PIN: Final = msgspec.json.Decoder(PinRequest)
_UNPIN: Final = msgspec.json.Decoder(UnpinRequest)


def add_cache_routes(app: FastAPI, link: Link) -> None:
    """`link` leads to the runtime."""

    @app.post("/cache/pin", **describe(PinAnswer, body=PinRequest, errors=(*BODY_ERRORS, 429)))
    async def pin(request: Request) -> Response:
        """Compute a prefix, and evict it last. Pins never keep a request waiting."""
        body = await bodies.read(request, _PIN)
        model, _ = link.require()
        namespace: str = request.scope["state"]["namespace"]
        if (body.prompt is None) == (body.messages is None):
            raise refuse("give either prompt or messages", "prompt")
        parts: list[Part]
        if body.messages is not None:
            parts = conversation_parts(turns_of(body.messages), model, add_generation_prompt=False)
        else:
            [parts] = prompts_of(body.prompt or "", "prompt", markup=False)
        nothing = SamplingParams(max_new_tokens=0)
        with link.start([Generate("-", parts, nothing, namespace=namespace)]) as call:
            await call.results()
        with link.start([Pin("-", parts, body.ttl_s, namespace)]) as call:
            [pinned] = await call.results()
        assert isinstance(pinned, Pinned)
        return json_response(PinAnswer(pinned.pin, pinned.num_tokens))

    @app.post("/cache/unpin", **describe(UnpinAnswer, body=UnpinRequest, errors=BODY_ERRORS))
    async def unpin(request: Request) -> Response:
        """End a pin before its time."""
        body = await bodies.read(request, _UNPIN)
        link.unpin(body.pin)
        return json_response(UnpinAnswer())

    @app.get("/cache/events", **describe(CacheEvents, errors=(400, 503)))
    async def events(request: Request, since: int = 0) -> Response:
        """What was stored and evicted from change number `since` on."""
        if not 0 <= since < 2**63:
            raise refuse("since is from 0 to 2**63 - 1", "since")
        namespace: str = request.scope["state"]["namespace"]
        with link.start([Inspect("-", EventsQuery(since), namespace)]) as call:
            [inspected] = await call.results()
        assert isinstance(inspected, Inspected)
        view = inspected.view
        assert isinstance(view, EventsView)
        told = [
            CacheEvent(event.number, event.kind, event.parent, array("i", event.tokens).tolist())
            for event in view.events
        ]
        return json_response(CacheEvents(told, view.oldest, view.next_number))
