"""Sends recorded instances of a program to the runtime, those that differ in their texts only as
one message, and plays the answers back. One per batch or compiled program; see held.py.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable
from typing import Final

from branchline.runtime import protocol

from .backend.base import Backend
from .early_plan import EarlyPlan
from .errors import Cancelled, GenerationError, InvalidRequest
from .held import HeldExecutor
from .loop import shared_loop
from .lowering import Lowered, NotPlannable, Planned, Shape, lower
from .playback import Answer

# A frame holds 16 MiB, and a character takes up to four bytes.
_MAX_CHARS: Final = 2 * 1024 * 1024
# One call alone gains nothing by going as a plan.
_MIN_CALLS: Final = 2
# A plan leaves within this, or nobody waits for it.
_LEAVES_S: Final = 0.05

_log = logging.getLogger("branchline")


class PlanRunner:
    """Takes held instances from any thread; everything else runs on the shared loop.

    `reason` says why the program is interpreted, None while it is not: from then on its instances
    need not be held any more.
    """

    def __init__(self, backend: Backend, *, min_calls: int = _MIN_CALLS) -> None:
        self.reason: str | None = None
        if not backend.capabilities.plans:
            self.reason = f"{type(backend).__name__} does not take plans"
        self._backend = backend
        self._min_calls = min_calls
        # Of the last instance: most of a batch have the same.
        self._like: Shape | None = None
        # Whether the one before had it, too: the next can be foreseen.
        self._recurs = False
        # Of the last message.
        self._planned: Planned | None = None
        self._pending: list[tuple[HeldExecutor, Lowered]] = []
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()

    def begin_early(self, texts: list[str]) -> EarlyPlan | None:
        """Send an instance with these texts, whose state is going to be built; it has the runner
        that this gives. None where its plan is not known well enough. Returns when it has left,
        or should have: the loop would wait for the interpreter until the state is there."""
        like = self._like
        if like is None or not self._recurs or self.reason is not None:
            return None
        loop = shared_loop()
        if loop.is_current() or not all(texts):
            return None
        early = EarlyPlan(self, Lowered(like, texts))
        loop.call(self._send_early, early)
        try:
            early.sent.acquire(timeout=_LEAVES_S)
        except BaseException:
            loop.call(early.decide, None)
            raise
        return early

    def take(self, root: HeldExecutor, early: EarlyPlan | None = None) -> None:
        """An instance whose body is over, or wants a result. early: what was sent for it."""
        lowered: Lowered | None = None
        if root.failure is None and self.reason is None:
            lowered = self._lowered(root)
        if early is not None:
            fits = early.fits(lowered)
            shared_loop().call(early.decide, root if fits else None)
            if fits:
                return
        if lowered is None:
            shared_loop().call(root.begin)
        else:
            shared_loop().call(self._add, root, lowered)

    def _lowered(self, root: HeldExecutor) -> Lowered | None:
        """Its plan; None where it is left to the interpreter."""
        try:
            lowered = lower(root, self._like)
        except NotPlannable as reason:
            self._give_up(f"{reason}")
            return None
        except Exception as error:
            # Whatever it is, of this instance alone: it is met again where its op names its place.
            _log.info("an instance is interpreted: %s: %s", type(error).__name__, error)
            return None
        self._recurs = lowered.shape is self._like
        self._like = lowered.shape
        if lowered.shape.num_calls < self._min_calls and not root.body_done:
            self._give_up("its body wants each result before it goes on")
            return None
        return lowered

    def _give_up(self, reason: str) -> None:
        self.reason = reason
        _log.info("interpreted, not compiled: %s", reason)

    def _add(self, root: HeldExecutor, lowered: Lowered) -> None:
        self._pending.append((root, lowered))
        if not self._scheduled:
            # What other threads hand in meanwhile goes along.
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._send_pending)

    def _send_pending(self) -> None:
        self._scheduled = False
        pending, self._pending = self._pending, []
        groups: dict[bytes, list[tuple[HeldExecutor, Lowered]]] = defaultdict(list)
        for root, lowered in pending:
            groups[lowered.shape.key].append((root, lowered))
        for group in groups.values():
            while group:
                size = _fitting([lowered for _, lowered in group])
                self._spawn(self._run([lowered for _, lowered in group[:size]]))
                del group[:size]

    def _spawn(self, work: object) -> asyncio.Task[None]:
        assert asyncio.iscoroutine(work)
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, instances: list[Lowered]) -> None:
        """Send one plan and start to wait for each of its instances."""
        arrived_s = time.monotonic()

        def on_news(number: int, calls: list[protocol.PlanCall]) -> None:
            root = instances[number].executors[0]
            root.play(Answer.of(call, arrived_s) for call in calls)

        try:
            plan, texts = self._planned_for(instances[0]).of(instances)
            answers = await self._backend.run_plan(plan, texts, on_news)
            running = list(zip(instances, answers, strict=True))
        except Exception as error:
            for lowered in instances:
                _fall_back(lowered, error)
            return
        for lowered, answer in running:
            self._spawn(self._wait(lowered, answer, arrived_s))

    def _send_early(self, early: EarlyPlan) -> None:
        early.begin()
        self._spawn(self._run_early(early))
        loop = asyncio.get_running_loop()
        # In the next turn the message is made, in the one after it leaves (client.py).
        loop.call_soon(loop.call_soon, early.sent.release)

    async def _run_early(self, early: EarlyPlan) -> None:
        """Send one plan of one instance, and wait for it as soon as its state is there."""
        arrived_s, lowered = time.monotonic(), early.lowered

        def on_news(number: int, calls: list[protocol.PlanCall]) -> None:
            early.hear(Answer.of(call, arrived_s) for call in calls)

        try:
            plan, texts = self._planned_for(lowered).of([lowered])
            [running] = await self._backend.run_plan(plan, texts, on_news)
        except Exception as error:
            if await early.joined():
                _fall_back(lowered, error)
            return
        answer = asyncio.ensure_future(running)
        # What has not begun could not be cancelled, and the runtime would not be told.
        await asyncio.sleep(0)
        if await early.joined():
            await self._wait(lowered, answer, arrived_s)
        else:
            answer.cancel()

    def _planned_for(self, first: Lowered) -> Planned:
        planned, shape = self._planned, first.shape
        if planned is None or (planned.shape is not shape and planned.shape.key != shape.key):
            planned = self._planned = Planned(shape, first.texts)
        return planned

    async def _wait(
        self, lowered: Lowered, answer: Awaitable[protocol.PlanDone], arrived_s: float
    ) -> None:
        root = lowered.executors[0]
        root.waiting = asyncio.current_task()
        if root.failure is not None and root.waiting is not None:
            root.waiting.cancel()  # cancelled meanwhile; leaving the wait tells the runtime
        try:
            done = await answer
            for executor, calls in zip(lowered.executors, done.branches, strict=True):
                executor.answers.extend(Answer.of(call, arrived_s) for call in calls)
        except asyncio.CancelledError:
            root.waiting = None
            root.begin()
            return
        except Exception as error:
            root.waiting = None
            _fall_back(lowered, error)
            return
        root.waiting = None
        root.begin()


def _fitting(instances: list[Lowered]) -> int:
    """How many of these go into one message."""
    num_chars = 0
    for size, lowered in enumerate(instances[: protocol.MAX_PLAN_INSTANCES]):
        num_chars += sum(map(len, lowered.texts))
        if size and num_chars > _MAX_CHARS:
            return size
    return min(len(instances), protocol.MAX_PLAN_INSTANCES)


def _fall_back(lowered: Lowered, error: Exception) -> None:
    """The plan did not run. What the runtime is not to blame for is left to the interpreter; else
    the first call meets the error, which may be tried again as any call."""
    root = lowered.executors[0]
    if not isinstance(error, GenerationError):
        _log.info("an instance is interpreted: %s: %s", type(error).__name__, error)
    elif not isinstance(error, InvalidRequest | Cancelled):
        now_s = time.monotonic()
        root.answers.append(Answer(error, now_s, now_s))
    root.begin()
