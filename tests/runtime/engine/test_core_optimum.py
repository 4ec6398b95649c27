"""R4: how much of what could have been found in the cache is found, by the best that anybody could
have done who knew the future."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable

import pytest
from world import World

from branchline.runtime.scheduler.waiting import WaitingQueue

NUM_NODES = 2_000
# Of one new token nothing is cached, which another prompt might go on with.
NUM_NEW = 1
VOCABULARY = 61
NEVER = 10**9

Prefix = tuple[int, ...]


def random_tree(seed: int) -> list[list[int]]:
    """The path to each node of a random tree, in no order."""
    rng = random.Random(seed)
    paths: list[list[int]] = [[]]
    while len(paths) <= NUM_NODES:
        parent = paths[rng.randrange(len(paths))]
        paths.append(parent + [rng.randrange(1, VOCABULARY) for _ in range(rng.randint(1, 20))])
    rng.shuffle(paths)
    return [path for path in paths if path]


def prefixes(path: list[int]) -> list[Prefix]:
    return [tuple(path[:end]) for end in range(1, len(path) + 1)]


def most_hits(order: Iterable[list[int]], num_slots: int) -> int:
    """The most tokens that requests in this order, one after the other, can find in a cache of so
    many tokens: Belady's, which keeps what is needed soonest. (What a prefix ends with is needed no
    sooner than the prefix, so that no token is ever kept without those before it.)"""
    paths = [prefixes(path) for path in order]
    uses: dict[Prefix, list[int]] = {}
    for turn in range(len(paths) - 1, -1, -1):
        for prefix in paths[turn]:
            uses.setdefault(prefix, []).append(turn)
    cached: set[Prefix] = set()
    latest: list[tuple[int, int, Prefix]] = []
    num_hits = 0
    for path in paths:
        # The last token of a prompt is computed in any case.
        num_hits += sum(prefix in cached for prefix in path[:-1])
        for prefix in path:
            uses[prefix].pop()
            cached.add(prefix)
            next_use = uses[prefix][-1] if uses[prefix] else NEVER
            heapq.heappush(latest, (-next_use, -len(prefix), prefix))
        own = set(path)
        kept: list[tuple[int, int, Prefix]] = []
        while len(cached) > num_slots:
            entry = heapq.heappop(latest)
            next_use, _, prefix = entry
            is_current = -next_use == (uses[prefix][-1] if uses[prefix] else NEVER)
            if prefix in own:
                kept.append(entry)
            elif is_current:
                cached.discard(prefix)
        for entry in kept:
            heapq.heappush(latest, entry)
    return num_hits


def test_the_optimum_is_what_trying_everything_finds() -> None:
    """Three slots: [1, 2] is worth keeping, [3, 4] is not."""
    order = [[1, 2], [3], [1, 2, 5], [3, 4]]
    assert most_hits(order, 10) == 0 + 0 + 2 + 1
    assert most_hits(order, 3) == 2
    assert most_hits([[1, 2]] * 3, 2) == 2


# The optimum is that of requests one after the other; of several at a time each holds its own.
@pytest.mark.parametrize("policy", ["lpm", "dfs-weight", "fcfs"])
def test_what_the_cache_finds_beside_the_best_for_the_same_order(policy: str) -> None:
    """2,000 nodes that all wait, a pool of a tenth of what they need."""
    paths = random_tree(4)
    num_slots = len({prefix for path in paths for prefix in prefixes(path)}) // 10
    world = World(num_slots, policy=policy, max_running=4, max_waiting=NUM_NODES)
    order: list[list[int]] = []
    waiting = world.core.scheduler.waiting
    admit = waiting.admit

    def noted(seq: object) -> None:
        order.append(seq.ids[: seq.prompt_len].tolist())  # type: ignore[attr-defined]
        admit(seq)  # type: ignore[arg-type]

    waiting.admit = noted  # type: ignore[method-assign]
    all_heard = [world.submit(path, NUM_NEW, ignore_eos=True) for path in paths]
    while world.core.has_work:
        world.step(check=False)
    for heard in all_heard:
        world.assert_right(heard)
    stats = world.core.stats()
    best = most_hits(order, num_slots)
    asked = sum(len(path) - 1 for path in paths)
    print(
        f"{policy}: {stats['hit_tokens']:.0f} of {best} ({stats['hit_tokens'] / best:.3f}), "
        f"{asked} asked; {stats['retractions']:.0f} retractions"
    )
    assert len(order) == len(paths) + stats["retractions"]
    assert stats["hit_tokens"] <= best
    assert stats["hit_tokens"] >= 0.99 * best


def test_a_queue_that_is_not_asked_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the order of eviction knows the past alone."""
    monkeypatch.setattr(WaitingQueue, "need_of", lambda queue, leaf: None)
    with pytest.raises(AssertionError):
        test_what_the_cache_finds_beside_the_best_for_the_same_order("lpm")


def test_an_order_that_forgets_age_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: whoever has most cached is thought to be next, though every other turn goes to the
    oldest."""
    monkeypatch.setattr(WaitingQueue, "_num_turns_before", lambda queue, seq: -seq.hit_estimate)
    with pytest.raises(AssertionError):
        test_what_the_cache_finds_beside_the_best_for_the_same_order("lpm")
