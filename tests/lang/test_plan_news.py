"""The first calls of a plan, told before its last one has ended: over a wire that loses, doubles
and swaps what is said, and to the state that waits for them."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from itertools import permutations

import pytest
from fake_front import FakeFront
from scripted import Scripted
from scripted_plans import ScriptedPlans, seen

import branchline as bl
from branchline.lang.backend.base import OnNews
from branchline.lang.client import ZmqConnection
from branchline.lang.errors import InternalError
from branchline.lang.loop import shared_loop
from branchline.runtime.protocol import (
    Done,
    FrontMessage,
    Output,
    Plan,
    PlanCall,
    PlanDone,
    PlanInstance,
    PlanNews,
    RunPlan,
    Usage,
)

USAGE = Usage(1, 1, 0)


@dataclass
class Client:
    """An instance that was asked for; `heard` is what came before its end."""

    front: FakeFront
    heard: list[PlanCall] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connection = ZmqConnection(self.front.address)
        self.rid = self.connection.new_rid()
        self.request = RunPlan(Plan([[]]), [PlanInstance(self.rid)])
        self.future: concurrent.futures.Future[PlanDone] = shared_loop().spawn(self._run())
        assert self.front.next() == self.request

    async def _run(self) -> PlanDone:
        def on_news(number: int, calls: list[PlanCall]) -> None:
            assert number == 0
            self.heard += calls

        [answer] = await self.connection.run_plan(self.request, on_news)
        return await answer

    @property
    def texts(self) -> list[str]:
        """Of all calls, however they were told."""
        done = self.future.result(60)
        assert done.num_told == len(self.heard)
        return [text_of(call) for call in [*self.heard, *done.branches[0]]]


@pytest.fixture
def client(front: FakeFront) -> Iterator[Client]:
    client = Client(front)
    yield client
    client.connection.close()


def call(text: str, ended_s: float = 1.0) -> PlanCall:
    return PlanCall(Done("call", [Output(text, [1], "stop")], USAGE), 0.0, ended_s)


def text_of(call: PlanCall) -> str:
    assert isinstance(call.reply, Done)
    return call.reply.outputs[0].text


def told(rid: str) -> dict[str, FrontMessage]:
    """What a runtime says of an instance with three calls; the whole when it is asked again."""
    return {
        "news": PlanNews(rid, [call("a"), call("b")]),
        "rest": PlanDone(rid, [[call("c")]], 2),
        "whole": PlanDone(rid, [[call("a"), call("b"), call("c")]]),
    }


@pytest.mark.parametrize("said", [["news", "rest"], ["news", "news", "rest"], ["news", "whole"]])
def test_no_call_is_missed_or_told_twice(client: Client, said: list[str]) -> None:
    client.front.reply(*(told(client.rid)[name] for name in said))
    assert client.texts == ["a", "b", "c"]


@pytest.mark.parametrize("late", [*permutations(["news", "whole", "rest"])])
def test_where_news_were_lost_the_request_is_sent_again(
    client: Client, late: tuple[str, ...]
) -> None:
    client.front.reply(told(client.rid)["rest"])
    assert client.front.next() == client.request
    client.front.reply(*(told(client.rid)[name] for name in late))
    assert client.texts == ["a", "b", "c"]


def test_a_plan_that_was_run_twice_fails_instead_of_mixing_its_runs(client: Client) -> None:
    again = PlanNews(client.rid, [call("x"), call("y")])
    client.front.reply(told(client.rid)["news"], again)
    with pytest.raises(InternalError, match="twice"):
        client.future.result(60)


@dataclass(eq=False)
class Telling(ScriptedPlans):
    """Tells all calls but the last ones before the end, and looks what is known then."""

    num_kept: int = 1
    on_told: Callable[[], None] = lambda: None

    async def run_plan(
        self, plan: Plan, texts: list[list[str]], on_news: OnNews
    ) -> list[Coroutine[object, object, PlanDone]]:
        answers = await super().run_plan(plan, texts, on_news)

        async def split(number: int, answer: Coroutine[object, object, PlanDone]) -> PlanDone:
            done = await answer
            first, *others = done.branches
            place = max(0, len(first) - self.num_kept)
            on_news(number, first[:place])
            self.on_told()
            return PlanDone(done.rid, [first[place:], *others], place)

        return [split(number, answer) for number, answer in enumerate(answers)]


@bl.function
def asking(s: bl.ProgramState, topic: str) -> None:
    s += bl.system("Be brief.") + bl.user(topic)
    with s.var_scope("all"):
        s += bl.assistant(bl.gen("a", max_tokens=3) + " and " + bl.gen("b", max_tokens=3))
    s += bl.user("More") + bl.assistant(bl.gen("c", max_tokens=4) + bl.select("d", ["x", "y"]))
    s += bl.gen("e", max_tokens=2)


@pytest.mark.parametrize("num_kept", range(6))
@pytest.mark.parametrize("compiled", [True, False])
def test_a_state_comes_out_the_same_however_much_was_told_before(
    num_kept: int, compiled: bool
) -> None:
    backend = Telling(num_kept=num_kept)
    if compiled:
        state = asking.compile().run("ships", backend=backend)
    else:
        [state] = asking.run_batch([{"topic": "ships"}], backend=backend)
    assert seen(state) == seen(asking.run("ships", backend=Scripted()))
    assert len(backend.plans) == 1


def test_what_was_told_can_be_read_before_the_end() -> None:
    known: set[str] = set()
    backend = Telling(hold=lambda prompt: True)
    state = asking.compile().run("ships", backend=backend)
    backend.on_told = lambda: known.update(
        name for name, cell in state.stream_executor.cells.items() if cell.final
    )
    backend.release()
    state.sync()
    assert known == {"a", "b", "all", "c"}


def test_an_early_reader_goes_on_before_the_end() -> None:
    """A body that waits for its first result appends more while the last call runs."""

    @bl.function
    def reading(s: bl.ProgramState) -> None:
        s += "one" + bl.gen("a", max_tokens=3) + "two" + bl.gen("b", max_tokens=3)
        s += "said " + s["a"] + bl.gen("c", max_tokens=3)

    [state] = reading.run_batch([{}], backend=Telling())
    assert seen(state) == seen(reading.run(backend=Scripted()))
