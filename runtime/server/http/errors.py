"""Failures as HTTP sees them: a status and OpenAI's error body. Used by every API here."""

from __future__ import annotations

import math
import re
from typing import Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from ...errors import RequestError
from ...protocol import ErrorCode

_INVALID: Final = "invalid_request_error"

# Status, OpenAI's error type and code.
_BY_CODE: Final[dict[ErrorCode, tuple[int, str, str | None]]] = {
    "invalid_request": (400, _INVALID, None),
    "grammar": (400, _INVALID, "invalid_grammar"),
    "context_length": (400, _INVALID, "context_length_exceeded"),
    "overloaded": (429, "rate_limit_error", "overloaded"),
    "cancelled": (499, "cancelled_error", "cancelled"),
    "timeout": (408, "timeout_error", "timeout"),
    "unavailable": (503, "server_error", "unavailable"),
    "session_lost": (409, _INVALID, "session_lost"),
    "internal": (500, "server_error", "internal_error"),
}
_ANTHROPIC_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
}
_RETRY_STATUSES: Final = (429, 503)

# Where in a constraint on tool calls a tool's schema stands; the message names the tool.
_TAG: Final = re.compile(r"/constraint/tags/\d+/schema ?")

# The wire's names of fields, as OpenAI's APIs call them.
_PARAM_NAMES: Final = {
    "max_new_tokens": "max_tokens",
    "min_new_tokens": "min_tokens",
    "top": "top_logprobs",
    "constraint": "response_format",
}
# Fields of the wire whose own fields are fields of the request over HTTP.
_GROUPS: Final = ("", "sampling", "logprobs", "embed")


class ErrorDetail(Struct, frozen=True):
    """What went wrong; `param` names the field of the request."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(Struct, frozen=True):
    """The body of every answer with an error status, but for Anthropic's and Ollama's routes."""

    error: ErrorDetail


class AnthropicErrorDetail(Struct, frozen=True):
    """What went wrong, in Anthropic's words."""

    type: str
    message: str


class AnthropicErrorBody(Struct, frozen=True):
    """The body of an answer with an error status under /v1/messages."""

    error: AnthropicErrorDetail
    type: Literal["error"] = "error"


class OllamaErrorBody(Struct, frozen=True):
    """The body of an answer with an error status under /api."""

    error: str


class ApiError(Exception):
    """An HTTP request that gets no result: everything that the answer needs."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: str = _INVALID,
        retry_after_s: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.detail = ErrorDetail(message, kind, param, code)
        self.headers = dict(headers or {})
        if status in _RETRY_STATUSES:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after_s or 1.0)))

    def response(self, path: str) -> Response:
        """The answer, in the form of the API that `path` belongs to."""
        return Response(
            self.body(path), self.status, headers=self.headers, media_type="application/json"
        )

    def body(self, path: str) -> bytes:
        """Its body."""
        told = self.told()
        if path.startswith("/v1/messages"):
            kind = _ANTHROPIC_TYPES.get(self.status, "invalid_request_error")
            return msgspec.json.encode(AnthropicErrorBody(AnthropicErrorDetail(kind, told.message)))
        if path.startswith("/api/"):
            return msgspec.json.encode(OllamaErrorBody(told.message))
        return msgspec.json.encode(ErrorBody(told))

    def told(self) -> ErrorDetail:
        """What went wrong, the field's name in the message, which is all that many clients show."""
        message, param = self.detail.message, self.detail.param
        if param is None or re.search(rf"(?<!\w){re.escape(param)}(?!\w)", message):
            return self.detail
        return replace(self.detail, message=f"{param}: {message}")


def refuse(message: str, param: str | None = None) -> ApiError:
    """A 400 for a field that is wrong or that this server does not have."""
    return ApiError(400, message, param=param)


def from_request_error(error: RequestError, names: dict[str, str] | None = None) -> ApiError:
    """The answer to a request that the service refused or could not finish.

    names: how this API calls fields of the wire, beyond OpenAI's usual names.
    """
    status, kind, code = _BY_CODE[error.code]
    return ApiError(
        status,
        error.message,
        param=_param(error, {**_PARAM_NAMES, **(names or {})}),
        code=code,
        kind=kind,
        retry_after_s=error.retry_after_s,
    )


def _param(error: RequestError, names: dict[str, str]) -> str | None:
    if error.pointer is None:
        return None
    if error.code == "grammar" and not error.pointer.startswith("sampling."):
        # A place inside the schema, which the client knows as such.
        if (tag := _TAG.match(error.pointer)) is not None:
            return "tools" + error.pointer[tag.end() :]
        return names["constraint"] + error.pointer
    parts = [part for part in re.split("[/.]", error.pointer) if part not in _GROUPS]
    if not parts:
        return None
    return ".".join([names.get(parts[0], parts[0]), *parts[1:]])
