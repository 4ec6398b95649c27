"""A plan that is sent before its state is there: what a compiled program asks for follows from its
arguments, and the runtime begins while the client still builds the state. Made by plan_runner.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .held import HeldExecutor
from .lowering import Lowered
from .playback import Answer

if TYPE_CHECKING:
    from .plan_runner import PlanRunner


class EarlyPlan:
    """An instance that is on its way, in a state's hands as its runner. It is a forecast: a state
    takes it over only where it asks for the very same.

    `lowered` has no executor before. `sent` is released when the message has left.
    """

    def __init__(self, runner: PlanRunner, lowered: Lowered) -> None:
        self.lowered = lowered
        self.sent = threading.Lock()
        self.sent.acquire()
        self._runner = runner
        self._heard: list[Answer] = []
        self._is_joined = False
        self._decided: asyncio.Future[None] | None = None

    @property
    def reason(self) -> str | None:
        """Why its program is interpreted from now on, if so."""
        return self._runner.reason

    def take(self, root: HeldExecutor) -> None:
        """The state is there."""
        self._runner.take(root, self)

    def fits(self, lowered: Lowered | None) -> bool:
        """Whether this is what a state asks for."""
        mine = self.lowered
        return lowered is not None and lowered.shape is mine.shape and lowered.texts == mine.texts

    # --- on the loop ---

    def begin(self) -> None:
        """Before all else here."""
        self._decided = asyncio.get_running_loop().create_future()

    def hear(self, answers: Iterable[Answer]) -> None:
        """First calls, told while the last one runs."""
        if self._is_joined:
            self.lowered.executors[0].play(answers)
        else:
            self._heard.extend(answers)

    def decide(self, root: HeldExecutor | None) -> None:
        """The state that takes it over; None where nobody does."""
        assert self._decided is not None
        if root is not None:
            self.lowered.executors.append(root)
            self._is_joined = True
            if self._heard:
                root.play(self._heard)
        self._decided.set_result(None)

    async def joined(self) -> bool:
        """Whether a state takes it over, once that is known."""
        assert self._decided is not None
        await self._decided
        return self._is_joined
