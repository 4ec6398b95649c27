"""CPU attention against the definition in float64: random shapes over a pool of NaN."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from branchline.runtime.kernels.cpu.attention import CpuAttention
from branchline.runtime.kernels.cpu.library import CpuKernels
from branchline.runtime.kernels.torch_attention import TorchAttention

# Of a value near 1; the stored bfloat16 is what the reference reads, too.
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 2e-2}
# Odd numbers of heads, dimensions that are no multiple of a vector, one KV head, no grouping.
SHAPES = [(4, 2, 8), (3, 3, 20), (14, 2, 64), (7, 1, 6), (12, 4, 64), (8, 2, 96), (1, 1, 128)]
WINDOWS = [None, 1, 5, 70]


def attend(kernels: CpuKernels, step: Any, window: int | None = None) -> torch.Tensor:
    """Through the interface's parts, into an output full of NaN."""
    heads, head_dim = step.q.shape[1:]
    attention = CpuAttention(kernels, heads, step.k.shape[1], head_dim)
    plan = attention.plan(step.batch)
    attention.store_kv(step.k, step.v, step.layer_kv, plan)
    out = torch.full_like(step.q, torch.nan)
    attention.decode_attention(step.q, step.layer_kv, plan, window, out)
    attention.extend_attention(step.q, step.layer_kv, plan, window, out)
    return out.flatten(1)


def assert_same(ours: torch.Tensor, naive: torch.Tensor) -> None:
    torch.testing.assert_close(ours.double(), naive, rtol=0, atol=TOLERANCE[ours.dtype])


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_mixed_steps_match_the_definition(
    steps: Any,
    kernels: CpuKernels,
    dtype: torch.dtype,
    shape: tuple[int, int, int],
    window: int | None,
) -> None:
    rng = random.Random(f"{shape} {window}")
    heads, kv_heads, head_dim = shape
    for seed in range(2):
        query_lens = [rng.choice([1, 1, 1, 2, 7, 30]) for _ in range(rng.randint(1, 7))]
        lens = [length + rng.choice([0, 0, 1, 20, 90]) for length in query_lens]
        step = steps.make(
            query_lens,
            steps.contexts(rng, lens),
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            dtype=dtype,
            seed=seed,
        )
        assert_same(attend(kernels, step, window), steps.naive(step, window))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_keys_and_values_in_int8_are_attended_to_as_they_are_stored(
    steps: Any, kernels: CpuKernels, dtype: torch.dtype, shape: tuple[int, int, int]
) -> None:
    heads, kv_heads, head_dim = shape
    rng = random.Random(head_dim)
    trunk, *own = steps.contexts(rng, [150, 1, 30, 1, 1, 70])
    step = steps.make(
        [1, 30, 1, 1, 7],
        [trunk + slots for slots in own],
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        dtype=dtype,
        kv_dtype=torch.int8,
    )
    for window in (None, 33):
        assert_same(attend(kernels, step, window), steps.naive(step, window))
        reference = TorchAttention(heads, kv_heads, head_dim)
        torchs = reference.attend(
            step.q, step.k, step.v, step.layer_kv, reference.plan(step.batch), window
        )
        assert_same(torchs, steps.naive(step, window))


def tree_of_contexts(steps: Any, rng: random.Random, branches: int) -> list[list[int]]:
    """Sequences over a trunk, some over a second trunk on it, some with nothing in common, some
    that go on where another one ends."""
    trunk, limb, *own = steps.contexts(
        rng, [rng.randint(1, 700), rng.randint(1, 90), *(rng.randint(1, 50),) * branches]
    )
    kinds = [[], trunk, trunk[: len(trunk) // 2], trunk + limb]
    return [rng.choice(kinds) + slots for slots in own]


@pytest.mark.parametrize("window", [None, 33])
@pytest.mark.parametrize("branches", [2, 9, 64])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_decoding_over_a_tree_matches_the_definition(
    steps: Any, kernels: CpuKernels, dtype: torch.dtype, branches: int, window: int | None
) -> None:
    rng = random.Random(branches)
    contexts = tree_of_contexts(steps, rng, branches)
    step = steps.make(
        [1] * branches, contexts, heads=3, kv_heads=1, head_dim=24, num_slots=5000, dtype=dtype
    )
    assert_same(attend(kernels, step, window), steps.naive(step, window))


@pytest.mark.parametrize("head_dim", [24, 64, 80])
@pytest.mark.parametrize("group", range(1, 10))
def test_any_number_of_rows_decodes_over_several_blocks_of_keys(
    steps: Any, kernels: CpuKernels, group: int, head_dim: int
) -> None:
    """Up to eight rows read keys as they lie, as many at a time as registers have room for."""
    step = steps.make(
        [1] * 5,
        steps.contexts(random.Random(group), [1, 16, 64, 65, 200]),
        heads=2 * group,
        kv_heads=2,
        head_dim=head_dim,
        dtype=torch.bfloat16,
    )
    for window in (None, 1, 70):
        assert_same(attend(kernels, step, window), steps.naive(step, window))


def test_keys_in_common_are_read_once(steps: Any, kernels: CpuKernels) -> None:
    shared, *own = steps.contexts(random.Random(0), [600, *([10] * 8)])
    step = steps.make([1] * 8, [shared + slots for slots in own])
    attention = CpuAttention(kernels, 4, 2, 8)
    assert attention.shared_keys(attention.plan(step.batch)) == 7 * 600


@pytest.mark.parametrize(("heads", "branches"), [(1, 300), (3, 90), (7, 64)])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_trunks_of_more_rows_and_keys_than_one_call_takes_match_the_definition(
    steps: Any, kernels: CpuKernels, heads: int, branches: int, dtype: torch.dtype
) -> None:
    """Up to 256 rows meet keys that were packed once, up to 1,024 keys at a time."""
    trunk, *own = steps.contexts(random.Random(9), [1500, *([3] * branches)], 4000)
    step = steps.make(
        [1] * branches,
        [trunk + slots for slots in own],
        heads=heads,
        kv_heads=1,
        head_dim=16,
        dtype=dtype,
        num_slots=4000,
    )
    for window in (None, 700):
        assert_same(attend(kernels, step, window), steps.naive(step, window))


def test_keys_are_read_once_for_as_many_rows_as_one_call_takes(
    steps: Any, kernels: CpuKernels
) -> None:
    shared, *own = steps.contexts(random.Random(0), [600, *([3] * 65)])
    step = steps.make([1] * 65, [shared + slots for slots in own], heads=8, kv_heads=2)
    attention = CpuAttention(kernels, 8, 2, 8)
    assert attention.shared_keys(attention.plan(step.batch)) == 63 * 600


def test_a_prefix_within_a_prefix_is_read_once_too(steps: Any, kernels: CpuKernels) -> None:
    trunk, left, right, *own = steps.contexts(random.Random(0), [100, 50, 60, *([3] * 6)])
    middle = [left] * 3 + [right] * 3
    contexts = [trunk + limb + slots for limb, slots in zip(middle, own, strict=True)]
    step = steps.make([1] * 6, contexts)
    attention = CpuAttention(kernels, 4, 2, 8)
    assert attention.shared_keys(attention.plan(step.batch)) == 5 * 100 + 2 * 50 + 2 * 60


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("query_lens", [[1], [1] * 5, [33], [2, 1, 65]])
def test_contexts_of_four_thousand_match_torch(
    steps: Any, kernels: CpuKernels, query_lens: list[int], dtype: torch.dtype
) -> None:
    rng = random.Random(1)
    lens = [4096 - rng.randint(0, 40) for _ in query_lens]
    step = steps.make(
        query_lens,
        steps.contexts(rng, lens, 21_000),
        num_slots=21_000,
        dtype=torch.float64,
        head_dim=16,
    )
    reference = TorchAttention(4, 2, 16)
    expected = reference.attend(
        step.q, step.k, step.v, step.layer_kv, reference.plan(step.batch), None
    )
    ours = steps.make(
        query_lens,
        [slots.tolist() for slots in step.batch.context_slots],
        num_slots=21_000,
        dtype=dtype,
        head_dim=16,
    )
    assert_same(attend(kernels, ours), expected)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_two_threads_give_what_one_gives(
    steps: Any, kernels: CpuKernels, dtype: torch.dtype
) -> None:
    rng = random.Random(5)
    contexts = tree_of_contexts(steps, rng, 12)
    contexts += [
        [slot + 4096 for slot in slots] for slots in steps.contexts(random.Random(6), [700, 40])
    ]
    step = steps.make([1] * 12 + [300, 9], contexts, dtype=dtype, head_dim=64, num_slots=9000)
    alone = attend(kernels, step)
    torch.set_num_threads(2)
    torch.testing.assert_close(attend(kernels, step), alone, rtol=0, atol=0)


def test_two_plans_can_be_alive_at_once(steps: Any, kernels: CpuKernels) -> None:
    rng = random.Random(3)
    made = [
        steps.make([1, 3], steps.contexts(rng, [40 + n, 9]), dtype=torch.float32) for n in range(2)
    ]
    attention = CpuAttention(kernels, 4, 2, 8)
    plans = [attention.plan(step.batch) for step in made]
    for step, plan in zip(made, plans, strict=True):
        out = attention.attend(step.q, step.k, step.v, step.layer_kv, plan, None)
        assert_same(out, steps.naive(step, None))


def test_large_scores_do_not_overflow(steps: Any, kernels: CpuKernels) -> None:
    step = steps.make([1, 20], steps.contexts(random.Random(4), [90, 120]), dtype=torch.float32)
    step.q.mul_(200.0)
    ours, naive = attend(kernels, step), steps.naive(step, None)
    torch.testing.assert_close(ours.double(), naive, rtol=0, atol=2e-3)


@pytest.mark.parametrize("rise", [0.004, 0.02, 0.08])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_maxima_that_rise_from_key_to_key_are_followed(
    steps: Any, kernels: CpuKernels, dtype: torch.dtype, rise: float
) -> None:
    """By less than what a kernel lets pass between two blocks of keys, by about it, and by more."""
    head_dim = 64
    step = steps.make(
        [1, 700],
        steps.contexts(random.Random(8), [700, 1000], 2000),
        dtype=dtype,
        head_dim=head_dim,
        num_slots=2000,
    )
    step.q[..., 0] = head_dim**0.5
    contexts = step.batch.context_slots
    for slots in contexts:
        step.layer_kv.k[slots, :, 0] = (torch.arange(len(slots)) * rise).to(dtype)[:, None]
    step.k[0, :, 0], step.k[1:, :, 0] = 699 * rise, (300 + torch.arange(700)).mul(rise)[:, None]
    ours, naive = attend(kernels, step), steps.naive(step, None)
    # Scores of 80 have no more digits in float32.
    torch.testing.assert_close(ours.double(), naive, rtol=0, atol=max(2e-4, TOLERANCE[dtype]))


@pytest.mark.parametrize(("heads", "length"), [(1, 2100), (3, 700), (7, 300)])
def test_prompts_of_more_rows_than_one_call_takes_match_the_definition(
    steps: Any, kernels: CpuKernels, heads: int, length: int
) -> None:
    """Up to 256 rows meet keys that were packed once; behind 300 cached tokens, in a window too."""
    for window in (None, 100):
        step = steps.make(
            [length, 65],
            steps.contexts(random.Random(9), [length + 300, 65], 4000),
            heads=heads,
            kv_heads=1,
            head_dim=16,
            dtype=torch.bfloat16,
            num_slots=4000,
        )
        assert_same(attend(kernels, step, window), steps.naive(step, window))


def test_strided_queries_that_are_not_whole_heads_are_refused(
    steps: Any, kernels: CpuKernels
) -> None:
    step = steps.make([1, 2], steps.contexts(random.Random(4), [5, 6]), dtype=torch.float32)
    step.q = step.q.repeat(1, 1, 2)[..., ::2]
    with pytest.raises(ValueError, match="contiguous"):
        attend(kernels, step)
