"""The one exception by which any part of the runtime refuses a request."""

from __future__ import annotations

from .protocol import ErrorCode


class RequestError(Exception):
    """A request cannot be served; it ends this request and nothing else.

    `code` is one of `protocol.ErrorCode`, `message` is for the user (what was given, what is
    allowed, what to do), `pointer` names the field or the place inside a schema.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        pointer: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message
        self.pointer = pointer
        self.retry_after_s = retry_after_s
