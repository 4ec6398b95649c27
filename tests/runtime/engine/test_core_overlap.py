"""Random traffic on the hash-chain model where steps are queued before the tokens of the last are
read: every output exact, every slot owned, at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hash_runner import HashRunner
from test_core_random import Traffic
from world import World

from branchline.runtime.device.base import Replay
from branchline.runtime.device.cpu import CpuDevice
from branchline.runtime.sampling import SamplingState, sample


class Drawer:
    """Draws as a device does: nobody sees the tokens until they are read."""

    def __init__(self) -> None:
        self._inputs: tuple[Sequence[SamplingState], Sequence[Any] | None] = ((), None)

    def load(self, states: Sequence[SamplingState], masks: Sequence[Any] | None = None, /) -> None:
        self._inputs = states, masks

    def launch(self, logits: torch.Tensor, /) -> torch.Tensor:
        sampled = sample(logits, *self._inputs)
        assert not sampled.failures
        return torch.tensor(sampled.token_ids)


class QueuedCpu(CpuDevice):
    """A CPU that the engine takes for a device with a queue."""

    is_asynchronous = True

    def sampler(self, max_rows: int, vocab_size: int) -> Drawer:
        return Drawer()

    def fetch(self, tensor: torch.Tensor) -> Replay:
        copied = tensor.clone()
        return lambda: copied


@pytest.fixture(autouse=True)
def _queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HashRunner, "device", QueuedCpu())


@pytest.mark.parametrize(
    ("seed", "large", "num_tokens"), [*((seed, False, 700) for seed in range(6)), (50, True, 6_000)]
)
def test_random_traffic_with_steps_ahead_is_exact_and_leaks_nothing(
    seed: int, large: bool, num_tokens: int
) -> None:
    traffic = Traffic(seed, large, speculation="off")
    traffic.run(num_tokens)
    traffic.step()  # hear of heirs that ended in the very step in which they began
    assert not traffic.live
    traffic.world.assert_idle()


def test_drafts_and_steps_ahead_get_along() -> None:
    traffic = Traffic(7, large=False, speculation="always")
    traffic.run(700)
    traffic.world.assert_idle()


def test_nearly_all_steps_of_a_steady_batch_run_ahead() -> None:
    world = World(max_running=8, speculation="off")
    all_heard = [world.submit([1 + i, 7, 9], 30 + i, ignore_eos=True) for i in range(8)]
    world.run()
    for heard in all_heard:
        world.assert_right(heard)
    stats = world.core.stats()
    assert stats["steps_ahead"] >= 35
    assert stats["steps"] - stats["steps_ahead"] <= 3


def test_who_waits_for_a_place_gets_it_as_soon_as_one_is_free() -> None:
    world = World(max_running=2, policy="fcfs", speculation="off")
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
