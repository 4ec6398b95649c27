"""Sampling at random in the engine core: streams of their own, whatever runs beside them."""

from __future__ import annotations

import torch
from hash_runner import HashRunner, HashTokenizer
from world import NoCompiler

from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine_protocol import Submit
from branchline.runtime.protocol import SamplingParams

PROMPT = [10, 5, 9, 2, 7, 7, 1]


class FlatRunner(HashRunner):
    """Every token is as likely as any other."""

    def forward(self, batch: ForwardBatch) -> torch.Tensor:
        return torch.zeros_like(super().forward(batch))


def engine(num_slots: int = 1_000, **config: object) -> EngineCore:
    return EngineCore(EngineConfig(**config), FlatRunner(num_slots), HashTokenizer(), NoCompiler())


def run(core: EngineCore, seeds: list[int | None], num_tokens: int = 12) -> list[list[int]]:
    """One output for each seed, all run together."""
    for sid, seed in enumerate(seeds):
        params = SamplingParams(max_new_tokens=num_tokens, ignore_eos=True, seed=seed)
        core.submit(Submit(sid, [sid + 1, *PROMPT], params))
    outputs: list[list[int]] = [[] for _ in seeds]
    while core.has_work:
        for progress in core.step().progress:
            outputs[progress.sid] += progress.token_ids
    return outputs


def test_equal_seeds_give_equal_outputs_and_no_seed_a_fresh_one() -> None:
    first, second, third, fourth = run(engine(), [3, 3, None, None])
    assert first == second
    assert len({tuple(first), tuple(third), tuple(fourth)}) == 3


def test_the_engines_own_seed_decides_the_rest() -> None:
    assert run(engine(seed=1), [None] * 3) == run(engine(seed=1), [None] * 3)
    assert run(engine(seed=1), [None] * 3) != run(engine(seed=2), [None] * 3)


def test_a_seeded_output_does_not_depend_on_what_runs_beside_it() -> None:
    alone = run(engine(), [7])[0]
    assert run(engine(), [7, 8, None, 9])[0] == alone


def test_retraction_does_not_disturb_the_random_stream() -> None:
    seeds: list[int | None] = [1, 2, 3, 4]
    core = engine(120, max_running=4)
    tight = run(core, seeds, 100)
    assert core.stats()["retractions"] > 0
    assert tight == run(engine(), seeds, 100)
