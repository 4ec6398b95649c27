"""Random traffic on the hash-chain model: every output exact, every slot owned, at every step."""

from __future__ import annotations

import random

import pytest
from hash_runner import HashRunner
from world import Heard, World

from branchline.runtime.engine_protocol import NextCall
from branchline.runtime.protocol import LogprobParams, SamplingParams
from branchline.runtime.radix_cache.check import InvariantError
from branchline.runtime.scheduler.kv import KVLedger
from branchline.runtime.scheduler.sequence import Sequence

# Small engines reach the corners, large ones the numbers: with the nightly ones a good 100,000
# tokens.
SMALL = [(seed, False, 1_000) for seed in range(16)]
LARGE = [(100, True, 22_000)]
MORE = [pytest.param(seed, True, 22_000, marks=pytest.mark.nightly) for seed in range(101, 104)]
# With these a million in all are computed and read again.
LONG = [200, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(201, 204))]
LONGEST = 70


def random_prompt(rng: random.Random, known: list[list[int]], times: int = 1) -> list[int]:
    """Often a prefix of an earlier prompt or conversation, with something new behind it. times: as
    long as usual."""
    base: list[int] = []
    if known and rng.random() < 0.8:
        base = rng.choice(known)
        if rng.random() < 0.5:
            base = base[: rng.randint(0, len(base))]
    new = [rng.randint(1, 60) for _ in range(rng.randint(0 if base else 1, 25 * times))]
    return (base + new)[: LONGEST * times]


def random_wishes(rng: random.Random, prompt_len: int) -> dict[str, object]:
    wishes: dict[str, object] = {"max_new_tokens": rng.choice([0, 1, 5, 20, 60, 200])}
    if rng.random() < 0.3:
        wishes["stop"] = ["".join(rng.choices("abcdefg", k=rng.randint(2, 4)))]
    if rng.random() < 0.2:
        wishes["stop_token_ids"] = [rng.randint(1, 60)]
    if rng.random() < 0.5:
        wishes["ignore_eos"] = True
    if rng.random() < 0.1:
        wishes["logprobs"] = LogprobParams(prompt_start=rng.randint(0, prompt_len))
    wishes["namespace"] = rng.choice(["", "", "", "a"])
    if rng.random() < 0.3:
        wishes["quiet"] = rng.random() < 0.5
        wishes["then"] = [random_call(rng) for _ in range(rng.randint(1, 4))]
    return wishes


def random_call(rng: random.Random) -> NextCall:
    ids = [rng.randint(1, 60) for _ in range(rng.choice([0, 1, 2, 12]))]
    length = rng.choice([0, 1, 3, 10, 40])
    stop = [rng.randint(1, 60)] if rng.random() < 0.2 else []
    return NextCall(
        ids, SamplingParams(max_new_tokens=length, temperature=0.0, stop_token_ids=stop)
    )


class Traffic:
    """Sequences come, go, are dropped; the cache is flushed; the pool is too small for all."""

    def __init__(self, seed: int, large: bool, times: int = 1, **settings: object) -> None:
        self.rng = rng = random.Random(seed)
        self.large = large
        self.times = times
        self.world = World(
            times * rng.choice([3_000, 6_000] if large else [280, 400, 800]),
            max_running=60 if large else rng.choice([4, 16, 40]),
            chunk_tokens=times * rng.choice([128, 512] if large else [7, 32, 128]),
            policy=rng.choice(["lpm", "fcfs", "dfs-weight", "priority"]),
            namespace_quotas={"a": 30} if rng.random() < 0.5 else {},
            **settings,
        )
        self.known: list[list[int]] = []
        self.live: list[Heard] = []
        self.num_gone_on = 0

    def arrive(self) -> None:
        prompt = random_prompt(self.rng, self.known, self.times)
        if not prompt:
            return
        wishes = random_wishes(self.rng, len(prompt))
        wishes |= {
            "priority": self.rng.randint(0, 2),
            "session": self.rng.choice([0, 0, 1, 2, 3]),
            "session_ttl_s": self.rng.choice([0.001, 60.0]),
            "ends_session": self.rng.random() < 0.2,
            "program": self.rng.choice([0, 0, 11, 12]),
            "tokens_after": self.rng.choice([None, 0, 50, 500]),
        }
        self.live.append(self.world.submit(prompt, **wishes))
        self.known = [*self.known[-20:], prompt]

    def step(self) -> None:
        self.world.step()
        self.world.assert_estimates()
        # An heir may be over in the step in which it came.
        while over := [heard for heard in self.live if heard.over]:
            for heard in over:
                self.world.assert_right(heard)
                self.live.remove(heard)
                if heard.heir is not None:
                    self.live.append(heard.heir)
                    self.num_gone_on += 1
                ids = heard.submit.input_ids + heard.token_ids
                self.known.append(ids[: LONGEST * self.times])

    def run(self, num_tokens: int, counted: str = "generated_tokens") -> None:
        stats = self.world.core.stats
        while stats()[counted] < num_tokens:
            dice = self.rng.random()
            if len(self.live) < (100 if self.large else 60) and dice < 0.4:
                for _ in range(self.rng.choice([1, 1, 2, 12])):
                    self.arrive()
            elif self.live and dice < 0.42:
                self.world.drop(self.live.pop(self.rng.randrange(len(self.live))))
            elif dice < 0.425:
                self.world.core.flush_cache()
            self.step()
        while self.world.core.has_work:
            self.step()


@pytest.mark.parametrize(("seed", "large", "num_tokens"), SMALL + LARGE + MORE)
def test_random_traffic_is_exact_and_leaks_nothing(seed: int, large: bool, num_tokens: int) -> None:
    traffic = Traffic(seed, large)
    traffic.run(num_tokens)
    assert not traffic.live
    traffic.world.assert_idle()


@pytest.mark.parametrize("seed", LONG)
def test_long_prompts_are_exact_and_leak_nothing(seed: int) -> None:
    traffic = Traffic(seed, large=True, times=20)
    traffic.run(250_000, "computed_tokens")
    assert not traffic.live
    traffic.world.assert_idle()
    assert traffic.world.core.stats()["retractions"] + traffic.world.core.stats()["evicted_tokens"]


def test_the_random_traffic_reaches_retraction_eviction_and_hits() -> None:
    """Without these the test above would prove little."""
    reached = {"retractions": 0.0, "evicted_tokens": 0.0, "hit_tokens": 0.0, "gone on": 0.0}
    for seed in range(4):
        traffic = Traffic(seed, large=False)
        traffic.run(800)
        stats = traffic.world.core.stats()
        stats["gone on"] = traffic.num_gone_on
        for name in reached:
            reached[name] += stats[name]
    assert min(reached.values()) >= 5, reached


def test_a_pool_hardly_larger_than_one_sequence_still_serves_many() -> None:
    runner = HashRunner(64)
    world = World(runner=runner, max_running=8, chunk_tokens=16)
    all_heard = [
        world.submit([1 + i % 5, 7, 9, *range(1, 10 + i % 20)], 30, ignore_eos=True)
        for i in range(40)
    ]
    world.run()
    for heard in all_heard:
        world.assert_right(heard)
    world.assert_idle()


def test_a_slot_that_every_sequence_loses_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted."""
    release = KVLedger.release

    def leaky(ledger: KVLedger, seq: Sequence, *, keep: bool) -> None:
        release(ledger, seq, keep=keep)
        ledger.allocator.allocate(1)

    monkeypatch.setattr(KVLedger, "release", leaky)
    with pytest.raises((AssertionError, InvariantError)):
        test_a_pool_hardly_larger_than_one_sequence_still_serves_many()
