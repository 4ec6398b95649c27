"""Many prompts with common beginnings over HTTP, in a pool far too small for them (R4, S14)."""

from __future__ import annotations

import itertools
import random
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
import torch
from hash_front import TokenAsker, serving
from hash_runner import continuation, extend_hash

from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.server.http import gate
from branchline.runtime.server.http.quota import namespace_of
from branchline.runtime.server.http.settings import digest
from branchline.runtime.tokenizer import Tokenizer

pytestmark = pytest.mark.timeout(7_200)

KEYS = ("first-key-of-the-tests", "second-key-of-the-tests")
NUM_NODES = 2_000
NUM_SHARED = 300
NUM_NEW = 3
# About what hashing it takes.
_TEN_MICROSECONDS = bytes(16_384)


def random_tree(seed: int, num_nodes: int, vocab_size: int) -> list[list[int]]:
    """The path to each node of a random tree; every node adds a few tokens to its parent's."""
    rng = random.Random(seed)
    paths: list[list[int]] = [[]]
    while len(paths) <= num_nodes:
        parent = paths[rng.randrange(len(paths))]
        paths.append(parent + [rng.randrange(5, vocab_size) for _ in range(rng.randint(1, 20))])
    rng.shuffle(paths)
    return [path for path in paths if path]


@pytest.mark.parametrize("policy", ["fcfs", "lpm"])
def test_every_node_of_a_large_tree_is_continued_exactly(tokenizer: Tokenizer, policy: str) -> None:
    """R4: 2,000 nodes, 16 clients, a pool of a tenth of what all of them need."""
    vocab_size = tokenizer.vocab_size
    paths = random_tree(4, NUM_NODES, vocab_size)
    num_distinct = len({tuple(path[:end]) for path in paths for end in range(1, len(path) + 1)})
    with serving(tokenizer, num_distinct // 10, policy=policy) as front:
        asker = TokenAsker(front)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda path: asker.ask(path, NUM_NEW), paths))
        stats = front.core.stats()
    wrong = [
        path
        for path, answer in zip(paths, answers, strict=True)
        if answer["output_ids"] != continuation(path, NUM_NEW, vocab_size)
    ]
    assert wrong == []
    assert stats["evicted_tokens"] > 0
    # Most of each path was some other's: a cache that keeps nothing computes all of it.
    assert stats["hit_tokens"] > 0.2 * sum(map(len, paths))


@pytest.mark.parametrize(
    ("num_keys", "num_prompts"),
    [(2, NUM_SHARED), pytest.param(8, 10_000, marks=pytest.mark.nightly)],
)
def test_no_prompt_of_one_key_is_ever_found_by_another(
    tokenizer: Tokenizer, num_keys: int, num_prompts: int
) -> None:
    """S14: every prompt is asked for by two keys in turn; each finds what it asked for itself."""
    rng = random.Random(5)
    keys = [f"key-{number}-of-the-tests" for number in range(num_keys)]
    num_cached = 0
    check_every = max(1, num_prompts // 100)
    with serving(tokenizer, 400 * num_prompts, *keys, check_every=check_every) as front:
        askers = {key: TokenAsker(front, key) for key in keys}
        seen: dict[str, set[int]] = {key: set() for key in keys}
        for path in random_tree(5, num_prompts, tokenizer.vocab_size):
            chain = list(itertools.accumulate(path, extend_hash, initial=0))[1:]
            for key in rng.sample(keys, 2):
                known = sum(prefix in seen[key] for prefix in chain[:-1])
                assert askers[key].num_cached(path) == known
                seen[key].update(chain)
                num_cached += known
        assert front.core.stats()["evicted_tokens"] == 0
    print(f"{2 * num_prompts} prompts of {num_keys} keys, {num_cached} tokens found, 0 of others")


def test_a_cache_that_keys_share_would_be_seen(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: every key has the same namespace."""
    monkeypatch.setattr(gate, "namespace_of", lambda digest: "one")
    with pytest.raises(AssertionError):
        test_no_prompt_of_one_key_is_ever_found_by_another(tokenizer, 2, 50)


def test_a_flood_of_one_key_leaves_another_what_its_quota_holds(tokenizer: Tokenizer) -> None:
    """S14: a hot prefix of 400 tokens stays, however much the other key asks for."""
    hot = [5 + index % 200 for index in range(400)]
    mine = namespace_of(digest(KEYS[0].encode()))
    quotas = {mine: 450}
    with serving(tokenizer, 1_500, *KEYS, namespace_quotas=quotas) as front:
        owner, flooder = (TokenAsker(front, key) for key in KEYS)
        owner.ask(hot, 1)
        for path in random_tree(6, NUM_SHARED, tokenizer.vocab_size):
            flooder.ask(path, 1)
        assert front.core.stats()["evicted_tokens"] > 0
        assert owner.num_cached(hot) == len(hot) - 1


@pytest.mark.nightly
def test_times_do_not_tell_what_another_key_has_asked(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S14: whoever times answers finds its own prompts in the cache, and nobody else's. The time is
    that of processors, of server and client: what remains of a clock where nothing else runs.

    Prints the area under the curve of telling 2,000 asked prompts from 2,000 new ones by it."""
    rng = random.Random(14)

    def prompt() -> list[int]:
        return [rng.randrange(5, tokenizer.vocab_size) for _ in range(400)]

    def area(known: list[float], new: list[float]) -> float:
        """How often a known prompt was faster than a new one."""
        ranked = sorted([(time_s, 0) for time_s in known] + [(time_s, 1) for time_s in new])
        num_new, faster = len(new), 0
        for _, is_new in ranked:
            if is_new:
                num_new -= 1
            else:
                faster += num_new
        return faster / (len(known) * len(new))

    with serving(tokenizer, 400_000, *KEYS, check_every=100) as front:
        first, second = (TokenAsker(front, key) for key in KEYS)
        forward = front.core.runner.forward

        def as_long_as_a_model(batch: ForwardBatch) -> torch.Tensor:
            for _ in range(len(batch.token_ids)):
                sha256(_TEN_MICROSECONDS)
            return forward(batch)

        monkeypatch.setattr(front.core.runner, "forward", as_long_as_a_model)

        def timed(asker: TokenAsker, asked: list[int]) -> float:
            before_s = time.process_time()
            asker.ask(asked, 1)
            return time.process_time() - before_s

        areas = {}
        for who, asker in (("the same key", first), ("another key", second)):
            known: list[float] = []
            new: list[float] = []
            for _ in range(2_000):
                asked = prompt()
                first.ask(asked, 1)
                both = [(known, asked), (new, prompt())]
                rng.shuffle(both)
                for times_s, one in both:
                    times_s.append(timed(asker, one))
            areas[who] = area(known, new)
    print(areas)
    assert areas["the same key"] >= 0.95
    assert abs(areas["another key"] - 0.5) <= 0.03
