"""top-k, top-p and min-p against the rules written out token by token."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchline.runtime.sampling.truncation import thresholds


def slow_kept(logits: list[float], top_k: int, top_p: float, min_p: float) -> set[int]:
    """Tokens that stay, by definition; equal logits stay or go together."""
    ranked = sorted(logits, reverse=True)
    kept = {i for i, x in enumerate(logits) if x >= ranked[min(top_k, len(ranked)) - 1]}
    weights = {i: math.exp(logits[i] - ranked[0]) for i in kept}
    total = sum(weights.values())
    if top_p < 1:
        mass, lowest = 0.0, ranked[0]
        for i in sorted(kept, key=lambda i: -logits[i]):
            if mass >= top_p:
                break
            mass += weights[i] / total
            lowest = logits[i]
        kept = {i for i in kept if logits[i] >= lowest}
    return {i for i in kept if weights[i] >= min_p}


def fast_kept(logits: list[float], top_k: int, top_p: float, min_p: float) -> set[int]:
    row = torch.tensor([logits], dtype=torch.float64).softmax(1)
    limit = thresholds(
        row,
        torch.tensor([top_k]),
        torch.tensor([top_p], dtype=torch.float64),
        torch.tensor([min_p], dtype=torch.float64),
    )
    return set((row[0] >= limit[0]).nonzero().squeeze(1).tolist())


# Steps of 1/4 make ties common; odd limits keep the sums away from a rounding's coin toss.
LOGITS = st.lists(st.integers(-40, 40).map(lambda i: i / 4), min_size=1, max_size=30)
TOP_P = st.sampled_from([0.013, 0.237, 0.571, 0.899, 0.9931, 1.0])
MIN_P = st.sampled_from([0.0, 0.0371, 0.333, 0.999])


@given(LOGITS, st.integers(1, 40), TOP_P, MIN_P)
def test_what_stays_is_what_the_rules_say(
    logits: list[float], top_k: int, top_p: float, min_p: float
) -> None:
    assert fast_kept(logits, top_k, top_p, min_p) == slow_kept(logits, top_k, top_p, min_p)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([0.01, 1.0, 5.0]),
    st.sampled_from([1, 50, 511, 512, 513, 900, 3000]),
    TOP_P,
    MIN_P,
)
def test_a_large_vocabulary_is_cut_like_a_small_one(
    seed: int, spread: float, top_k: int, top_p: float, min_p: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(1500, generator=generator) * spread).mul(8).round().div(8).tolist()
    assert fast_kept(logits, top_k, top_p, min_p) == slow_kept(logits, top_k, top_p, min_p)


def test_rows_are_cut_by_their_own_settings() -> None:
    logits = torch.randn(3, 1500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    settings_ = [(1500, 1.0, 0.1), (7, 1.0, 0.0), (800, 0.97, 0.0)]
    probabilities = logits.softmax(1)
    limit = thresholds(
        probabilities, *(torch.tensor(column) for column in zip(*settings_, strict=True))
    )
    for row, (top_k, top_p, min_p) in enumerate(settings_):
        expected = slow_kept(logits[row].tolist(), top_k, top_p, min_p)
        assert set((probabilities[row] >= limit[row]).nonzero().squeeze(1).tolist()) == expected


@pytest.mark.parametrize("vocab", [8, 1500])
def test_switched_off_everything_stays(vocab: int) -> None:
    logits = torch.randn(vocab, generator=torch.Generator().manual_seed(0)).tolist()
    assert len(fast_kept(logits, vocab, 1.0, 0.0)) == vocab
