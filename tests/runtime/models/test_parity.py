"""Every family against transformers: same logits, same greedy tokens, however the work is cut."""

from __future__ import annotations

import random
from typing import Any

import torch

TOLERANCE = 1e-4
VOCAB = 131


def tokens_of(seed: int, count: int) -> list[int]:
    return random.Random(seed).choices(range(VOCAB), k=count)


def assert_close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE)


def test_cold_prompt_gives_the_logits_of_transformers(pair: Any) -> None:
    prompt = tokens_of(0, 40)
    (ours,) = pair.driver().step(("a", prompt))
    assert_close(ours, pair.logits(prompt))


def test_prefix_cached_up_to_any_token_changes_nothing(pair: Any) -> None:
    prompt = tokens_of(1, 24)
    expected = pair.logits(prompt)
    driver = pair.driver()
    for split in range(1, len(prompt)):
        driver.step((f"{split}", prompt[:split]))
        (ours,) = driver.step((f"{split}", prompt[split:]))
        assert_close(ours, expected[split:])


def test_prompt_extended_in_chunks_gives_the_same_logits(pair: Any) -> None:
    prompt = tokens_of(2, 50)
    expected = pair.logits(prompt)
    driver = pair.driver()
    for size in (1, 3, 16):
        chunks = [
            driver.step((f"{size}", prompt[start : start + size]))[0]
            for start in range(0, len(prompt), size)
        ]
        assert_close(torch.cat(chunks), expected)


def test_sequences_of_mixed_lengths_and_stages_do_not_disturb_each_other(pair: Any) -> None:
    rng = random.Random(3)
    prompts = {f"s{i}": tokens_of(10 + i, rng.randint(5, 60)) for i in range(8)}
    expected = {name: pair.logits(prompt) for name, prompt in prompts.items()}
    done = dict.fromkeys(prompts, 0)
    driver = pair.driver()
    while pending := [name for name in prompts if done[name] < len(prompts[name])]:
        members = rng.sample(pending, rng.randint(1, len(pending)))
        parts = []
        for name in members:
            length = rng.choice([1, 1, 1, 2, 5, 20])
            parts.append((name, prompts[name][done[name] : done[name] + length]))
        for (name, chunk), ours in zip(parts, driver.step(*parts), strict=True):
            assert_close(ours, expected[name][done[name] : done[name] + len(chunk)])
            done[name] += len(chunk)


def test_bfloat16_logits_point_the_same_way(pair: Any) -> None:
    prompt = tokens_of(4, 40)
    (ours,) = pair.driver(dtype="bfloat16").step(("a", prompt))
    similarity = torch.cosine_similarity(ours, pair.logits(prompt), dim=-1)
    # Where a router wavers between two experts rounding may choose the other for a token.
    has_experts = hasattr(pair.reference.config, "num_experts_per_tok")
    assert similarity.quantile(0.2 if has_experts else 0.0) > 0.998


def test_greedy_tokens_are_those_of_transformers(pair: Any) -> None:
    prompts = {f"s{i}": tokens_of(20 + i, length) for i, length in enumerate((3, 17, 40))}
    driver = pair.driver()
    ours: dict[str, list[int]] = {name: [] for name in prompts}
    parts = list(prompts.items())
    for _ in range(64):
        logits = driver.step(*parts)
        parts = []
        for name, rows in zip(prompts, logits, strict=True):
            ours[name].append(int(rows[-1].argmax()))
            parts.append((name, ours[name][-1:]))
    for name, prompt in prompts.items():
        # Each of our tokens is what the reference chooses after our tokens before it; so by
        # induction its own greedy loop chooses the same 64, at the price of one forward.
        theirs = pair.logits(prompt + ours[name])[len(prompt) - 1 : -1].argmax(-1)
        assert ours[name] == theirs.tolist()


def test_greedy_tokens_are_those_of_generate(make_pair: Any) -> None:
    pair, prompt = make_pair("llama"), tokens_of(30, 12)
    driver, ours, tokens = pair.driver(), [], prompt
    for _ in range(64):
        tokens = [int(driver.step(("a", tokens))[0][-1].argmax())]
        ours += tokens
    theirs = pair.reference.generate(
        torch.tensor([prompt]), max_new_tokens=64, do_sample=False, pad_token_id=0
    )
    assert ours == theirs[0, len(prompt) :].tolist()
