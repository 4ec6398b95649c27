"""Ollama's /api/embed. The vectors are those of /v1/embeddings, with the mean of the states."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request
from msgspec import Struct
from starlette.responses import Response

from ...protocol import EmbedParams
from . import body as bodies
from .embeddings import MAX_INPUTS, embed, vector_of
from .errors import OllamaErrorBody
from .link import Link
from .metrics import Metrics
from .ollama_fields import OllamaOptions
from .openai_fields import check_model
from .prompts import prompts_of
from .schema import describe, json_response


class OllamaEmbed(Struct, kw_only=True, forbid_unknown_fields=True):
    """Texts to embed. `truncate`, `options` and `keep_alive` have no effect: a text that does not
    fit the context is refused, never cut."""

    model: str
    input: str | list[str]
    dimensions: int | None = None
    truncate: bool | None = None
    options: OllamaOptions | None = None
    keep_alive: Any = None


class OllamaEmbedded(Struct, frozen=True):
    """A vector of length 1 for each text; times in nanoseconds."""

    model: str
    embeddings: list[list[float]]
    total_duration: int
    prompt_eval_count: int
    load_duration: int = 0


_DECODER: Final = msgspec.json.Decoder(OllamaEmbed)


def add_ollama_embed_routes(app: FastAPI, link: Link, metrics: Metrics) -> None:
    """`link` leads to the runtime."""

    @app.post("/api/embed", **describe(OllamaEmbedded, body=OllamaEmbed, error=OllamaErrorBody))
    async def embed_texts(request: Request) -> Response:
        """Embed one or more texts."""
        started_s = time.monotonic()
        body = await bodies.read(request, _DECODER)
        model, _ = link.require()
        # Ollama's clients add a tag where the user gave none.
        check_model(body.model.removesuffix(":latest"), model)
        texts = [body.input] if isinstance(body.input, str) else body.input
        inputs = prompts_of([*texts], "input", markup=False, most=MAX_INPUTS)
        dones = await embed(request, link, metrics, inputs, EmbedParams("mean", body.dimensions))
        return json_response(
            OllamaEmbedded(
                model.name,
                [list(vector_of(done)) for done in dones],
                int((time.monotonic() - started_s) * 1e9),
                sum(done.usage.prompt_tokens for done in dones),
            )
        )
