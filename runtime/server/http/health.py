"""/health, /ready, /metrics and SGLang's /health_generate."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

from fastapi import FastAPI, Request
from msgspec import Struct
from starlette.responses import Response

from ...errors import RequestError
from ...protocol import Generate, GetInfo, Info, SamplingParams, Tokens
from . import metrics as meters
from .answer import complete
from .errors import ApiError
from .link import Link
from .metrics import Metrics
from .schema import describe, json_response

_ANSWER_S: Final = 2.0
# What counters may be late for being fresh.
_FRESH_S: Final = 1.0
_PROBE_S: Final = 20.0


class Health(Struct, frozen=True):
    """`detail` says why nothing is served at the moment: loading, restarting, shutting down."""

    status: Literal["ok", "unavailable"]
    detail: str | None = None


async def ask_stats(link: Link) -> dict[str, float]:
    """The runtime's counters, by a round trip through the engine's loop; in a long step those
    before it. Raises as last_stats."""
    try:
        return await _ask(link, GetInfo(rid="-"), _FRESH_S)
    except TimeoutError:
        return await last_stats(link)


async def last_stats(link: Link) -> dict[str, float]:
    """The counters as the engine told them last, by a round trip through the front's loop, which
    looks at the engine's heartbeat. Raises RequestError when there is no engine, and ApiError when
    one of the loops hangs."""
    try:
        stats = await _ask(link, GetInfo(rid="-", at_once=True), _ANSWER_S)
    except TimeoutError:
        raise _hangs(f"the front's loop did not answer within {_ANSWER_S:g} s") from None
    if not stats["front_ready"]:
        raise _hangs("the engine's loop stands still")
    return stats


async def check_ready(link: Link) -> None:
    """Nothing where requests are served. Raises as last_stats, and RequestError also while the
    runtime shuts down."""
    if (await last_stats(link))["front_draining"]:
        raise RequestError("unavailable", "the runtime is shutting down")


async def _ask(link: Link, question: GetInfo, seconds: float) -> dict[str, float]:
    with link.start([question]) as call:
        async with asyncio.timeout(seconds):
            [info] = await call.results()
    assert isinstance(info, Info)
    return info.stats


def add_health_routes(app: FastAPI, link: Link, metrics: Metrics) -> None:
    """`link` leads to the runtime, `metrics` are this server's own."""

    @app.get("/health", **describe(Health, errors=(503,)))
    async def health() -> Response:
        """Whether the runtime lives: 200 while the engine's loop turns or computes a long step, and
        while the engine loads; 503 when the loop hangs. Needs no API key."""
        try:
            await check_ready(link)
        except RequestError as error:
            return json_response(Health("unavailable", error.message))
        return json_response(Health("ok"))

    @app.get("/ready", **describe(Health, errors=(503,)))
    async def ready() -> Response:
        """Whether requests are served now."""
        await check_ready(link)
        return json_response(Health("ok"))

    @app.get("/metrics", **describe(None, media_type=meters.CONTENT_TYPE, errors=()))
    async def render_metrics() -> Response:
        """Counters, gauges and histograms for Prometheus."""
        try:
            stats = await ask_stats(link)
        except (RequestError, ApiError):
            stats = {"up": 0.0}
        else:
            stats = {**stats, "up": 1.0}
        return Response(metrics.render(stats), media_type=meters.CONTENT_TYPE)

    @app.get("/health_generate", **describe(Health, errors=(503,)))
    async def health_generate(request: Request) -> Response:
        """Whether one token can be generated."""
        model, _ = link.require()
        probe = Generate(
            rid="-",
            prompt=[Tokens([model.eos_token_ids[0] if model.eos_token_ids else 0])],
            sampling=SamplingParams(max_new_tokens=1, temperature=0.0, ignore_eos=True),
            timeout_s=_PROBE_S,
        )
        await complete(request, link, metrics, [probe])
        return json_response(Health("ok"))


def _hangs(how: str) -> ApiError:
    return ApiError(503, how, code="unresponsive", kind="server_error")
