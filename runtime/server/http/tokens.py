"""/v1/tokenize and /v1/detokenize."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from fastapi import FastAPI, Request
from msgspec import Struct
from starlette.responses import Response

from ...protocol import Part, Text
from . import body as bodies
from .conversation import conversation_parts
from .errors import refuse
from .link import Link
from .messages import Message, turns_of
from .schema import BODY_ERRORS, describe, json_response
from .tool_fields import FunctionTool, tool_use_of

# Tokenizing this many characters takes about 10 ms; longer texts go to another thread.
_INLINE_CHARS: Final = 32_768


class TokenizeRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """A text, or a conversation with tools in the model's chat template.

    add_special_tokens: whether the text starts a prompt, with the model's start token.
    markup: whether control tokens in the text are recognised.
    """

    prompt: str | None = None
    messages: list[Message] | None = None
    tools: list[FunctionTool] | None = None
    model: str | None = None
    add_special_tokens: bool = True
    add_generation_prompt: bool = True
    markup: bool = False


class TokenizeAnswer(Struct, frozen=True):
    """`max_model_len` is as in `/v1/models`."""

    tokens: list[int]
    count: int
    max_model_len: int


class DetokenizeRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Token ids, special ones included."""

    tokens: list[int]
    model: str | None = None


class DetokenizeAnswer(Struct, frozen=True):
    """Their text."""

    prompt: str


_TOKENIZE: Final = msgspec.json.Decoder(TokenizeRequest)
_DETOKENIZE: Final = msgspec.json.Decoder(DetokenizeRequest)


def add_token_routes(app: FastAPI, link: Link) -> None:
    """`link` has the tokenizer."""

    @app.post("/v1/tokenize", **describe(TokenizeAnswer, body=TokenizeRequest, errors=BODY_ERRORS))
    async def tokenize(request: Request) -> Response:
        """The token ids of a prompt, as a generation call would see them."""
        body = await bodies.read(request, _TOKENIZE)
        model, tokenizer = link.require()
        parts: list[Part]
        if (body.prompt is None) == (body.messages is None):
            raise refuse("give either prompt or messages", "prompt")
        if body.messages is not None:
            generation = body.add_generation_prompt
            tools = tool_use_of(body.tools, None, None)
            parts = conversation_parts(
                turns_of(body.messages), model, tools, add_generation_prompt=generation
            )
        else:
            parts = [Text(body.prompt or "", markup=body.markup)]

        def encode() -> list[int]:
            if body.prompt is not None and not body.add_special_tokens:
                return tokenizer.encode_text(body.prompt, markup=body.markup)
            return tokenizer.encode(parts)

        num_chars = sum(len(part.text) for part in parts if isinstance(part, Text))
        ids = encode() if num_chars <= _INLINE_CHARS else await asyncio.to_thread(encode)
        return json_response(TokenizeAnswer(ids, len(ids), model.context_length))

    @app.post(
        "/v1/detokenize", **describe(DetokenizeAnswer, body=DetokenizeRequest, errors=BODY_ERRORS)
    )
    async def detokenize(request: Request) -> Response:
        """The text of token ids."""
        body = await bodies.read(request, _DETOKENIZE)
        _, tokenizer = link.require()
        for token_id in body.tokens:
            if not 0 <= token_id < tokenizer.vocab_size:
                raise refuse(
                    f"token id {token_id} is not in the vocabulary of {tokenizer.vocab_size}",
                    "tokens",
                )
        return json_response(DetokenizeAnswer(tokenizer.decode(body.tokens, False)))
