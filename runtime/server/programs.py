"""Whole programs: each instance of a plan is a request whose calls are made from inside, without
asking the client. Held by service.py; plans/desk.py knows what comes after what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from ..engine_protocol import NextCall
from ..errors import RequestError
from ..plans.check import SoundPlan, check_instance, check_plan
from ..plans.desk import PlanDesk
from ..protocol import (
    FrontMessage,
    Generate,
    Plan,
    PlanCall,
    PlanDone,
    PlanInstance,
    PlanNews,
    RunPlan,
    Score,
)
from ..tokenizer import Tokenizer
from .answered import digest_of
from .call import Membership
from .calls import Calls
from .flight import Client
from .flights import Flights

# Who asks for the calls of plans. ZeroMQ's own names with a leading zero have five bytes.
PLANS: Final = b"\0branchline-plans"
# Those of an instance that comes alone are told before the last has ended, where they are so many:
# somebody may wait for it, and a batch has others to go on with.
_MANY_CALLS: Final = 8


@dataclass(frozen=True, slots=True)
class _Running:
    """An instance by the engine's numbers: its program, and by branch the session of its calls."""

    program: int
    leases: dict[str, int] = field(default_factory=dict)


class Programs:
    """numbers: gives the engine's leases theirs."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        flights: Flights,
        calls: Calls,
        *,
        numbers: Iterator[int],
        clock: Callable[[], float],
    ) -> None:
        self._flights = flights
        self._calls = calls
        self._numbers = numbers
        # By instance, while calls of it were made.
        self._running: dict[str, _Running] = {}
        self._inside = Client(float("inf"), inside=True)
        flights.clients[PLANS] = self._inside
        # A batch and a compiled program send the same plan again and again.
        self._last_plan: tuple[bytes, SoundPlan] | None = None
        self._desk = PlanDesk(tokenizer, ask=self._ask, cancel=self._cancel, clock=clock)

    def start(self, client_id: bytes, message: RunPlan) -> None:
        """Start every instance; each is a request of its own."""
        flights = self._flights
        of_plan = digest_of(message.plan)
        try:
            plan = self._checked(message.plan, of_plan)
        except RequestError as error:
            for instance in message.instances:
                flights.refuse(client_id, instance.rid, error)
            return
        for instance in message.instances:
            digest = of_plan + digest_of(instance)
            if flights.is_repeated(client_id, instance.rid, digest):
                continue
            flights.count("requests")
            try:
                flights.check_open(client_id, instance.rid)
                check_instance(instance, plan)
            except RequestError as error:
                flights.refuse(client_id, instance.rid, error)
            else:
                self._start_instance(
                    client_id,
                    message.namespace,
                    plan,
                    instance,
                    digest,
                    alone=len(message.instances) == 1,
                )

    def on_reply(self, message: FrontMessage) -> None:
        """The answer to a call that was made from inside."""
        self._desk.on_reply(message)

    def tick(self) -> None:
        self._desk.tick()

    def _checked(self, plan: Plan, digest: bytes) -> SoundPlan:
        """Raises RequestError."""
        if self._last_plan is None or self._last_plan[0] != digest:
            self._last_plan = digest, check_plan(plan)
        return self._last_plan[1]

    def _start_instance(
        self,
        client_id: bytes,
        namespace: str,
        plan: SoundPlan,
        instance: PlanInstance,
        digest: bytes,
        *,
        alone: bool,
    ) -> None:
        # Each of its calls has its time; how many follow each other is the program's affair.
        flight = self._flights.open(client_id, instance.rid, float("inf"), digest)
        num_told = 0

        def tell(calls: list[PlanCall]) -> None:
            nonlocal num_told
            num_told = len(calls)
            self._flights.send(client_id, PlanNews(flight.rid, list(calls)))

        def end(branches: list[list[PlanCall]]) -> None:
            whole = PlanDone(flight.rid, branches)
            rest = PlanDone(flight.rid, [branches[0][num_told:], *branches[1:]], num_told)
            self._flights.end(flight, rest, kept=whole)

        tells = alone and plan.num_calls >= _MANY_CALLS
        run = self._desk.open(plan, instance, namespace, end, tell if tells else _say_nothing)

        def release(outcome: str) -> None:
            self._desk.drop(run)
            running = self._running.pop(run.name, None)
            if running is not None:
                self._calls.leases.end(running.leases.values())

        flight.on_end = release
        self._desk.begin(run)

    def _ask(
        self,
        message: Generate | Score,
        tokens_after: int,
        ahead: Callable[[], list[NextCall]],
        private: bool,
    ) -> None:
        flights = self._flights
        flights.count("requests")
        name, branch, _ = message.rid.split(".")
        if name not in self._running:
            self._running[name] = _Running(next(self._numbers))
        running = self._running[name]
        if branch not in running.leases:
            running.leases[branch] = next(self._numbers)
        part_of = Membership(
            running.leases[branch],
            running.program,
            tokens_after,
            ahead,
            self._desk.went_on,
            private,
        )
        try:
            flights.check_open(PLANS, message.rid)
            self._calls.start(PLANS, message, None, part_of)
        except RequestError as error:
            flights.refuse(PLANS, message.rid, error)

    def _cancel(self, rid: str) -> None:
        flight = self._inside.requests.get(rid)
        if flight is not None:
            self._flights.forget(flight, "client_gone")


def _say_nothing(calls: list[PlanCall]) -> None:
    """All calls are told at the end."""
