"""The HTTP application: every route, what their failures look like, and the gate in front. Built by
server.py."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...errors import RequestError
from . import (
    anthropic,
    anthropic_fields,
    cache,
    chat,
    chat_answer,
    completions,
    embeddings,
    health,
    models,
    native,
    native_fields,
    ollama,
    ollama_embed,
    ollama_fields,
    ollama_models,
    responses,
    responses_fields,
    tokens,
)
from .calls import CallRoutes
from .door import Door
from .errors import (
    AnthropicErrorBody,
    ApiError,
    ErrorBody,
    OllamaErrorBody,
    from_request_error,
    refuse,
)
from .gate import Gate
from .link import ClientGone, Link
from .metrics import Metrics
from .schema import components
from .settings import HttpSettings
from .ui import add_ui_routes

_FIELD_NAMES = {
    "/v1/chat/completions": chat.NAMES,
    "/v1/messages": anthropic_fields.NAMES,
    "/v1/messages/count_tokens": anthropic_fields.NAMES,
    "/v1/responses": responses_fields.NAMES,
    "/v1/embeddings": embeddings.NAMES,
    "/generate": native.NAMES,
    "/api/chat": ollama_fields.NAMES,
    "/api/embed": embeddings.NAMES,
    "/api/generate": {**ollama_fields.NAMES, "prompt": "prompt"},
}
_STRUCTS: list[type[Struct]] = [
    ErrorBody,
    AnthropicErrorBody,
    anthropic_fields.AnthropicRequest,
    anthropic_fields.CountRequest,
    anthropic.AnthropicAnswer,
    anthropic.TokenCount,
    chat.ChatRequest,
    chat_answer.ChatCompletion,
    responses_fields.ResponseRequest,
    responses.ResponseAnswer,
    OllamaErrorBody,
    ollama_fields.OllamaChat,
    ollama_fields.OllamaGenerate,
    ollama.OllamaAnswer,
    ollama_embed.OllamaEmbed,
    ollama_embed.OllamaEmbedded,
    ollama_models.OllamaTags,
    ollama_models.OllamaProcesses,
    ollama_models.OllamaShow,
    ollama_models.OllamaShown,
    ollama_models.OllamaVersion,
    completions.CompletionRequest,
    completions.Completion,
    embeddings.EmbeddingRequest,
    embeddings.Embeddings,
    tokens.TokenizeRequest,
    tokens.TokenizeAnswer,
    tokens.DetokenizeRequest,
    tokens.DetokenizeAnswer,
    native_fields.NativeRequest,
    native.NativeAnswer,
    native.NativeModelInfo,
    native.FlushAnswer,
    cache.PinRequest,
    cache.PinAnswer,
    cache.UnpinRequest,
    cache.UnpinAnswer,
    cache.CacheEvents,
    models.ModelList,
    models.ModelCard,
    health.Health,
]


def build_app(link: Link, settings: HttpSettings, metrics: Metrics, door: Door) -> ASGIApp:
    """What uvicorn calls."""
    app = CallRoutes(build_router(link, metrics))
    return Gate(_Counted(app, metrics), settings, door)


def build_router(link: Link, metrics: Metrics) -> FastAPI:
    """The routes without the gate; tests take the list of routes from here."""
    app = FastAPI(
        title="Branchline",
        version=version("branchline"),
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    health.add_health_routes(app, link, metrics)
    models.add_model_routes(app, link)
    chat.add_chat_routes(app, link, metrics)
    responses.add_response_routes(app, link, metrics)
    completions.add_completion_routes(app, link, metrics)
    embeddings.add_embedding_routes(app, link, metrics)
    anthropic.add_anthropic_routes(app, link, metrics)
    ollama.add_ollama_routes(app, link, metrics)
    ollama_models.add_ollama_model_routes(app, link)
    ollama_embed.add_ollama_embed_routes(app, link, metrics)
    tokens.add_token_routes(app, link)
    native.add_native_routes(app, link, metrics)
    cache.add_cache_routes(app, link)
    add_ui_routes(app, link)
    _handle_failures(app)
    _describe(app)
    return app


def _handle_failures(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def on_api_error(request: Request, error: ApiError) -> Response:
        return error.response(request.scope["path"])

    @app.exception_handler(RequestError)
    async def on_request_error(request: Request, error: RequestError) -> Response:
        path = request.scope["path"]
        return from_request_error(error, _FIELD_NAMES.get(path)).response(path)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        # Of what stands in the address; bodies are read by us.
        first = error.errors()[0]
        return refuse(first["msg"], str(first["loc"][-1])).response(request.scope["path"])

    @app.exception_handler(ClientGone)
    async def on_client_gone(request: Request, error: ClientGone) -> Response:
        # Nobody reads it; it only ends the exchange.
        return Response(status_code=499)

    @app.exception_handler(HTTPException)
    async def on_http_exception(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        path = request.scope["path"]
        what = f"{request.method} {path[:256]}"
        reason = {404: "there is no such route", 405: "the route takes another method"}
        message = f"{what}: {reason.get(error.status_code, error.detail)}"
        return ApiError(error.status_code, message, headers=headers).response(path)

    @app.exception_handler(Exception)
    async def on_defect(request: Request, error: Exception) -> Response:
        # The trace goes to the log; what it says is not for clients.
        failure = RequestError("internal", "the server failed to handle the request")
        return from_request_error(failure).response(request.scope["path"])


def _describe(app: FastAPI) -> None:
    """Add the schemas of our structs to the OpenAPI document."""
    build = app.openapi

    def openapi() -> dict[str, Any]:
        document = build()
        for route in document["paths"].values():
            for operation in route.values():
                # FastAPI's own errors, which are answered as any other.
                operation["responses"].pop("422", None)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(components(_STRUCTS))
        return document

    app.openapi = openapi  # type: ignore[method-assign]


class _Counted:
    """Counts requests by route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._requests = metrics.requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self._requests.labels(route, str(status)).inc()
