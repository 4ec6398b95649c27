"""From logits to tokens: who is allowed, what is drawn, and that rows never touch each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from branchline.runtime.protocol import LogprobParams, SamplingParams
from branchline.runtime.sampling import SamplingState, sample
from branchline.runtime.sampling.logits import apply_penalties, unpack_masks
from branchline.runtime.sampling.sample import best, invert

VOCAB = 70


def make_state(prompt: list[int] | None = None, eos: tuple[int, ...] = (), **params: Any) -> Any:
    logprobs = params.pop("logprobs", None)
    return SamplingState(SamplingParams(**params), prompt or [], VOCAB, eos, logprobs)


def random_logits(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, VOCAB, generator=torch.Generator().manual_seed(seed)) * 2


def pack(allowed: list[int]) -> np.ndarray[Any, np.dtype[np.int32]]:
    words = np.zeros((VOCAB + 31) // 32, dtype=np.uint32)
    for token in allowed:
        words[token // 32] |= np.uint32(1 << (token % 32))
    return words.view(np.int32)


ALL_KINDS: list[dict[str, Any]] = [
    {"temperature": 0.0},
    {"seed": 1},
    {"seed": 2, "temperature": 0.3},
    {"seed": 3, "top_k": 5},
    {"seed": 4, "top_p": 0.7},
    {"seed": 5, "min_p": 0.2},
    {"seed": 6, "top_k": 20, "top_p": 0.9, "min_p": 0.01, "temperature": 1.7},
    {"seed": 7, "repetition_penalty": 1.5, "frequency_penalty": 0.5, "presence_penalty": -0.5},
    {"seed": 8, "logit_bias": {3: 4.0, 60: -100.0}},
    {"seed": 9, "min_new_tokens": 30},
    {"seed": 10, "temperature": 1e-30},
]


def run_alone(params: dict[str, Any], steps: list[torch.Tensor], mask: Any) -> list[int]:
    state, tokens = make_state([1, 2, 3], (5,), **params), []
    for row in steps:
        tokens.append(sample(row.unsqueeze(0), [state], [mask]).token_ids[0])
        state.append(tokens[-1])
    return tokens


def test_a_seeded_sequence_is_the_same_alone_and_in_any_batch() -> None:
    steps = [random_logits(len(ALL_KINDS), seed) for seed in range(20)]
    masks = [None if i % 3 else pack(list(range(i, VOCAB))) for i in range(len(ALL_KINDS))]
    states = [make_state([1, 2, 3], (5,), **params) for params in ALL_KINDS]
    together: list[list[int]] = [[] for _ in states]
    for logits in steps:
        for row, token in enumerate(sample(logits, states, masks).token_ids):
            states[row].append(token)
            together[row].append(token)
    for row, params in enumerate(ALL_KINDS):
        assert together[row] == run_alone(params, [x[row] for x in steps], masks[row])


def test_another_seed_is_another_sequence() -> None:
    steps = list(random_logits(30))
    assert run_alone({"seed": 1}, steps, None) != run_alone({"seed": 2}, steps, None)
    assert run_alone({"seed": 1}, steps, None) == run_alone({"seed": 1}, steps, None)


def test_without_a_seed_two_sequences_differ() -> None:
    steps = list(random_logits(30))
    assert run_alone({}, steps, None) != run_alone({}, steps, None)


def test_greedy_is_the_highest_allowed_logit() -> None:
    logits = random_logits(4)
    allowed = [None, [1, 2, 3], [69], list(range(0, VOCAB, 2))]
    masks = [None if tokens is None else pack(tokens) for tokens in allowed]
    states = [make_state(temperature=0.0) for _ in allowed]
    expected = [
        max(tokens or range(VOCAB), key=lambda token: float(logits[row, token]))
        for row, tokens in enumerate(allowed)
    ]
    assert sample(logits, states, masks).token_ids == expected


def test_of_equal_logits_the_first_allowed_token_is_greedy_alone_and_in_a_batch() -> None:
    logits = torch.zeros(3, VOCAB)
    masks = [pack([7, 9, 69]), None, pack([9, 69])]
    states = [make_state(temperature=0.0) for _ in masks]
    assert sample(logits.clone(), states, masks).token_ids == [7, 0, 9]
    assert sample(logits[2:].clone(), states[2:], masks[2:]).token_ids == [9]


def test_the_highest_of_each_row_are_those_that_torch_finds() -> None:
    scores = random_logits(40).round()  # many are equal
    scores[3, 5] = math.nan
    scores[4] = -math.inf
    scores[5, 7] = math.inf
    expected = scores.max(-1)
    token_ids, highest = best(scores)
    assert token_ids == expected.indices.tolist()
    np.testing.assert_array_equal(highest, expected.values.tolist())


def test_masked_tokens_are_never_drawn() -> None:
    state, mask = make_state(temperature=100.0, seed=0), pack([0, 31, 32, 69])
    drawn = set()
    for i in range(200):
        (token,) = sample(random_logits(1, i), [state], [mask]).token_ids
        state.append(token)
        drawn.add(token)
    assert drawn == {0, 31, 32, 69}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_row_without_allowed_tokens_fails_alone(temperature: float) -> None:
    states = [make_state(temperature=temperature, seed=0) for _ in range(3)]
    sampled = sample(random_logits(3), states, [None, pack([]), pack([7])])
    assert sampled.failures == {1: "no token is allowed here"}
    assert sampled.token_ids[1:] == [-1, 7]
    assert 0 <= sampled.token_ids[0] < VOCAB


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_row_of_broken_logits_fails_alone(bad: float) -> None:
    logits = random_logits(2)
    logits[0, 10] = bad
    states = [make_state(seed=0, logprobs=LogprobParams()) for _ in range(2)]
    sampled = sample(logits, states)
    assert list(sampled.failures) == [0]
    assert sampled.logprobs[0] is None
    assert sampled.logprobs[1] is not None


def test_logits_are_left_as_they_were() -> None:
    logits = random_logits(len(ALL_KINDS))
    before = logits.clone()
    states = [make_state([1, 2], (5,), **params) for params in ALL_KINDS]
    sample(logits, states, [pack([1, 2, 3])] * len(states))
    assert torch.equal(logits, before)


@pytest.mark.parametrize("vocab", [1, 5, 64, 70, 1000])
def test_inverting_finds_the_token_of_the_running_sum(vocab: int) -> None:
    generator = torch.Generator().manual_seed(vocab)
    weights = torch.rand(300, vocab, generator=generator)
    weights[:, 1:] *= torch.rand(300, vocab - 1, generator=generator) < 0.3
    drawn = torch.rand(300, 1, generator=generator, dtype=torch.float64)
    drawn[0], drawn[1] = 0.0, 1 - 2**-53
    found = invert(weights, drawn)
    assert (weights.gather(1, found.unsqueeze(1)) > 0).all()
    running = weights.double().cumsum(1)
    share = running / running[:, -1:]
    # Sums in another order may differ in the last bits, so the bounds are not exact.
    slack = 1e-6
    low = torch.cat((torch.zeros(300, 1), share), 1).gather(1, found.unsqueeze(1))
    high = share.gather(1, found.unsqueeze(1))
    assert ((low - slack <= drawn) & (drawn <= high + slack)).all()


CHI_SQUARE_999 = {7: 24.32, 4: 18.47, 2: 13.82}  # 99.9 % quantiles by degrees of freedom


@pytest.mark.parametrize(
    ("params", "kept"),
    [({}, 8), ({"temperature": 0.5}, 8), ({"top_k": 5}, 5), ({"top_p": 0.6, "top_k": 6}, 3)],
)
def test_draws_follow_the_distribution(params: dict[str, Any], kept: int) -> None:
    logits = torch.tensor([0.9, 0.7, 0.4, 0.2, 0.0, -0.2, -0.5, -0.6])
    scaled = logits / params.get("temperature", 1.0)
    probabilities = torch.zeros(8)
    probabilities[:kept] = scaled[:kept].softmax(0)
    draws, batch = 8000, 200
    states = [SamplingState(SamplingParams(seed=i, **params), [], 8) for i in range(batch)]
    counts = torch.zeros(8)
    for _ in range(draws // batch):
        for state, token in zip(
            states, sample(logits.expand(batch, 8), states).token_ids, strict=True
        ):
            state.append(token)
            counts[token] += 1
    assert counts[kept:].sum() == 0
    expected = probabilities[:kept] * draws
    statistic = float(((counts[:kept] - expected) ** 2 / expected).sum())
    assert statistic < CHI_SQUARE_999[kept - 1]


def test_penalties_follow_their_definitions() -> None:
    logits = random_logits(3)
    params = {"repetition_penalty": 1.3, "frequency_penalty": 0.7, "presence_penalty": 0.4}
    prompt, generated = [1, 2, 2], [2, 3, 3, *range(10, 40)]
    states = [make_state(), make_state(prompt, **params), make_state(**params)]
    expected = logits.clone()
    for token in generated:
        states[1].append(token)
    for token in {*prompt, *generated}:
        value = float(logits[1, token])
        value = value / 1.3 if value > 0 else value * 1.3
        value -= 0.7 * generated.count(token) + 0.4 * (token in generated)
        expected[1, token] = value
    apply_penalties(logits, states, [1, 2])
    torch.testing.assert_close(logits, expected)


def test_bias_lifts_and_bans_tokens() -> None:
    logits = random_logits(2)
    best = int(logits[1].argmax())
    states = [
        make_state(temperature=0.0, logit_bias={4: 100.0}),
        make_state(temperature=0.0, logit_bias={best: -100.0}),
    ]
    second = int(logits[1].topk(2).indices[1])
    assert sample(logits, states).token_ids == [4, second]


def test_the_end_waits_for_min_new_tokens() -> None:
    logits = torch.zeros(1, VOCAB)
    logits[0, 5], logits[0, 6], logits[0, 7] = 9.0, 8.0, 7.0
    state = make_state(eos=(5,), temperature=0.0, min_new_tokens=2, stop_token_ids=[6])
    chosen = []
    for _ in range(3):
        chosen += sample(logits, [state]).token_ids
        state.append(chosen[-1])
    assert chosen == [7, 7, 5]


def test_a_grammar_that_allows_only_the_end_outranks_min_new_tokens() -> None:
    state = make_state(eos=(5,), temperature=0.0, min_new_tokens=2)
    assert sample(random_logits(1), [state], [pack([5])]).token_ids == [5]


def test_masks_unpack_bit_by_bit() -> None:
    allowed = [0, 1, 31, 32, 63, 64, 69]
    assert np.flatnonzero(unpack_masks(pack(allowed)[None], VOCAB)[0]).tolist() == allowed


def test_a_row_ahead_gets_the_token_that_it_will_get_in_its_turn() -> None:
    logits = random_logits(6)
    together, singly = (make_state(seed=3, top_p=0.9) for _ in range(2))
    tokens = sample(logits, [together] * 6, ahead=list(range(6))).token_ids
    for row, token in enumerate(tokens):
        assert sample(logits[row : row + 1], [singly]).token_ids == [token]
        singly.append(token)
    # Three of them were right; what comes next is as if the others had not been tried.
    for token in tokens[:3]:
        together.append(token)
    assert sample(logits[3:4], [together]).token_ids == [tokens[3]]
