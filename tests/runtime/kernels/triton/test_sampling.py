"""Tokens drawn on the device against `runtime/sampling`, and against the definition of the draw.

`noise` and `expected_token` are that definition, in NumPy: a device's token must be the one they
give, and what they give must be distributed as the reference's probabilities.
"""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import triton
import triton.language as tl

from branchline.runtime.kernels.triton.noise import of_block, of_tokens
from branchline.runtime.kernels.triton.sampler import (
    MOST_BIASES,
    DeviceSampler,
)
from branchline.runtime.protocol import MAX_LOGIT_BIAS, SamplingParams
from branchline.runtime.sampling import SamplingState, sample, sample_by
from branchline.runtime.sampling.sample import changed
from branchline.runtime.sampling.truncation import thresholds

VOCAB = 75
NUM_DRAWS = 500  # each takes the interpreter half a second
Mask = npt.NDArray[np.int32]


def noise(seed: int, positions: Any, ids: Any) -> npt.NDArray[np.float64]:
    """Philox4x32-10 of (token // 4, position, 0, 0) under the key `seed`, its token % 4th word as
    an exponential variable."""
    c0, c1 = np.broadcast_arrays(np.asarray(ids, np.uint64) // 4, np.asarray(positions, np.uint64))
    c2, c3 = np.zeros_like(c0), np.zeros_like(c0)
    k0, k1 = np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        a, b = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (
            b >> np.uint64(32) ^ c1 ^ k0,
            b & low,
            a >> np.uint64(32) ^ c3 ^ k1,
            a & low,
        )
        k0, k1 = k0 + np.uint64(0x9E3779B9) & low, k1 + np.uint64(0xBB67AE85) & low
    words = np.choose(np.asarray(ids) % 4, (c0, c1, c2, c3))
    return -np.log1p(-(words.astype(np.float64) + 0.5) / 2**32)


def allowed_weights(
    logits: torch.Tensor, state: SamplingState, mask: Mask | None
) -> npt.NDArray[np.float64]:
    """The probabilities, [vocab], among which the reference chooses; not normalised."""
    scores = changed(logits.unsqueeze(0), [state], [mask])
    probabilities = (scores / state.params.temperature).softmax(1)
    top_k = state.params.top_k if state.params.top_k > 0 else len(logits)
    limit = thresholds(
        probabilities,
        torch.tensor([top_k]),
        torch.tensor([state.params.top_p]),
        torch.tensor([state.params.min_p]),
    )
    kept = probabilities.masked_fill(probabilities < limit.unsqueeze(1), 0.0)
    return kept[0].double().numpy()


def expected_token(logits: torch.Tensor, state: SamplingState, mask: Mask | None) -> int:
    weights = allowed_weights(logits, state, mask)
    raced = weights / noise(state.noise_seed, state.num_new_tokens, np.arange(len(weights)))
    return int(raced.argmax())


def assert_drawn_from(weights: npt.NDArray[np.float64], tokens: npt.NDArray[np.int64]) -> None:
    """Pearson's chi-square of `tokens` against the shares of `weights`."""
    counts = np.bincount(tokens, minlength=len(weights))
    assert not counts[weights == 0].any()
    expected = len(tokens) * weights[weights > 0] / weights.sum()
    chi_square = float(((counts[weights > 0] - expected) ** 2 / expected).sum())
    freedom = len(expected) - 1
    # Wilson-Hilferty; beyond 3.3 lies 1 in 2,000.
    spread = 2 / (9 * freedom)
    assert ((chi_square / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread) < 3.3


def random_mask(rng: random.Random, vocab: int = VOCAB) -> Mask:
    bits = np.zeros(-(-vocab // 32) * 32, np.uint8)
    bits[rng.sample(range(vocab), rng.randint(1, vocab))] = 1
    return np.packbits(bits, bitorder="little").view(np.int32)


def random_state(rng: random.Random, vocab: int = VOCAB, **fixed: Any) -> SamplingState:
    params: dict[str, Any] = {
        "temperature": rng.choice([0.3, 1.0, 1.7]),
        "top_k": rng.choice([0, 0, 1, 2, 7, 40]),
        "top_p": rng.choice([1.0, 0.3, 0.9, 0.97]),
        "min_p": rng.choice([0.0, 0.0, 0.1]),
        "repetition_penalty": rng.choice([1.0, 1.4]),
        "frequency_penalty": rng.choice([0.0, 0.6]),
        "presence_penalty": rng.choice([0.0, 0.5]),
        "logit_bias": {rng.randrange(vocab): rng.uniform(-4, 4) for _ in range(rng.choice([0, 3]))},
        "seed": rng.getrandbits(60),
        "max_new_tokens": 99,
    } | fixed
    state = SamplingState(SamplingParams(**params), [1, 2, 2, 9], vocab, eos_ids=(0,))
    for _ in range(rng.randint(0, 5)):
        state.append(rng.randrange(vocab))
    return state


def logits_of(rows: int, seed: int, vocab: int = VOCAB) -> torch.Tensor:
    return torch.randn(rows, vocab, generator=torch.Generator().manual_seed(seed)) * 3


def draw(
    device: torch.device,
    logits: torch.Tensor,
    states: list[SamplingState],
    masks: list[Mask | None] | None = None,
) -> list[int]:
    sampler = DeviceSampler(len(states), logits.shape[1], device, block=32)
    sampler.load(states, masks)
    return sampler.launch(logits.to(device)).tolist()


@triton.jit
def _both_noises(block, tokens, seed, position, first, BLOCK: tl.constexpr):
    place = tl.arange(0, BLOCK)
    tl.store(block + place, of_block(tl.load(seed), tl.load(position), first, BLOCK))
    tl.store(tokens + place, of_tokens(tl.load(seed), tl.load(position), first + place))


def test_the_noise_of_a_token_is_its_definition_however_it_is_computed(
    device: torch.device,
) -> None:
    seed, position = 0x7234_5678_9ABC_DEF0, 70_000
    out = torch.empty(2, 64, device=device)
    inputs = (torch.tensor(seed, device=device), torch.tensor(position, device=device).int())
    _both_noises[(1,)](out[0], out[1], *inputs, 128, BLOCK=64)
    expected = noise(seed, position, np.arange(128, 192))
    torch.testing.assert_close(out[0].double().cpu(), torch.from_numpy(expected), rtol=2e-5, atol=0)
    assert torch.equal(out[0], out[1])


def test_the_noise_is_exponential_over_tokens_positions_and_seeds() -> None:
    many = np.arange(20_000)
    for values in (
        noise(5, 3, many),
        noise(5, many, 17),
        np.concatenate([noise(seed, many[:50], 2) for seed in range(400)]),
    ):
        shares = np.sort(-np.expm1(-values))
        distance = np.abs(shares - (np.arange(20_000) + 0.5) / 20_000).max()
        assert distance < 1.95 / math.sqrt(20_000)  # Kolmogorov-Smirnov, 1 in 1,000


@pytest.mark.parametrize("seed", range(3))
def test_at_temperature_0_the_token_is_the_reference_s(device: torch.device, seed: int) -> None:
    rng = random.Random(seed)
    states = [random_state(rng, temperature=0.0, min_new_tokens=i % 2 * 9) for i in range(5)]
    masks = [random_mask(rng) if i % 3 else None for i in range(5)]
    logits = logits_of(5, seed)
    assert draw(device, logits, states, masks) == sample(logits, states, masks).token_ids


def test_equal_scores_go_to_the_first_token(device: torch.device) -> None:
    logits = torch.zeros(1, VOCAB)
    logits[0, [33, 40, 70]] = 2.0
    state = SamplingState(SamplingParams(temperature=0.0), [], VOCAB)
    assert draw(device, logits, [state]) == [33]


@pytest.mark.parametrize("seed", range(4))
def test_the_token_is_the_winner_of_the_race_among_those_that_the_reference_keeps(
    device: torch.device, seed: int
) -> None:
    rng = random.Random(seed)
    states = [random_state(rng) for _ in range(6)]
    masks = [random_mask(rng) if i % 3 == 0 else None for i in range(6)]
    logits = logits_of(6, seed + 10)
    rows = zip(logits, states, masks, strict=True)
    assert draw(device, logits, states, masks) == [expected_token(*row) for row in rows]


def test_more_candidates_than_fit_a_tile_are_all_in_the_race(device: torch.device) -> None:
    vocab, rng = 5000, random.Random(3)
    states = [
        random_state(rng, vocab, temperature=1.5, top_k=4000, top_p=0.95, min_p=0.0),
        random_state(rng, vocab, temperature=1.5, top_k=0, top_p=0.999, min_p=0.0),
    ]
    logits = logits_of(2, 9, vocab) / 6
    sampler = DeviceSampler(2, vocab, device, block=1024)
    sampler.load(states)
    drawn = sampler.launch(logits.to(device)).tolist()
    rows = zip(logits, states, strict=True)
    assert drawn == [expected_token(*row, None) for row in rows]


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 0.8},
        {"temperature": 1.3, "top_k": 5},
        {"top_p": 0.7},
        {"top_k": 9, "top_p": 0.8, "min_p": 0.05},
    ],
)
def test_winners_are_distributed_as_the_reference_s_probabilities(params: dict[str, Any]) -> None:
    logits = logits_of(1, 4, 16)[0] / 2
    state = SamplingState(SamplingParams(**{"temperature": 1.0, **params}, seed=11), [], 16)
    weights = allowed_weights(logits, state, None)
    draws = 40_000
    raced = weights / noise(state.noise_seed, np.arange(draws)[:, None], np.arange(16)[None, :])
    assert_drawn_from(weights, raced.argmax(1))


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("params", [{"temperature": 0.8}, {"top_k": 9, "top_p": 0.8}])
def test_the_device_s_own_draws_are_distributed_as_the_reference_s_probabilities(
    device: torch.device, params: dict[str, Any]
) -> None:
    logits = logits_of(1, 4, 16)[0] / 2
    states = [SamplingState(SamplingParams(**params, seed=11), [], 16) for _ in range(NUM_DRAWS)]
    for position, state in enumerate(states):
        state.num_new_tokens = position
    drawn = draw(device, logits.expand(NUM_DRAWS, -1).contiguous(), states)
    assert_drawn_from(allowed_weights(logits, states[0], None), np.array(drawn))


def test_a_row_draws_the_same_token_alone_and_in_any_company(device: torch.device) -> None:
    rng = random.Random(8)
    states = [random_state(rng) for _ in range(4)]
    logits = logits_of(4, 3)
    together = draw(device, logits, states)
    alone = [draw(device, logits[i : i + 1], [states[i]])[0] for i in (3, 1)]
    assert alone == [together[3], together[1]]


def test_rows_that_cannot_be_sampled_say_why_and_hurt_no_other(device: torch.device) -> None:
    rng = random.Random(2)
    states = [random_state(rng, temperature=t) for t in (0.0, 1.0, 1.0, 0.0, 1.0)]
    logits = logits_of(5, 6)
    clean = draw(device, logits, states)
    logits[0, 40], logits[1, 3] = torch.nan, torch.inf
    nothing = np.zeros(3, np.int32)
    masks = [None, None, nothing, nothing, None]
    sampled = sample_by(DeviceSampler(5, VOCAB, device, block=32), logits.to(device), states, masks)
    assert sampled.token_ids == [-1, -1, -1, -1, clean[4]]
    assert sampled.failures == sample(logits, states, masks).failures


def test_a_masked_token_may_be_nan(device: torch.device) -> None:
    state = random_state(random.Random(1))
    logits = logits_of(1, 6)
    mask = random_mask(random.Random(4))
    expected = draw(device, logits, [state], [mask])
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little", count=VOCAB).astype(bool)
    logits[0, torch.from_numpy(~bits)] = torch.nan
    assert draw(device, logits, [state], [mask]) == expected


def test_penalties_follow_the_tokens_that_join_sequences_drawn_or_not(
    device: torch.device,
) -> None:
    """Three sequences that take turns on a sampler with two slots for their counts."""
    rng = random.Random(6)
    params = SamplingParams(
        temperature=0.0, repetition_penalty=1.3, frequency_penalty=0.5, presence_penalty=0.4
    )
    states = [SamplingState(params, [3, 5, i], VOCAB) for i in range(3)]
    logits = logits_of(2, 1)
    sampler = DeviceSampler(2, VOCAB, device, block=32)
    drawn = set()
    for pair in ((0, 1), (0, 1), (1, 2), (2, 0), (2, 0), (1, 1), (0, 2)):
        running = [states[i] for i in dict.fromkeys(pair)]
        rows = logits[: len(running)]
        sampler.load(running)
        tokens = sampler.launch(rows.to(device)).tolist()
        assert tokens == sample(rows, running).token_ids
        drawn.update(tokens)
        for state, token in zip(running, tokens, strict=True):
            state.append(token)
            if rng.random() < 0.5:  # a forced token, twice
                state.append(token)
                state.append(token)
    assert len(drawn) > 3


def test_a_sequence_that_ended_leaves_its_slot_to_the_next(device: torch.device) -> None:
    sampler = DeviceSampler(1, VOCAB, device, block=32)
    logits = logits_of(1, 2)
    for token in (4, 8):
        state = SamplingState(
            SamplingParams(temperature=0.0, repetition_penalty=2.0), [token], VOCAB
        )
        sampler.load([state])
        assert sampler.launch(logits.to(device)).tolist() == sample(logits, [state]).token_ids
        del state


def test_rows_that_a_graph_computes_in_vain_leave_the_others_alone(device: torch.device) -> None:
    params = SamplingParams(temperature=0.0, frequency_penalty=2.0)
    states = [SamplingState(params, [], VOCAB) for _ in range(2)]
    logits = logits_of(2, 1)
    sampler = DeviceSampler(2, VOCAB, device, block=32)
    sampler.load(states)
    first = sampler.launch(logits.to(device)).tolist()
    for state, token in zip(states, first, strict=True):
        state.append(token)
    sampler.load(states[:1])
    second = sampler.launch(logits.to(device)).tolist()
    states[0].append(second[0])
    sampler.load(states)
    assert sampler.launch(logits.to(device)).tolist() == sample(logits, states).token_ids


def test_every_bias_that_the_wire_allows_has_room() -> None:
    assert MOST_BIASES >= MAX_LOGIT_BIAS


def test_more_rows_than_the_sampler_holds_are_refused(device: torch.device) -> None:
    sampler = DeviceSampler(1, VOCAB, device, block=32)
    states = [random_state(random.Random(i)) for i in range(2)]
    with pytest.raises(ValueError, match="2 rows"):
        sampler.load(states)
    with pytest.raises(ValueError, match="rows of 75"):
        sampler.launch(torch.zeros(1, VOCAB + 1, device=device))
