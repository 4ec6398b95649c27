"""Faults planted in the model and in sampling: only those to blame fail, and the engine lives."""

from __future__ import annotations

import pytest
import torch
from hash_runner import HashRunner
from world import World

from branchline.runtime.engine import choose
from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.sampling import Sampled

PROMPTS = [[10 + i, 5, 9, 2, 7, 7, 1] for i in range(6)]
POISON = 60


class FaultyRunner(HashRunner):
    """Raises at call number `at_call`, and whenever the batch has `poison` among its new tokens."""

    def __init__(self, at_call: int = 0, poison: int = -1, num_slots: int = 1_000) -> None:
        super().__init__(num_slots)
        self.at_call = at_call
        self.poison_token = poison

    def forward(self, batch: ForwardBatch) -> torch.Tensor:
        if self.poison_token in batch.token_ids.tolist():
            raise RuntimeError("planted: poison")
        if self.num_calls + 1 == self.at_call:
            self.num_calls += 1
            raise RuntimeError("planted: this call")
        return super().forward(batch)


@pytest.mark.parametrize("at_call", range(1, 12))
def test_a_step_that_fails_once_costs_nobody_anything(at_call: int) -> None:
    world = World(runner=FaultyRunner(at_call=at_call))
    all_heard = [world.submit(prompt, 8, ignore_eos=True) for prompt in PROMPTS]
    world.run()
    for heard in all_heard:
        world.assert_right(heard)
    world.assert_idle()


@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("chunk_tokens", [4, 512])
def test_a_sequence_that_breaks_every_step_fails_alone(place: int, chunk_tokens: int) -> None:
    world = World(runner=FaultyRunner(poison=POISON), chunk_tokens=chunk_tokens)
    prompts = [list(prompt) for prompt in PROMPTS]
    prompts[2][place] = POISON
    all_heard = [world.submit(prompt, 3, ignore_eos=True) for prompt in prompts]
    world.run()
    bad = all_heard.pop(2)
    assert bad.failed is not None
    assert bad.failed.code == "internal"
    for heard in all_heard:
        if POISON not in heard.token_ids[:-1] and heard.failed is None:
            world.assert_right(heard)
    assert sum(heard.failed is None for heard in all_heard) >= 4
    world.assert_idle()


def test_a_model_that_is_broken_for_good_fails_each_sequence_and_takes_new_ones() -> None:
    class Dead(HashRunner):
        alive = False

        def forward(self, batch: ForwardBatch) -> torch.Tensor:
            if not self.alive:
                raise RuntimeError("planted: dead")
            return super().forward(batch)

    runner = Dead(1_000)
    world = World(runner=runner)
    all_heard = [world.submit(prompt, 8) for prompt in PROMPTS]
    world.run()
    assert all(heard.failed and heard.failed.code == "internal" for heard in all_heard)
    world.assert_idle()
    runner.alive = True
    later = world.submit(PROMPTS[0], 8)
    world.run()
    world.assert_right(later)


def test_a_failed_sequence_leaves_nothing_of_the_failed_step_in_the_cache() -> None:
    world = World(runner=FaultyRunner(poison=POISON), chunk_tokens=4)
    world.submit([1, 2, 3, 4, 5, POISON, 7], 3)
    world.run()
    assert world.core.stats()["cached_tokens"] == 4


def test_not_a_number_from_the_model_fails_that_row_only() -> None:
    class Nan(HashRunner):
        def forward(self, batch: ForwardBatch) -> torch.Tensor:
            logits = super().forward(batch)
            if len(logits) == len(PROMPTS):
                logits[1] = torch.nan
            return logits

    world = World(runner=Nan(1_000))
    all_heard = [world.submit(prompt, 4) for prompt in PROMPTS]
    world.run()
    bad = all_heard.pop(1)
    assert bad.failed is not None
    for heard in all_heard:
        world.assert_right(heard)
    world.assert_idle()


def test_sampling_that_raises_for_one_sequence_fails_that_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = choose.sample

    def faulty(logits, states, *how) -> Sampled:  # type: ignore[no-untyped-def]
        if any(state.params.top_k == 7 for state in states):
            raise RuntimeError("planted: sampling")
        return real(logits, states, *how)

    monkeypatch.setattr(choose, "sample", faulty)
    world = World()
    good, bad = world.submit(PROMPTS[0], 4), world.submit(PROMPTS[1], 4, top_k=7)
    world.run()
    assert bad.failed is not None
    assert bad.failed.code == "internal"
    world.assert_right(good)
    world.assert_idle()


def test_padding_columns_of_the_logits_are_never_sampled() -> None:
    class Padded(HashRunner):
        """Its logits prefer columns that no token of the tokenizer has."""

        def forward(self, batch: ForwardBatch) -> torch.Tensor:
            logits = torch.nn.functional.pad(super().forward(batch), (0, 67))
            logits[:, 61:] = 9.0
            return logits

    runner = Padded(1_000, vocab_size=128)
    world = World(runner=runner, vocab_size=61)
    runner.vocab_size = 61
    heard = world.submit(PROMPTS[0], 12)
    world.run()
    world.assert_right(heard)
