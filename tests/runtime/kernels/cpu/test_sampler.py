"""Tokens drawn in C++ against runtime/sampling: the same ones from the same random numbers."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch

from branchline.runtime.kernels.cpu.library import CpuKernels
from branchline.runtime.kernels.cpu.sampler import CpuSampler
from branchline.runtime.protocol import LogprobParams, SamplingParams
from branchline.runtime.sampling import SamplingState, sample, sample_by

SIZES = [1, 70, 1000, 4099]
KINDS: list[dict[str, Any]] = [
    {"temperature": 0.0},
    {},
    {"temperature": 0.3},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 3000},
    {"top_p": 0.7},
    {"top_p": 1e-9},
    {"top_p": 0.999},
    {"min_p": 0.2},
    {"top_k": 20, "top_p": 0.9, "min_p": 0.01, "temperature": 1.7},
    {"repetition_penalty": 1.5, "frequency_penalty": 0.5, "presence_penalty": -0.5},
    {"logit_bias": {0: 4.0}},
    {"min_new_tokens": 30},
    {"temperature": 1e-30},
    {"temperature": 1.9e-5},
]


def states_of(vocab: int, kinds: list[dict[str, Any]], seed: int) -> list[SamplingState]:
    return [
        SamplingState(SamplingParams(seed=seed + i, **kind), [0], vocab, (vocab - 1,))
        for i, kind in enumerate(kinds)
    ]


def random_mask(rng: random.Random, vocab: int) -> Any:
    words = -(-vocab // 32)
    kind = rng.choice(["none", "all", "few", "half", "one word"])
    if kind == "none":
        return None
    bits = np.zeros(words * 32, np.uint8)
    if kind == "all":
        bits[:vocab] = 1
    elif kind == "one word":
        bits[: min(32, vocab)] = 1
    else:
        count = 3 if kind == "few" else vocab // 2
        bits[[rng.randrange(vocab) for _ in range(max(1, count))]] = 1
    return np.packbits(bits, bitorder="little").view(np.int32)


@pytest.mark.parametrize("vocab", SIZES)
def test_tokens_are_those_of_the_reference(kernels: CpuKernels, vocab: int) -> None:
    rng = random.Random(vocab)
    generator = torch.Generator().manual_seed(vocab)
    ours_differ = 0
    for seed in range(40):
        logits = torch.randn(len(KINDS), vocab, generator=generator) * rng.choice([0.1, 2, 20])
        masks = [random_mask(rng, vocab) for _ in KINDS]
        before = logits.clone()
        expected = sample(logits, states_of(vocab, KINDS, seed), masks)
        ours = sample_by(CpuSampler(kernels), logits, states_of(vocab, KINDS, seed), masks)
        assert torch.equal(logits, before)
        assert ours.failures == expected.failures
        assert ours.token_ids[0] == expected.token_ids[0]
        pairs = zip(ours.token_ids, expected.token_ids, strict=True)
        ours_differ += sum(a != b for a, b in pairs)
    # Their sums are rounded otherwise: a random number may lie between the two.
    assert ours_differ <= 2


def test_what_a_larger_vocabulary_left_behind_is_nobodys_weight(kernels: CpuKernels) -> None:
    larger = torch.zeros(1, 5000)
    sample_by(CpuSampler(kernels), larger, states_of(5000, [{}], 0))
    for vocab in (33, 70, 1000):
        logits = torch.zeros(50, vocab)
        expected = sample(logits, states_of(vocab, [{}] * 50, 0))
        found = sample_by(CpuSampler(kernels), logits, states_of(vocab, [{}] * 50, 0))
        assert found.token_ids == expected.token_ids


@pytest.mark.parametrize("vocab", [50, 64, 1000])
def test_the_first_of_equal_logits_is_the_likeliest(kernels: CpuKernels, vocab: int) -> None:
    logits = torch.zeros(2, vocab)
    logits[1, [7, 40, vocab - 1]] = 3.0
    states = states_of(vocab, [{"temperature": 0.0}] * 2, 0)
    assert sample_by(CpuSampler(kernels), logits, states).token_ids == [0, 7]
    # Beside one that draws, where the kernel finds it.
    beside = states_of(vocab, [{"temperature": 0.0}] * 2 + [{}], 0)
    logits = torch.cat((logits, logits[:1]))
    assert sample_by(CpuSampler(kernels), logits, beside).token_ids[:2] == [0, 7]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_row_that_is_not_finite_fails_alone_and_not_where_it_is_masked(
    kernels: CpuKernels, bad: float, temperature: float
) -> None:
    logits = torch.zeros(3, 40)
    logits[0, 33] = logits[2, 33] = bad
    mask = np.array([-1, 0], np.int32)
    states = states_of(40, [{"temperature": temperature}] * 3, 1)
    found = sample_by(CpuSampler(kernels), logits, states, [None, None, mask])
    assert set(found.failures) == {0}
    assert "not finite" in found.failures[0]
    assert 0 <= found.token_ids[2] < 32
    found = sample_by(CpuSampler(kernels), logits, states)
    assert set(found.failures) == {0, 2}
    assert 0 <= found.token_ids[1] < 40


def test_a_row_without_an_allowed_token_fails_alone(kernels: CpuKernels) -> None:
    masks = [np.zeros(2, np.int32), None]
    states = states_of(40, [{}, {}], 1)
    found = sample_by(CpuSampler(kernels), torch.zeros(2, 40), states, masks)
    assert set(found.failures) == {0}
    assert "no token is allowed" in found.failures[0]


def test_bits_behind_the_vocabulary_are_nobody(kernels: CpuKernels) -> None:
    """Within a row of a larger tensor, whose next numbers must not be read as logits."""
    wide = torch.full((2, 64), 9.0)
    wide[:, :33] = -1.0
    everything = np.full(2, -1, np.int32)
    states = states_of(33, [{"temperature": 0.0}, {}], 3)
    found = sample_by(CpuSampler(kernels), wide[:, :33], states, [everything, everything])
    assert max(found.token_ids) < 33
    assert not found.failures


def test_log_probabilities_come_along(kernels: CpuKernels) -> None:
    state = SamplingState(SamplingParams(temperature=0.0), [], 40, (), LogprobParams(top=2))
    logits = torch.randn(1, 40, generator=torch.Generator().manual_seed(0))
    ours = sample_by(CpuSampler(kernels), logits, [state])
    assert ours.logprobs == sample(logits, [state]).logprobs


def test_logits_of_another_type_are_refused(kernels: CpuKernels) -> None:
    with pytest.raises(ValueError, match="float32"):
        sample_by(
            CpuSampler(kernels), torch.zeros(1, 40, dtype=torch.float64), states_of(40, [{}], 0)
        )
