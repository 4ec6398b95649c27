"""/v1/embeddings: what the model makes of a text, as a vector of length 1."""

from __future__ import annotations

import base64
from array import array
from typing import Final, Literal

import msgspec
from fastapi import FastAPI, Request
from msgspec import Struct
from starlette.responses import Response

from ...protocol import Done, EmbedParams, Generate, Part, SamplingParams
from . import body as bodies
from .answer import complete
from .link import Link
from .metrics import Metrics
from .openai_fields import PromptTokensDetails, check_model
from .prompts import PromptField, prompts_of
from .schema import describe, json_response

MAX_INPUTS: Final = 2_048
NAMES: Final = {"prompt": "input"}


class EmbeddingRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """A text, several texts, token ids, or several lists of token ids. `dimensions` keeps the first
    so many of a vector. `pooling`, which is ours and not OpenAI's: the mean of the last hidden
    states, or the one of the last token. `markup` as in a completion.
    """

    input: PromptField
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    user: str | None = None

    pooling: Literal["mean", "last"] = "mean"
    markup: bool = False


class Embedding(Struct, frozen=True):
    """One vector, as numbers or as base64 of little-endian float32."""

    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class EmbeddingUsage(Struct, frozen=True):
    """Token counts of all inputs. The mean needs every state and takes none from the cache."""

    prompt_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


class Embeddings(Struct, frozen=True):
    """A vector for each input, in order."""

    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
    object: Literal["list"] = "list"


_DECODER: Final = msgspec.json.Decoder(EmbeddingRequest)


def add_embedding_routes(app: FastAPI, link: Link, metrics: Metrics) -> None:
    """`link` leads to the runtime."""

    @app.post("/v1/embeddings", **describe(Embeddings, body=EmbeddingRequest))
    async def embeddings(request: Request) -> Response:
        """Embed one or more inputs."""
        body = await bodies.read(request, _DECODER)
        model, _ = link.require()
        check_model(body.model, model)
        inputs = prompts_of(body.input, "input", markup=body.markup, most=MAX_INPUTS)
        wanted = EmbedParams(body.pooling, body.dimensions)
        dones = await embed(request, link, metrics, inputs, wanted)
        as_text = body.encoding_format == "base64"
        data = [
            Embedding(index, _as_text(vector) if as_text else list(vector))
            for index, vector in enumerate(map(vector_of, dones))
        ]
        return json_response(Embeddings(data, model.name, _usage(dones)))


async def embed(
    request: Request,
    link: Link,
    metrics: Metrics,
    inputs: list[list[Part]],
    wanted: EmbedParams,
) -> list[Done]:
    """A Done with an embedding for each input. Raises RequestError, and ClientGone."""
    namespace = request.scope["state"]["namespace"]
    alone = SamplingParams(max_new_tokens=0)
    generates = [
        Generate(rid="-", prompt=prompt, sampling=alone, namespace=namespace, embed=wanted)
        for prompt in inputs
    ]
    return await complete(request, link, metrics, generates)


def vector_of(done: Done) -> array[float]:
    """Its embedding; the runtime and this process are on one machine."""
    return array("f", done.embedding or b"")


def _as_text(vector: array[float]) -> str:
    return base64.b64encode(vector.tobytes()).decode()


def _usage(dones: list[Done]) -> EmbeddingUsage:
    num_tokens = sum(done.usage.prompt_tokens for done in dones)
    cached = sum(done.usage.cached_tokens for done in dones)
    return EmbeddingUsage(num_tokens, num_tokens, PromptTokensDetails(cached))
