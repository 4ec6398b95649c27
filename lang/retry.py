"""Trying a call again that the runtime had not started or has lost. Called by calls.py."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from typing import TypeVar

from .backend.base import Backend
from .errors import GenerationError, Overloaded, RuntimeUnavailable

Result = TypeVar("Result")


@dataclass(frozen=True)
class Retry:
    """When a program's calls are tried again, by themselves and without the program noticing.

    overloaded_s: a call that the runtime refuses for want of room is tried again, at the times
        that the runtime names (`retry_after_s`), for this long; then Overloaded is raised.
    replays: so often a call that was lost with its runtime is sent again, when nothing of it had
        been streamed. The prompt is the state's own log, so the new runtime gets all that the old
        one knew.
    restart_s: so long a runtime that says that it is starting again is waited for. One that is
        gone without a word is tried at once, and once.

    `Retry.off()` tries nothing again.
    """

    overloaded_s: float = 300.0
    replays: int = 1
    restart_s: float = 60.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise ValueError(f"Retry: {field.name}={value!r}: expected a number of at least 0")

    @classmethod
    def off(cls) -> Retry:
        """Every error is raised at once."""
        return cls(overloaded_s=0.0, replays=0, restart_s=0.0)


async def with_retries(
    retry: Retry,
    backend: Backend,
    attempt: Callable[[], Awaitable[Result]],
    unseen: Callable[[], bool] = lambda: True,
) -> Result:
    """The result of `attempt()`, tried again as `retry` says while `unseen()`: nothing that it
    produced has been shown to anybody."""
    loop = asyncio.get_running_loop()
    model = backend.model_info
    give_up_s = loop.time() + retry.overloaded_s
    replays = retry.replays
    while True:
        try:
            return await attempt()
        except Overloaded as error:
            # Spread out, or all that were refused together would come back together.
            pause_s = (error.retry_after_s or 0.0) * random.uniform(0.75, 1.5)
            if not pause_s or not unseen() or loop.time() + pause_s > give_up_s:
                raise
            await asyncio.sleep(pause_s)
        except RuntimeUnavailable as error:
            if replays < 1 or not unseen() or not await _is_back(backend, error, retry.restart_s):
                raise
            if backend.model_info != model:
                raise RuntimeUnavailable(
                    f"the runtime came back with another model ({backend.model_info.name!r}, "
                    f"before {model.name!r}): the program's tokens mean nothing to it"
                ) from error
            replays -= 1


async def _is_back(backend: Backend, error: RuntimeUnavailable, restart_s: float) -> bool:
    """Wait until the runtime answers again: a promise to return (`retry_after_s`) is believed for
    `restart_s`, silence is asked once."""
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + restart_s
    pause_s = error.retry_after_s
    while pause_s is None or loop.time() + pause_s <= give_up_s:
        if pause_s is not None:
            await asyncio.sleep(pause_s)
        try:
            await backend.server_info()
        except RuntimeUnavailable as still:
            if still.retry_after_s is None:
                return False
            pause_s = still.retry_after_s
        except GenerationError:
            # It answers, if only that it tells nothing of itself.
            return True
        else:
            return True
    return False
