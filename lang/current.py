"""Which program's body this thread or task is in. Told by body.py, asked by function.py and
op_queue.py."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .executor import StreamExecutor

# Tasks and threads that a body starts with its context are in it, too.
current: contextvars.ContextVar[StreamExecutor | None] = contextvars.ContextVar(
    "branchline_program", default=None
)


def current_program() -> StreamExecutor | None:
    """The program whose body is calling, if any: programs that it calls end with it."""
    return current.get()
