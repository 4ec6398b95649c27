"""What Ollama's API tells of the models: /api/tags, /api/ps, /api/show, /api/version. Added by
app.py."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request
from msgspec import Struct
from starlette.responses import Response

from ...protocol import ModelInfo
from . import body as bodies
from .errors import ApiError, OllamaErrorBody
from .link import Link
from .schema import BODY_ERRORS, describe, json_response


class OllamaVersion(Struct, frozen=True):
    """This server's version."""

    version: str


class OllamaDetails(Struct, frozen=True):
    """What is known of the model."""

    family: str
    families: list[str]
    format: str = "safetensors"
    parent_model: str = ""
    parameter_size: str = ""
    quantization_level: str = ""


class OllamaModel(Struct, frozen=True):
    """A model that is served."""

    name: str
    model: str
    modified_at: str
    details: OllamaDetails
    size: int = 0
    digest: str = ""


class OllamaTags(Struct, frozen=True):
    """All of them."""

    models: list[OllamaModel]


class OllamaProcess(Struct, frozen=True):
    """A model that is loaded; this server's stays so."""

    name: str
    model: str
    details: OllamaDetails
    context_length: int
    expires_at: str = "9999-12-31T23:59:59Z"
    size: int = 0
    size_vram: int = 0
    digest: str = ""


class OllamaProcesses(Struct, frozen=True):
    """All of them."""

    models: list[OllamaProcess]


class OllamaShow(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which model to show; `name` is the older word."""

    model: str | None = None
    name: str | None = None
    verbose: bool = False


class OllamaShown(Struct, frozen=True):
    """What is known of it."""

    details: OllamaDetails
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: str
    modelfile: str = ""
    parameters: str = ""
    template: str = ""


_SHOW: Final = msgspec.json.Decoder(OllamaShow)


def add_ollama_model_routes(app: FastAPI, link: Link) -> None:
    """`link` knows the model."""
    started = datetime.now(UTC).isoformat().replace("+00:00", "Z")

    @app.get("/api/tags", **describe(OllamaTags, error=OllamaErrorBody, errors=(503,)))
    async def tags() -> Response:
        """The models that are served."""
        model, _ = link.require()
        card = OllamaModel(model.name, model.name, started, _details(model))
        return json_response(OllamaTags([card]))

    @app.post(
        "/api/show",
        **describe(OllamaShown, body=OllamaShow, error=OllamaErrorBody, errors=(404, *BODY_ERRORS)),
    )
    async def show(request: Request) -> Response:
        """What is known of a model."""
        body = await bodies.read(request, _SHOW)
        model, _ = link.require()
        asked = body.model or body.name or ""
        if asked.removesuffix(":latest") not in (model.name, model.path):
            raise ApiError(404, f"model {asked[:128]!r} not found; there is {model.name!r}")
        info = {
            "general.architecture": model.architecture,
            f"{model.architecture}.context_length": model.context_length,
            f"{model.architecture}.vocab_size": model.vocab_size,
        }
        abilities = ["completion"]
        if model.role_markup is not None:
            abilities += ["tools"] + (["thinking"] if model.reasoning_tags is not None else [])
        return json_response(OllamaShown(_details(model), info, abilities, started))

    @app.get("/api/ps", **describe(OllamaProcesses, error=OllamaErrorBody, errors=(503,)))
    async def processes() -> Response:
        """The models that are loaded: those that are served."""
        model, _ = link.require()
        process = OllamaProcess(model.name, model.name, _details(model), model.context_length)
        return json_response(OllamaProcesses([process]))

    @app.get("/api/version", **describe(OllamaVersion, error=OllamaErrorBody, errors=()))
    async def show_version() -> Response:
        """This server's version, which is not one of Ollama's."""
        return json_response(OllamaVersion(version("branchline")))


def _details(model: ModelInfo) -> OllamaDetails:
    return OllamaDetails(model.architecture, [model.architecture])
