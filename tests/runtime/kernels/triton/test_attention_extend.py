"""Extending in Triton against the definition in float64: small shapes over a pool of NaN."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch


def close(ours: torch.Tensor, naive: torch.Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(ours.double(), naive, rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("query_lens", "before"),
    [([3, 2], [0, 70]), ([17, 5], [130, 0]), ([70], [10])],
    ids=["tiles of 16 rows", "tiles of 64 rows", "tiles of 128 rows"],
)
@pytest.mark.parametrize("window", [None, 9])
def test_extending_matches_the_definition(
    steps: Any, attend: Any, query_lens: list[int], before: list[int], window: int | None
) -> None:
    lens = [length + known for length, known in zip(query_lens, before, strict=True)]
    contexts = steps.contexts(random.Random(0), lens)
    step = steps.make(query_lens, contexts, heads=6, head_dim=32, dtype=torch.float32)
    close(attend(step, window), steps.naive(step, window))


def test_few_queries_over_many_keys_are_split_and_merged(steps: Any, attend: Any) -> None:
    contexts = steps.contexts(random.Random(1), [1100, 20])
    step = steps.make([4, 3], contexts, heads=2, kv_heads=1, dtype=torch.float32)
    close(attend(step), steps.naive(step, None))


def test_steps_of_all_kinds_match_the_definition(steps: Any, attend: Any) -> None:
    contexts = steps.contexts(random.Random(2), [90, 12, 33, 1])
    step = steps.make([1, 12, 3, 1], contexts, heads=5, kv_heads=1, dtype=torch.float32)
    close(attend(step), steps.naive(step, None))
