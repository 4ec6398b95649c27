"""Where in a program something failed: finding the user's line, and naming it in the error.
Called by the executor and by state.py."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .errors import GenerationError

_THIS_PACKAGE = os.path.dirname(__file__)


@dataclass(slots=True, eq=False)
class Origin:
    """The op of a program that a call belongs to: its node, or the node in words where only they
    are left (a checkpoint's); `source` is "file.py:12"."""

    program: str
    node: object
    variable: str | None
    source: str | None

    @property
    def op(self) -> str:
        """The op in words; only errors and timelines want them."""
        return self.node if isinstance(self.node, str) else repr(self.node)


def caller_source() -> str | None:
    """File and line of the innermost caller outside of this package."""
    frame = sys._getframe(1)
    while _is_ours(frame.f_code.co_filename):
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def raised_at(error: BaseException, body: Callable[..., Any]) -> str | None:
    """File and line of a program from which an error came: the innermost in the file of its body,
    which may have called others; else the innermost outside of this package."""
    places = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not _is_ours(frame.f_code.co_filename)
    ]
    code = getattr(inspect.unwrap(body), "__code__", None)
    if code is not None:
        places = [place for place in places if place[0] == code.co_filename] or places
        places = places or [(code.co_filename, code.co_firstlineno)]
    return "{}:{}".format(*places[-1]) if places else None


@lru_cache(maxsize=1_024)
def _is_ours(filename: str) -> bool:
    # Each op asks for every frame of ours that it came through.
    # Our context managers are called through the library's.
    return os.path.dirname(filename) == _THIS_PACKAGE or filename == contextlib.__file__


def copied(error: GenerationError) -> GenerationError:
    """The same error as another object. Its class may be a user's, made of any arguments."""
    kind = type(error)
    result = kind.__new__(kind, *error.args)
    vars(result).update(vars(error))
    result.__cause__ = error.__cause__
    return result


def located(error: BaseException, origin: Origin) -> GenerationError:
    """The same error, its message saying where in the program it happened.

    A copy, because a backend may raise one object for many calls. Any other exception (of a
    choices method, say) becomes the cause of a GenerationError.
    """
    if isinstance(error, GenerationError):
        result = copied(error)
        message = error.message
    else:
        message = f"{type(error).__name__}: {error}"
        result = GenerationError(message)
        result.__cause__ = error
    place = [f"program {origin.program!r}"]
    if origin.variable is not None:
        place.append(f"variable {origin.variable!r}")
    op = origin.op
    place.append(op if len(op) <= 120 else f"{op[:120]}...")
    if origin.source is not None:
        place.append(origin.source)
    result.args = (f"{message} [{', '.join(place)}]",)
    result.program, result.op = origin.program, op
    result.variable, result.source = origin.variable, origin.source
    return result
