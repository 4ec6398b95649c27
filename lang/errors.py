"""The exceptions of the language: raised by connections and backends, caught by programs' users.

A failure that the runtime reports travels as `protocol.Error`; `from_wire` turns it into the
exception that a user can catch at the level they care for.
"""

from __future__ import annotations

from typing import ClassVar

from branchline.runtime import protocol


class GenerationError(Exception):
    """A call of a program failed. Base of every error below.

    `code` is one of `protocol.ErrorCode`, `pointer` names the argument or the place inside a
    schema, `retry_after_s` says when another try makes sense. An error of a call inside a program
    also names the `program`, the `op`, its `variable` and the `source` line ("file.py:12").
    """

    default_code: ClassVar[protocol.ErrorCode] = "internal"
    program: str | None = None
    op: str | None = None
    variable: str | None = None
    source: str | None = None

    def __init__(
        self,
        message: str,
        *,
        code: protocol.ErrorCode | None = None,
        pointer: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code: protocol.ErrorCode = code or self.default_code
        self.pointer = pointer
        self.retry_after_s = retry_after_s


class InvalidRequest(GenerationError):
    """An argument is wrong; `pointer` names it."""

    default_code = "invalid_request"


class GrammarError(GenerationError):
    """A regex, schema or choice list cannot be compiled or enforced."""

    default_code = "grammar"


class ContextLengthExceeded(GenerationError):
    """The prompt and the tokens to generate do not fit the model's context."""

    default_code = "context_length"


class Overloaded(GenerationError):
    """The runtime's waiting queue is full; retry after `retry_after_s`."""

    default_code = "overloaded"


class Cancelled(GenerationError):
    """The call was cancelled before it ended."""

    default_code = "cancelled"


class TimeoutExceeded(GenerationError):
    """A deadline passed before the call ended."""

    default_code = "timeout"


class RuntimeUnavailable(GenerationError):
    """The runtime cannot be reached, has died, or is starting again."""

    default_code = "unavailable"


class SessionLost(GenerationError):
    """The runtime holds a state's session no more. Backends send the whole prompt again, so that
    no program sees this."""

    default_code = "session_lost"


class InternalError(GenerationError):
    """A defect in the runtime; only this call is affected."""

    default_code = "internal"


_BY_CODE: dict[protocol.ErrorCode, type[GenerationError]] = {
    kind.default_code: kind
    for kind in (
        InvalidRequest,
        GrammarError,
        ContextLengthExceeded,
        Overloaded,
        Cancelled,
        TimeoutExceeded,
        RuntimeUnavailable,
        SessionLost,
        InternalError,
    )
}


def from_wire(error: protocol.Error) -> GenerationError:
    """The exception for an Error that the runtime sent."""
    return _BY_CODE[error.code](
        error.message, pointer=error.pointer, retry_after_s=error.retry_after_s
    )


def no_character(error: UnicodeEncodeError) -> InvalidRequest:
    """The exception for a text that cannot be sent."""
    wrong = error.object[error.start]
    return InvalidRequest(f"a text holds half a surrogate pair, {wrong!r}, which is no character")
