"""Where in a user's own code an exception was raised, and the exception in one line. Used by
records.py, for programs that `branchline run` was given."""

from __future__ import annotations

import os
import sysconfig
import traceback
from types import FrameType
from typing import Final

_EXAMPLES: Final = "branchline.frontend_examples"
_LIBRARIES: Final = tuple(
    folder + os.sep
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
    if (folder := sysconfig.get_paths().get(name))
)


def place_of(error: BaseException) -> str | None:
    """The innermost line of the user's own code, "program.py:12"; None where none was passed."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{_shown(error.filename)}:{error.lineno}"
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if _is_users(frame):
            found = f"{_shown(frame.f_code.co_filename)}:{line}"
    # Calls know the line that asked for them, which the traceback of their failure does not.
    return found or getattr(error, "source", None)


def told(error: BaseException) -> str:
    """Type, message and place: "KeyError: 'b' (program.py:12)"."""
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    kind = type(error).__name__
    text = f"{kind}: {message}" if message else kind
    # A failed call's message ends with its place.
    place = None if getattr(error, "source", None) else place_of(error)
    return f"{text} ({place})" if place else text


def _is_users(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__") or ""
    if module.partition(".")[0] == "branchline" and not module.startswith(_EXAMPLES):
        return False
    file = frame.f_code.co_filename
    return not file.startswith(("<", *_LIBRARIES))


def _shown(file: str) -> str:
    """The file as seen from the working directory, where it lies below that."""
    near = os.path.relpath(file)
    return file if near.startswith(os.pardir) else near
