"""The deterministic mode of the C++ kernels: a row's result is the same bits in any company."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
import torch

from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.engine.config import Quantization
from branchline.runtime.kernels.cpu.attention import CpuAttention
from branchline.runtime.kernels.cpu.library import CpuKernels
from branchline.runtime.kernels.cpu.packing import pack

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 2e-2}
# Heads, KV heads, head_dim: one row, a few rows and many rows per query; odd dimensions.
SHAPES = [(2, 2, 64), (6, 2, 20), (9, 1, 64)]


@pytest.fixture
def fixed(kernels: CpuKernels) -> CpuKernels:
    return CpuKernels(kernels.library, kernels.level, deterministic=True)


def attended(
    kernels: CpuKernels, step: Any, parts: list[tuple[int, range]], window: int | None
) -> torch.Tensor:
    """What a step gives in which sequence i has the new tokens at `positions`, for each (i,
    positions) of `parts`; all keys and values are stored already."""
    starts = [sum(step.batch.query_lens[:i]) for i in range(len(step.batch.query_lens))]
    rows = [starts[i] + position for i, positions in parts for position in positions]
    batch = ForwardBatch(
        token_ids=step.batch.token_ids[rows],
        positions=step.batch.positions[rows],
        new_slots=step.batch.new_slots[rows],
        query_lens=[len(positions) for _, positions in parts],
        context_slots=[step.batch.context_slots[i][: positions.stop] for i, positions in parts],
        logit_rows=torch.arange(len(rows)),
    )
    _, heads, head_dim = step.q.shape
    attention = CpuAttention(kernels, heads, step.k.shape[1], head_dim)
    plan = attention.plan(batch)
    q, k, v = step.q[rows], step.k[rows], step.v[rows]
    return attention.attend(q, k, v, step.layer_kv, plan, window)


def prompts(steps: Any, shape: tuple[int, int, int], dtype: torch.dtype) -> Any:
    """Four sequences, all tokens new: two that begin with the same 530, a long and a short one. The
    slots of the shared beginning are the same, and so are its queries, keys and values."""
    heads, kv_heads, head_dim = shape
    rng = random.Random(str(shape))
    trunk, left, right, lone, short = steps.contexts(rng, [530, 60, 7, 700, 3])
    contexts = [trunk + left, trunk + right, lone, short]
    step = steps.make(
        [len(slots) for slots in contexts],
        contexts,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        dtype=dtype,
    )
    at = len(contexts[0])
    for x in (step.q, step.k, step.v):
        x[at : at + len(trunk)] = x[: len(trunk)]
    return step


@pytest.mark.parametrize("window", [None, 100])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_attention_of_a_token_is_the_same_bits_decoded_extended_and_in_company(
    steps: Any, fixed: CpuKernels, dtype: torch.dtype, shape: tuple[int, int, int], window: int
) -> None:
    step = prompts(steps, shape, dtype)
    lens = step.batch.query_lens
    whole = [attended(fixed, step, [(i, range(n))], window) for i, n in enumerate(lens)]
    if dtype is torch.float32 and shape[2] == 20:
        naive = steps.naive(replace(step), window)
        torch.testing.assert_close(torch.cat(whole).double(), naive, rtol=0, atol=2e-5)
    together = attended(fixed, step, [(i, range(n)) for i, n in enumerate(lens)], window)
    assert torch.equal(together, torch.cat(whole))
    rng = random.Random(1)
    cuts = [rng.sample(range(n), min(n, 12)) for n in lens]
    for places in zip(*(cycled(cut, 12) for cut in cuts), strict=True):
        # Now all four decode, then some of them extend from here on while the others decode.
        ones = [(i, range(at, at + 1)) for i, at in enumerate(places)]
        decoded = attended(fixed, step, ones, window)
        assert torch.equal(
            decoded, torch.cat([whole[i][at : at + 1] for i, at in enumerate(places)])
        )
        mixed = [
            (i, range(at, lens[i]) if i % 2 else range(at, at + 1)) for i, at in ones_of(places)
        ]
        expected = [whole[i][positions.start : positions.stop] for i, positions in mixed]
        assert torch.equal(attended(fixed, step, mixed, window), torch.cat(expected))


def cycled(items: list[int], length: int) -> list[int]:
    return [items[i % len(items)] for i in range(length)]


def ones_of(places: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(enumerate(places))


def test_only_whole_runs_of_common_keys_are_read_once(steps: Any, fixed: CpuKernels) -> None:
    shared, *own = steps.contexts(random.Random(0), [600, *([10] * 8)])
    step = steps.make([1] * 8, [shared + slots for slots in own])
    attention = CpuAttention(fixed, 4, 2, 8)
    assert attention.shared_keys(attention.plan(step.batch)) == 7 * 512


def test_without_the_mode_company_changes_bits(steps: Any, kernels: CpuKernels) -> None:
    """What the mode is for, and that the tests above can fail."""
    step = prompts(steps, SHAPES[0], torch.float32)
    lens = step.batch.query_lens
    whole = attended(kernels, step, [(2, range(lens[2]))], None)
    decoded = attended(kernels, step, [(2, range(lens[2] - 1, lens[2]))], None)
    assert not torch.equal(decoded, whole[-1:])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("quantization", ["none", "int8", "int4", "int4-64"])
def test_a_product_is_the_same_bits_whatever_rows_are_beside_it(
    kernels: CpuKernels, quantization: Quantization, dtype: torch.dtype
) -> None:
    fixed = CpuKernels(kernels.library, kernels.level, quantization, deterministic=True)
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(70, 200, generator=generator).to(dtype)
    x, residual = (
        torch.randn(130, 200, generator=generator).to(dtype),
        torch.ones(130, 70).to(dtype),
    )
    packed = fixed.pack_linear(weight)
    assert packed is not None
    together, added = packed(x), packed.add_to(residual.clone(), x)
    for length in (1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 33, 64, 65, 100):
        for start in (0, 130 - length, (7 * length) % (131 - length)):
            rows = slice(start, start + length)
            assert torch.equal(packed(x[rows]), together[rows])
            assert torch.equal(packed.add_to(residual[rows].clone(), x[rows]), added[rows])


def test_weights_that_are_not_bfloat16_stay_float32(kernels: CpuKernels) -> None:
    fixed = CpuKernels(kernels.library, kernels.level, deterministic=True)
    generator = torch.Generator().manual_seed(5)
    weight = torch.randn(37, 70, generator=generator)
    x = torch.randn(90, 70, generator=generator)
    packed = fixed.pack_linear(weight)
    assert packed is not None
    assert packed.packed.storage == "float"
    assert torch.equal(packed.rows(torch.tensor([36, 0]), torch.float32), weight[[36, 0]])
    expected = x.double() @ weight.double().T
    torch.testing.assert_close(packed(x).double(), expected, rtol=1e-6, atol=1e-4)


def test_packing_float32_keeps_every_bit() -> None:
    weight = torch.randn(33, 50, generator=torch.Generator().manual_seed(1))
    packed = pack(weight, "float")
    assert torch.equal(packed.unpack(torch.arange(33), torch.float32), weight)
