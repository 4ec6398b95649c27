"""Log probabilities are the model's own, for exactly the rows that ask."""

from __future__ import annotations

import pytest
import torch

from branchline.runtime.protocol import LogprobParams, SamplingParams
from branchline.runtime.sampling import SamplingState, prompt_logprobs, sample

VOCAB = 40


def random_logits(rows: int) -> torch.Tensor:
    return torch.randn(rows, VOCAB, generator=torch.Generator().manual_seed(0)) * 3


def test_sampled_tokens_carry_the_unmodified_distribution() -> None:
    logits = random_logits(3)
    params = SamplingParams(seed=1, temperature=0.2, top_k=2, logit_bias={3: 5.0})
    wanted = [None, LogprobParams(), LogprobParams(top=4)]
    states = [SamplingState(params, [], VOCAB, (), logprobs) for logprobs in wanted]
    sampled = sample(logits, states)
    expected = logits.double().log_softmax(-1)
    assert sampled.logprobs[0] is None
    for row, count in ((1, 0), (2, 4)):
        entry = sampled.logprobs[row]
        assert entry is not None
        assert entry.token_id == sampled.token_ids[row]
        assert entry.logprob == pytest.approx(float(expected[row, entry.token_id]), abs=1e-5)
        best = expected[row].topk(count)
        assert [token for _, token, _ in entry.top] == best.indices.tolist()
        assert [value for value, _, _ in entry.top] == pytest.approx(best.values.tolist(), abs=1e-5)


@pytest.mark.parametrize("start", [0, 1, 4])
def test_prompt_tokens_are_scored_by_the_position_before_them(start: int) -> None:
    prompt = [7, 3, 3, 19, 0]
    logits = random_logits(len(prompt))
    expected = logits.double().log_softmax(-1)
    rows = logits[max(start, 1) - 1 : len(prompt) - 1]
    entries = prompt_logprobs(rows, prompt, start, top=2)
    assert [entry.token_id for entry in entries] == prompt[start:]
    for position, entry in enumerate(entries, start):
        if position == 0:
            assert (entry.logprob, entry.top) == (None, [])
            continue
        value = float(expected[position - 1, prompt[position]])
        assert entry.logprob == pytest.approx(value, abs=1e-5)
        assert [token for _, token, _ in entry.top] == expected[position - 1].topk(2)[1].tolist()


def test_a_prompt_scored_from_its_end_has_no_entries() -> None:
    assert prompt_logprobs(random_logits(0), [1, 2, 3], 3, top=0) == []
