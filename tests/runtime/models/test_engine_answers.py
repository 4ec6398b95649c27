"""The engine on every family: an answer is the same however its prompt came to be computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch

from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine_protocol import Submit
from branchline.runtime.protocol import LogprobParams, SamplingParams

VOCAB = 131
NUM_NEW = 10
TOLERANCE = 1e-4
TRUNK = [(17 * i) % VOCAB for i in range(24)]
PROMPTS = [[*TRUNK, *[(5 + 11 * n + i) % VOCAB for i in range(2 + 3 * n)]] for n in range(4)]

Answer = tuple[list[int], list[float]]


class NoText:
    """As much of a Tokenizer as an engine needs whose requests have no texts."""

    vocab_size = VOCAB
    special_ids: frozenset[int] = frozenset()
    eos_ids: tuple[int, ...] = ()
    token_bytes = tuple(bytes([i]) for i in range(VOCAB))

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = True) -> str:
        return bytes(ids).decode("latin-1")


class Bench:
    """An engine on one variant; answers are tokens with their log probabilities."""

    def __init__(self, pair: Any, **settings: Any) -> None:
        config = EngineConfig(str(pair.path), dtype="float32", device="cpu", **settings)
        self.core = EngineCore(config, tokenizer=NoText(), compiler=object(), strict=True)
        self.next_sid = 0
        self.cached: dict[int, int] = {}

    def answers(
        self, prompts: list[list[int]], between: Callable[[], None] = lambda: None
    ) -> list[Answer]:
        first = self.next_sid
        self.next_sid += len(prompts)
        params = SamplingParams(max_new_tokens=NUM_NEW, temperature=0.0)
        for sid, prompt in enumerate(prompts, first):
            self.core.submit(Submit(sid, prompt, params, logprobs=LogprobParams()))
        heard: dict[int, Answer] = {first + i: ([], []) for i in range(len(prompts))}
        while self.core.has_work:
            events = self.core.step()
            assert not events.failed, events.failed
            for progress in events.progress:
                heard[progress.sid][0].extend(progress.token_ids)
                heard[progress.sid][1].extend(
                    each.logprob or 0.0 for each in progress.logprobs or []
                )
                if progress.cached_tokens is not None:
                    self.cached[progress.sid - first] = progress.cached_tokens
            between()
        self.core.check()
        return list(heard.values())


def expected(pair: Any, prompt: list[int]) -> Answer:
    """What transformers says, computed from the start for each token."""
    ids, logprobs = list(prompt), []
    for _ in range(NUM_NEW):
        row = torch.log_softmax(pair.logits(ids)[-1].float(), -1)
        ids.append(int(row.argmax()))
        logprobs.append(float(row.max()))
    return ids[len(prompt) :], logprobs


def assert_same(found: list[Answer], wanted: list[Answer]) -> None:
    assert [tokens for tokens, _ in found] == [tokens for tokens, _ in wanted]
    for (_, ours), (_, theirs) in zip(found, wanted, strict=True):
        assert ours == pytest.approx(theirs, abs=TOLERANCE)


@pytest.mark.parametrize(
    "name", ["llama", "llama3_rope", "qwen2_tied_windowed", "qwen3", "mistral_windowed"]
)
def test_cold_warm_batched_retracted_and_chunked_answers_are_the_same(
    make_pair: Callable[[str], Any], name: str
) -> None:
    pair = make_pair(name)
    wanted = [expected(pair, prompt) for prompt in PROMPTS]

    bench = Bench(pair, kv_slots=512)
    for prompt, answer in zip(PROMPTS, wanted, strict=True):
        assert_same(bench.answers([prompt]), [answer])  # cold, and alone
        assert bench.cached[0] == 0
        assert_same(bench.answers([prompt]), [answer])  # warm
        assert bench.cached[0] == len(prompt) - 1
        bench.core.flush_cache()
    assert_same(bench.answers(PROMPTS), wanted)  # batched
    assert sum(bench.cached.values()) >= 3 * len(TRUNK)  # what they share is computed once

    def retract() -> None:
        if len(bench.core.scheduler.running) > 1:
            bench.core.scheduler._retract_last()

    bench.core.flush_cache()
    assert_same(bench.answers(PROMPTS, between=retract), wanted)
    assert bench.core.stats()["retractions"] > len(PROMPTS)

    assert_same(Bench(pair, kv_slots=512, chunk_tokens=5).answers(PROMPTS), wanted)
