"""Torch attention against the definition in float64."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch

from branchline.runtime.kernels.torch_attention import TorchAttention, merge, partial_attention

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 4e-2}
HEADS = [(4, 2), (4, 1), (3, 3), (8, 2)]


def attend(step: Any, window: int | None = None) -> torch.Tensor:
    attention = TorchAttention(step.q.shape[1], step.k.shape[1], step.q.shape[2])
    plan = attention.plan(step.batch)
    return attention.attend(step.q, step.k, step.v, step.layer_kv, plan, window)


def assert_same(ours: torch.Tensor, naive: torch.Tensor) -> None:
    torch.testing.assert_close(ours.double(), naive, rtol=0, atol=TOLERANCE[ours.dtype])


@pytest.mark.parametrize("window", [None, 1, 5, 40])
@pytest.mark.parametrize(("heads", "kv_heads"), HEADS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_mixed_steps_match_the_definition(
    steps: Any, dtype: torch.dtype, heads: int, kv_heads: int, window: int | None
) -> None:
    rng = random.Random(f"{heads} {kv_heads} {window}")
    for round_ in range(3):
        query_lens = [rng.choice([1, 1, 1, 2, 7, 30]) for _ in range(rng.randint(1, 9))]
        lens = [length + rng.choice([0, 0, 1, 20, 60]) for length in query_lens]
        contexts = steps.contexts(rng, lens)
        step = steps.make(
            query_lens, contexts, heads=heads, kv_heads=kv_heads, dtype=dtype, seed=round_
        )
        assert_same(attend(step, window), steps.naive(step, window))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_decode_over_a_shared_prefix_matches_the_definition(steps: Any, dtype: torch.dtype) -> None:
    rng = random.Random(0)
    shared, *own = steps.contexts(rng, [120, *(rng.randint(1, 20) for _ in range(12))])
    contexts = [shared + slots for slots in own]
    step = steps.make([1] * 12, contexts, dtype=dtype)
    assert TorchAttention(4, 2, 8).plan(step.batch).decode[0].shared_keys == 120
    assert_same(attend(step), steps.naive(step, None))


@pytest.mark.parametrize("window", [None, 9])
def test_sequences_that_share_all_but_the_last_token_match_the_definition(
    steps: Any, window: int | None
) -> None:
    shared, own = steps.contexts(random.Random(1), [200, 10])
    step = steps.make([1] * 10, [[*shared, slot] for slot in own], dtype=torch.float32)
    assert_same(attend(step, window), steps.naive(step, window))


@pytest.mark.parametrize("query_len", [1, 4, 30])
def test_slots_that_follow_one_another_match_the_definition(steps: Any, query_len: int) -> None:
    step = steps.make([query_len], [list(range(100, 130))], dtype=torch.float32)
    assert_same(attend(step), steps.naive(step, None))


def test_storing_touches_only_the_new_slots(steps: Any) -> None:
    step = steps.make([1, 3], steps.contexts(random.Random(2), [5, 9]))
    before = step.layer_kv.heads.clone()
    attend(step)
    torch.testing.assert_close(step.layer_kv.k[step.batch.new_slots], step.k)
    torch.testing.assert_close(step.layer_kv.v[step.batch.new_slots], step.v)
    others = torch.ones(before.shape[1], dtype=torch.bool)
    others[step.batch.new_slots] = False
    torch.testing.assert_close(
        step.layer_kv.heads[:, others], before[:, others], rtol=0, atol=0, equal_nan=True
    )


def parts_of_attention(cuts: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Any]:
    """(outputs, log_sums) of the parts between `cuts`, and both of the whole."""
    generator = torch.Generator().manual_seed(5)
    q = torch.randn(6, 4, 8, generator=generator, dtype=torch.float64) * 3
    k, v = (torch.randn(20, 2, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    allowed = torch.rand(6, 20, generator=generator) < 0.6
    allowed[:, 0] = True
    ends = [0, *cuts, 20]
    parts = [
        partial_attention(q, k[a:b], v[a:b], allowed[:, a:b]) for a, b in itertools.pairwise(ends)
    ]
    outputs, log_sums = (torch.stack(x) for x in zip(*parts, strict=True))
    return outputs, log_sums, *partial_attention(q, k, v, allowed)


@pytest.mark.parametrize("cuts", [[], [10], [1, 2, 3], [5, 5, 19]])
def test_merged_parts_are_the_attention_over_all_keys(cuts: list[int]) -> None:
    outputs, log_sums, whole, log_sum = parts_of_attention(cuts)
    merged, merged_log_sum = merge(outputs, log_sums)
    torch.testing.assert_close(merged, whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(merged_log_sum, log_sum, rtol=0, atol=1e-12)


def test_merge_is_associative() -> None:
    outputs, log_sums, *_ = parts_of_attention([4, 9, 15])
    left = merge(outputs[:2], log_sums[:2])
    right = merge(outputs[2:], log_sums[2:])
    pairs = [torch.stack(x) for x in zip(left, right, strict=True)]
    for ours, all_at_once in zip(merge(*pairs), merge(outputs, log_sums), strict=True):
        torch.testing.assert_close(ours, all_at_once, rtol=0, atol=1e-12)


def test_a_part_without_keys_for_a_query_does_not_count() -> None:
    outputs, log_sums, whole, _ = parts_of_attention([10])
    nothing = torch.full_like(outputs[:1], torch.nan)
    none = torch.full_like(log_sums[:1], -torch.inf)
    merged, _ = merge(torch.cat((outputs, nothing)), torch.cat((log_sums, none)))
    torch.testing.assert_close(merged, whole, rtol=0, atol=1e-12)
