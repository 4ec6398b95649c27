"""/v1/models."""

from __future__ import annotations

from typing import Literal

from fastapi import FastAPI
from msgspec import Struct
from starlette.responses import Response

from ...protocol import ModelInfo
from .errors import ApiError
from .link import Link
from .openai_fields import now
from .schema import describe, json_response


class ModelCard(Struct, frozen=True):
    """A model that is served. `max_model_len` is its context in tokens, or what the KV cache
    holds where that is less."""

    id: str
    created: int
    max_model_len: int
    object: Literal["model"] = "model"
    owned_by: str = "branchline"


class ModelList(Struct, frozen=True):
    """All of them."""

    data: list[ModelCard]
    object: Literal["list"] = "list"


def add_model_routes(app: FastAPI, link: Link) -> None:
    """`link` knows the model."""
    started = now()

    def card(model: ModelInfo) -> ModelCard:
        return ModelCard(model.name, started, model.context_length)

    @app.get("/v1/models", **describe(ModelList, errors=(503,)))
    async def models() -> Response:
        """The models that are served."""
        model, _ = link.require()
        return json_response(ModelList([card(model)]))

    @app.get("/v1/models/{name:path}", **describe(ModelCard, errors=(404, 503)))
    async def one_model(name: str) -> Response:
        """One of them."""
        model, _ = link.require()
        if name != model.name:
            raise ApiError(
                404,
                f"the model {name[:128]!r} is not served here; this server has {model.name!r}",
                param="model",
                code="model_not_found",
            )
        return json_response(card(model))
