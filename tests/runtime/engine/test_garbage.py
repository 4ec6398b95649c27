"""What the engine lets go of is freed at once, without a collection of garbage; and what is not is
bounded."""

from __future__ import annotations

import gc
import json
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from branchline.runtime.channel import Channel
from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.workers import Workers
from branchline.runtime.engine import garbage, loading
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine.process import run
from branchline.runtime.engine_protocol import EngineStop, StepEvents, Submit
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import (
    MAX_FRAME_BYTES,
    Choices,
    Constraint,
    Ebnf,
    Island,
    Islands,
    JsonSchema,
    LogprobParams,
    Regex,
    SamplingParams,
    Text,
    encode,
)

NUM_REQUESTS = 12
NUMBERS = count(1)


@pytest.fixture
def no_collections() -> Iterator[None]:
    garbage.begin()  # pytest holds half a million objects
    yield
    garbage.end()


@pytest.fixture(scope="module")
def core() -> Iterator[EngineCore]:
    """With a cache that keeps one grammar."""
    config = EngineConfig(kv_slots=4096, num_threads=1)
    tokenizer, runner = loading.load_tokenizer(config), loading.load_runner(config)
    limits = GrammarLimits(cache_bytes=1)
    workers = Workers(limits)
    compiler = GrammarCompiler(tokenizer, runner.vocab_size, limits, workers=workers)
    yield EngineCore(config, runner, tokenizer, compiler, strict=True)
    workers.close()


def ask(core: EngineCore, constraint: Constraint | None = None, **wishes: object) -> int:
    number = next(NUMBERS)
    params = SamplingParams(**{"max_new_tokens": 24, "temperature": 1.0, **wishes})
    ids = core.tokenizer.encode([Text(f"Request {number}:")])
    core.submit(Submit(number, ids, params, constraint))
    return number


def plain(core: EngineCore) -> None:
    for _ in range(3):
        ask(core, presence_penalty=0.3)
    ids = core.tokenizer.encode([Text("Once upon a time")])
    sampling = SamplingParams(max_new_tokens=5)
    core.submit(Submit(next(NUMBERS), ids, sampling, None, logprobs=LogprobParams(top=2)))


def dropped(core: EngineCore) -> None:
    number = ask(core, max_new_tokens=100)
    core.step()
    core.drop(number)


def not_taken(core: EngineCore) -> None:
    with pytest.raises(RequestError):
        ask(core, temperature=-1.0)


def new_grammars(core: EngineCore) -> None:
    number = next(NUMBERS)
    ask(core, JsonSchema(json.dumps({"type": ["array", "object"], "title": str(number)})))
    ask(core, Choices([f"choice {number} of {place}" for place in range(40)]))
    ask(core, Ebnf(f'root ::= "({number}" root ")" | [a-z]+'))
    ask(core, Islands([Island(f"<n{number}>", Regex("[0-9]{1,9}"), "</n>")]))


def refused(core: EngineCore) -> None:
    ask(core, Regex(rf"(a)\1{next(NUMBERS)}"))
    bounds = {"type": "integer", "minimum": 2 + next(NUMBERS), "maximum": 1}
    ask(core, JsonSchema(json.dumps(bounds)))


def refused_again(core: EngineCore) -> None:
    ask(core, Regex(r"(b)\1"))


def too_small_a_budget(core: EngineCore) -> None:
    ask(core, Regex("a{200}b"), max_new_tokens=2)


@pytest.mark.parametrize(
    "requests",
    [plain, dropped, not_taken, new_grammars, refused, refused_again, too_small_a_budget],
)
def test_requests_leave_nothing_that_only_a_collection_finds(
    core: EngineCore, no_collections: None, requests: Callable[[EngineCore], None]
) -> None:
    def serve(times: int) -> None:
        for _ in range(times):
            requests(core)
            while core.has_work:
                core.step()
        core.flush_cache()

    serve(3)
    gc.collect()
    serve(NUM_REQUESTS)
    assert gc.collect() < NUM_REQUESTS


class Circle:
    """Garbage that counting references never frees."""

    alive = 0

    def __init__(self) -> None:
        self.itself = self
        Circle.alive += 1
        weakref.finalize(self, self._gone)

    @staticmethod
    def _gone() -> None:
        Circle.alive -= 1


class CirclesCore:
    """Leaves ten circles with every step, and then ends."""

    def __init__(self, num_steps: int) -> None:
        self.num_left = num_steps
        self.most_alive = 0
        self.rests = threading.Event()

    @property
    def has_work(self) -> bool:
        if not self.num_left:
            self.rests.set()
        return self.num_left > 0

    def step(self) -> StepEvents:
        self.num_left -= 1
        for _ in range(10):
            Circle()
        self.most_alive = max(self.most_alive, Circle.alive)
        return StepEvents()


def turn(core: CirclesCore, until: Callable[[], bool]) -> None:
    outer, inner = (Channel(end, MAX_FRAME_BYTES) for end in socket.socketpair())
    loop = threading.Thread(target=run, args=(core, inner), daemon=True)
    loop.start()
    assert core.rests.wait(60)
    while not until():
        assert loop.is_alive()
    outer.send(encode(EngineStop()))
    loop.join(60)
    outer.close()


def test_a_loop_that_never_rests_keeps_garbage_within_bounds(
    no_collections: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "_TOO_MANY", 1_000)
    core = CirclesCore(num_steps=1_000)
    turn(core, until=lambda: True)
    assert 0 < core.most_alive <= 1_000


def test_a_loop_at_rest_collects(no_collections: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "_WORTH_IT", 100)
    core = CirclesCore(num_steps=100)
    turn(core, until=lambda: Circle.alive == 0)
    assert core.most_alive == 1_000


def test_what_was_loaded_is_left_out_and_nothing_comes_by_itself() -> None:
    try:
        garbage.begin()
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 10_000
    finally:
        garbage.end()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
