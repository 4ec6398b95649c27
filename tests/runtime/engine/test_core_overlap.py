"""Random traffic on the hash-chain model where steps are queued before the tokens of the last are
read, and what is queued is done as late as can be: every output exact, every slot owned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hash_runner import HashRunner, SlotMismatch
from script_grammar import Script, ScriptCompiler, named
from test_core_random import Traffic
from world import World

from branchline.runtime.device.base import FetchAll, Replay
from branchline.runtime.device.cpu import CpuDevice
from branchline.runtime.engine import overlap
from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.engine.pays import Pays
from branchline.runtime.sampling import SamplingState, sample


class Drawer:
    """Draws as a device does: nobody sees the tokens until they are read."""

    def __init__(self) -> None:
        self._inputs: tuple[Any, ...] = ()

    def load(
        self,
        states: Sequence[SamplingState],
        masks: Sequence[Any] | None = None,
        ahead: Sequence[int] | None = None,
        /,
    ) -> None:
        self._inputs = states, masks, ahead

    def launch(self, logits: torch.Tensor, /) -> torch.Tensor:
        return self.queued()(logits)

    def queued(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """The drawing of what was loaded last."""
        inputs = self._inputs

        def draw(logits: torch.Tensor) -> torch.Tensor:
            sampled = sample(logits, *inputs)
            assert not sampled.failures
            return torch.tensor(sampled.token_ids)

        return draw


class LateCpu(CpuDevice):
    """A CPU with a queue whose work is done when somebody waits for it, not before; until then
    what it makes is nonsense."""

    is_asynchronous = True

    def __init__(self) -> None:
        super().__init__()
        self.work: list[Callable[[], None]] = []
        self.num_done = 0

    def sampler(self, max_rows: int, vocab_size: int) -> Drawer:
        return Drawer()

    def later(self, made: torch.Tensor, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        self.work.append(lambda: made.copy_(make()))
        return made

    def draw(self, sampler: Any, logits: torch.Tensor) -> torch.Tensor:
        draw = sampler.queued()
        return self.later(torch.full((len(logits),), -77), lambda: draw(logits))

    def pick(self, drawn: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return self.later(torch.full((len(rows),), -77), lambda: drawn[rows])

    def fetch(self, tensor: torch.Tensor) -> Replay:
        wait = self.until(self.num_done + len(self.work))
        return lambda: (wait(), tensor)[1]

    def fetch_all(self, compute: Callable[[], Sequence[torch.Tensor]]) -> FetchAll:
        wait = self.until(self.num_done + len(self.work))
        return lambda: (wait(), list(compute()))[1]

    def until(self, number: int) -> Callable[[], None]:
        def wait() -> None:
            while self.num_done < number:
                self.work.pop(0)()
                self.num_done += 1

        return wait

    def catch_up(self) -> None:
        self.until(self.num_done + len(self.work))()


@pytest.fixture(autouse=True)
def _queued(monkeypatch: pytest.MonkeyPatch) -> None:
    device = LateCpu()
    compute = HashRunner.forward

    def forward(self: HashRunner, batch: ForwardBatch) -> torch.Tensor:
        if not batch.is_ahead:
            device.catch_up()
            return compute(self, batch)
        nothing = torch.full((len(batch.query_lens), self.vocab_size), torch.nan)
        return device.later(nothing, lambda: row_by_row(self, batch))

    def row_by_row(runner: HashRunner, batch: ForwardBatch) -> torch.Tensor:
        """Sequences may have ended since the step was queued, and their slots be others'; what
        comes of them must not matter, so it is wrong."""
        rows = []
        for i, slots in enumerate(batch.context_slots):
            one = slice(i, i + 1)
            ids, places, into = batch.token_ids[one], batch.positions[one], batch.new_slots[one]
            alone = ForwardBatch(ids, places, into, [1], [slots], torch.zeros(1, dtype=torch.int64))
            try:
                rows.append(compute(runner, alone))
            except SlotMismatch:
                rows.append(torch.ones(1, runner.vocab_size))
        return torch.cat(rows)

    monkeypatch.setattr(HashRunner, "device", device)
    monkeypatch.setattr(HashRunner, "forward", forward)


@pytest.mark.parametrize(
    ("seed", "large", "num_tokens"), [*((seed, False, 700) for seed in range(6)), (50, True, 6_000)]
)
def test_random_traffic_with_steps_ahead_is_exact_and_leaks_nothing(
    seed: int, large: bool, num_tokens: int
) -> None:
    traffic = Traffic(seed, large, speculation="off", overlap="on")
    traffic.run(num_tokens)
    traffic.step()  # hear of heirs that ended in the very step in which they began
    assert not traffic.live
    traffic.world.assert_idle()


def test_drafts_and_steps_ahead_get_along() -> None:
    traffic = Traffic(7, large=False, speculation="always", overlap="on")
    traffic.run(700)
    traffic.world.assert_idle()


def test_nearly_all_steps_of_a_steady_batch_run_ahead() -> None:
    world = World(max_running=8, speculation="off", overlap="on")
    all_heard = [world.submit([1 + i, 7, 9], 30 + i, ignore_eos=True) for i in range(8)]
    world.run()
    for heard in all_heard:
        world.assert_right(heard)
    stats = world.core.stats()
    assert stats["steps_ahead"] >= 35
    assert stats["steps"] - stats["steps_ahead"] <= 3


def test_who_waits_for_a_place_gets_it_as_soon_as_one_is_free() -> None:
    world = World(max_running=2, policy="fcfs", speculation="off", overlap="on")
    first, second = (world.submit([3, 4 + i], 4 + 20 * i, ignore_eos=True) for i in range(2))
    third = world.submit([8, 8], 5, ignore_eos=True)
    while not first.over:
        world.step()
    for _ in range(3):
        world.step()
    assert third.num_progress > 0
    world.run()
    for heard in (first, second, third):
        world.assert_right(heard)


def test_what_was_drawn_is_told_before_a_step_that_was_not_queued() -> None:
    world = World(speculation="off", overlap="on")
    heard = world.submit([3, 4], 20, ignore_eos=True)
    while len(heard.token_ids) < 5:
        world.step()
    newcomer = world.submit([5, 6, 7, 8, 9, 10], 5, ignore_eos=True)
    told, computed = len(heard.token_ids), world.core.stats()["computed_tokens"]
    world.step()
    assert len(heard.token_ids) == told + 1
    assert world.core.stats()["computed_tokens"] == computed
    world.run()
    for one in (heard, newcomer):
        world.assert_right(one)


def test_what_was_drawn_is_told_before_the_next_mask_is_found() -> None:
    compiler = ScriptCompiler({"any": Script([set(range(2, 60))] * 20)})
    world = World(compiler=compiler, speculation="off", overlap="on")
    heard = world.submit([3, 4], 20, constraint=named("any"))
    while not heard.token_ids:
        world.step()
    (seq,) = world.core.sequences
    for _ in range(10):
        world.step()
        assert len(seq.matcher.remaining) == len(heard.token_ids)
    assert len(heard.token_ids) > 5
    assert world.core.stats()["steps_ahead"] > 5


class Crowd:
    """A free sequence and one with a grammar, on a CPU with so many cores."""

    def __init__(self, patch: pytest.MonkeyPatch, num_cores: int, step_s: float) -> None:
        patch.setattr(overlap, "num_cores", lambda: num_cores)
        patch.setattr(Pays, "runs_ahead", lambda self, num_seqs, now_s: True)
        patch.setattr(Pays, "step_s", step_s)
        self.compiler = ScriptCompiler({"slow": Script([{11}])})
        self.world = World(compiler=self.compiler, speculation="off", overlap="auto")
        self.free = self.world.submit([3, 4], 200, ignore_eos=True)
        assert self.steps_ahead(10) > 5
        self.asks = self.world.submit([5, 6], 5, constraint=named("slow"))

    def steps_ahead(self, num_steps: int) -> int:
        before = self.world.core.stats()["steps_ahead"]
        for _ in range(num_steps):
            self.world.step()
        return int(self.world.core.stats()["steps_ahead"] - before)

    @property
    def is_begun(self) -> bool:
        return not self.world.core._compiling._waiting

    def end(self) -> None:
        self.compiler.gate.set()
        self.world.run()
        assert self.asks.token_ids == [11]
        self.world.assert_right(self.free)


def test_no_step_runs_ahead_while_a_grammar_needs_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(monkeypatch, torch.get_num_threads() + 1, step_s=0.1)
    assert crowd.is_begun
    told = len(crowd.free.token_ids)
    assert crowd.steps_ahead(20) == 0
    assert len(crowd.free.token_ids) > told + 10
    crowd.compiler.gate.set()
    while not crowd.asks.over:
        crowd.world.step()
    assert crowd.steps_ahead(20) > 10
    crowd.end()


def test_steps_run_ahead_beside_a_grammar_that_has_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(monkeypatch, torch.get_num_threads() + 2, step_s=0.001)
    assert crowd.is_begun
    assert crowd.steps_ahead(20) > 10
    crowd.end()


def test_a_grammar_waits_for_a_short_step_that_is_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(monkeypatch, torch.get_num_threads() + 1, step_s=0.001)
    assert not crowd.is_begun
    crowd.steps_ahead(3)
    assert crowd.is_begun
    assert not crowd.asks.over
    crowd.end()
