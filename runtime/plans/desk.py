"""All instances of plans that are under way, between the service and its sequences: their calls
are requests like any client's, made from inside. Used by server/service.py, on its thread.
"""

from __future__ import annotations

import itertools
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from ..engine_protocol import NextCall
from ..protocol import Done, Error, FrontMessage, Generate, PlanCall, PlanInstance, Score, Scores
from ..tokenizer import Tokenizer
from .check import SoundPlan
from .instance import Instance
from .prompt import Speller

# Each sequence that ends makes room for one that waits; a selection may have taken several.
_RETRIES_PER_REPLY: Final = 2


@dataclass(slots=True, eq=False)
class PlanRun:
    """An instance with the answers so far. `end` is told the calls of all branches, `tell` those of
    one branch while its last call runs; the ids of its calls are "name.branch.number"."""

    name: str
    instance: Instance
    end: Callable[[list[list[PlanCall]]], None]
    tell: Callable[[list[PlanCall]], None]
    arrived_s: float
    calls: list[list[PlanCall]]
    awaited: dict[str, float] = field(default_factory=dict)
    dropped: bool = False


class PlanDesk:
    """See the module's text.

    ask: makes a call, told how many tokens its instance may generate after it, how to learn which
    calls will follow it, and whether only its branch waits for it; its answer comes to `on_reply`,
    perhaps before `ask` returns.
    cancel: gives a call up; nothing comes for it any more.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        ask: Callable[[Generate | Score, int, Callable[[], list[NextCall]], bool], None],
        cancel: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._speller = Speller(tokenizer)
        self._ask = ask
        self._cancel = cancel
        self._clock = clock
        self._numbers = itertools.count(1)
        self._runs: dict[str, tuple[PlanRun, int]] = {}
        self._outbox: deque[tuple[PlanRun, Generate | Score]] = deque()
        self._refused: deque[tuple[PlanRun, Generate | Score]] = deque()
        self._requests: dict[str, Generate | Score] = {}
        self._replies: deque[Done | Scores | Error] = deque()
        self._busy = False

    def open(
        self,
        plan: SoundPlan,
        instance: PlanInstance,
        namespace: str,
        end: Callable[[list[list[PlanCall]]], None],
        tell: Callable[[list[PlanCall]], None],
    ) -> PlanRun:
        """A run that `begin` sets going. The instance was checked, too."""
        name = f"{next(self._numbers):x}"
        program = Instance(plan, instance.texts, self._speller, name=name, namespace=namespace)
        return PlanRun(name, program, end, tell, self._clock(), [[] for _ in plan.plan.branches])

    def begin(self, run: PlanRun) -> None:
        self._proceed(run, run.instance.begin)
        self._turn()

    def drop(self, run: PlanRun) -> None:
        """Nobody wants it any more: its calls are given up."""
        run.dropped = True
        for rid in list(run.awaited):
            self._forget(rid)
            self._cancel(rid)
        run.awaited.clear()

    def on_reply(self, message: FrontMessage) -> None:
        """The answer to a call."""
        if isinstance(message, Done | Scores | Error):
            self._replies.append(message)
            self._turn()

    def went_on(self, done: Done) -> Generate | None:
        """The answer to a call whose sequence has gone on with the next one; that call, which is
        not to be asked for. None where the instance does not come to it."""
        if done.rid not in self._runs:
            return None
        run, branch = self._answered(done)
        self._proceed(run, lambda: run.instance.answer(branch, done))
        for entry in self._outbox:
            request = entry[1]
            if entry[0] is run and not run.dropped and self._runs[request.rid][1] == branch:
                self._outbox.remove(entry)
                self._turn()
                return request if isinstance(request, Generate) else None
        self._turn()
        return None

    def tick(self) -> None:
        """Try again what found no room."""
        self._retry(len(self._refused))
        self._turn()

    def _turn(self) -> None:
        """Send and receive until nothing is left. An answer that comes while a call is made is
        taken afterwards: thousands of instances may be refused one after the other."""
        if self._busy:
            return
        self._busy = True
        try:
            while self._outbox or self._replies:
                if self._replies:
                    self._take(self._replies.popleft())
                else:
                    run, request = self._outbox.popleft()
                    if not run.dropped:
                        branch = self._runs[request.rid][1]
                        ahead = partial(run.instance.ahead, branch)
                        private = run.instance.is_private(branch)
                        self._ask(request, run.instance.tokens_left, ahead, private)
        finally:
            self._busy = False

    def _take(self, reply: Done | Scores | Error) -> None:
        if reply.rid is None or reply.rid not in self._runs:
            return
        run, branch = self._runs[reply.rid]
        if isinstance(reply, Error) and reply.code == "overloaded":
            self._refused.append((run, self._requests[reply.rid]))
            return
        self._answered(reply)
        self._retry(_RETRIES_PER_REPLY)
        self._proceed(run, lambda: run.instance.answer(branch, reply))

    def _answered(self, reply: Done | Scores | Error) -> tuple[PlanRun, int]:
        """Note an answer; whose it is, and of which branch."""
        assert reply.rid is not None
        run, branch = self._runs[reply.rid]
        started_s = run.awaited.pop(reply.rid)
        self._forget(reply.rid)
        run.calls[branch].append(
            PlanCall(reply, started_s - run.arrived_s, self._clock() - run.arrived_s)
        )
        return run, branch

    def _proceed(self, run: PlanRun, step: Callable[[], list[Generate | Score]]) -> None:
        now_s = self._clock()
        try:
            requests = step()
        except Exception as defect:
            # It ends this instance, never the loop; the trace is for us.
            traceback.print_exception(defect)
            message = f"{type(defect).__name__} in a plan: {defect}"
            run.calls[0].append(PlanCall(Error(None, "internal", message), 0.0, 0.0))
            self.drop(run)
            run.end(run.calls)
            return
        for branch, error in run.instance.take_failures():
            since_s = now_s - run.arrived_s
            run.calls[branch].append(PlanCall(error, since_s, since_s))
        for request in requests:
            branch = int(request.rid.split(".")[1])
            self._runs[request.rid] = run, branch
            self._requests[request.rid] = request
            run.awaited[request.rid] = now_s
            self._outbox.append((run, request))
        if not run.instance.running and not run.dropped:
            self.drop(run)
            run.end(run.calls)
        elif requests and run.instance.in_last_call:
            run.tell(run.calls[0])

    def _retry(self, count: int) -> None:
        while self._refused and count > 0:
            run, request = self._refused.popleft()
            if not run.dropped:
                self._outbox.append((run, request))
                count -= 1

    def _forget(self, rid: str) -> None:
        self._runs.pop(rid, None)
        self._requests.pop(rid, None)
