"""Reads a request's body within bounds, and turns it into a struct. Used by every API here."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from .errors import ApiError
from .link import ClientGone

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
_BODY_S: Final = 30.0
# The rest of the body was not read: the connection cannot be used again.
_CLOSE: Final = {"Connection": "close"}

Body = TypeVar("Body")


async def read(request: Request, decoder: msgspec.json.Decoder[Body]) -> Body:
    """The decoded body. Raises ApiError with 400, 408, 413 or 415, and ClientGone."""
    body = await _read_bytes(request)
    try:
        # msgspec skips over what it does not decode without looking at its UTF-8.
        body.decode()
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at ")
        param = _dotted(place)
        raise ApiError(400, f"{param}: {reason}" if param else reason, param=param) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, f"the body is not JSON: {error}"[:300]) from None
    except RecursionError:
        raise ApiError(400, "the body is nested too deeply") from None


async def _read_bytes(request: Request) -> bytes:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ApiError(
            415, "send JSON, with the header `Content-Type: application/json`", headers=_CLOSE
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "send the body uncompressed", headers=_CLOSE)
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced[:20]) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise _too_large()
    except TimeoutError:
        raise ApiError(
            408,
            f"the body did not arrive within {_BODY_S:g} s",
            kind="timeout_error",
            headers=_CLOSE,
        ) from None
    except ClientDisconnect:
        raise ClientGone from None
    return bytes(body)


def _too_large() -> ApiError:
    return ApiError(413, f"the body is over {MAX_BODY_BYTES} bytes", headers=_CLOSE)


def _dotted(place: str) -> str | None:
    """`$.messages[0].content` as messages.0.content; None for the body as a whole."""
    path = place.strip("`").removeprefix("key` in `").removeprefix("$")
    return path.replace("[", ".").replace("]", "").strip(".") or None
