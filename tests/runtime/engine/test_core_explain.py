"""Each request is told why the cache had no more for it; a router is told what the cache has."""

from __future__ import annotations

import numpy as np
from world import World

from branchline.runtime.protocol import CacheMiss
from branchline.runtime.radix_cache.events import prefix_hash

PROMPT = [5, 9, 2, 7, 7, 1, 30, 12]


def test_a_prompt_that_was_never_seen() -> None:
    world = World()
    heard = world.submit(PROMPT, 1)
    world.run()
    assert heard.cache_miss == CacheMiss(0, 5, "new")


def test_a_prompt_that_is_cached_whole_has_no_miss() -> None:
    world = World()
    for _ in range(2):
        heard = world.submit(PROMPT, 1)
        world.run()
    assert heard.cache_miss is None


def test_the_first_token_that_differs_and_what_is_cached_in_its_place() -> None:
    world = World()
    world.submit([*PROMPT, 40, 41], 0)
    world.run()
    heard = world.submit([*PROMPT, 50, 51], 1)
    world.run()
    assert heard.cache_miss == CacheMiss(len(PROMPT), 50, "new", None, [40])


def test_a_prompt_that_was_evicted_and_when() -> None:
    world = World()
    world.submit(PROMPT, 0)
    world.run()
    world.core.cache.evict(3)
    clock = world.core.cache.clock
    world.core.scheduler._history._clock = lambda: clock() + 50
    heard = world.submit(PROMPT, 1)
    world.run()
    miss = heard.cache_miss
    assert miss is not None
    assert (miss.position, miss.token_id, miss.reason) == (len(PROMPT) - 3, 1, "evicted")
    assert miss.evicted_ago_s is not None
    assert 50 <= miss.evicted_ago_s < 60


def test_what_comes_back_and_goes_again_tells_the_last_time() -> None:
    world = World()
    for _ in range(2):
        world.submit(PROMPT, 0)
        world.run()
        world.core.flush_cache()
    heard = world.submit(PROMPT, 1)
    world.run()
    assert heard.cache_miss is not None
    assert heard.cache_miss.reason == "evicted"


def test_a_router_can_follow_the_tree_by_its_events() -> None:
    world = World(60, cache_events=10_000)
    for i in range(30):
        world.submit([*PROMPT, 20 + i % 7, *[i + 1] * (i % 5)], 3, ignore_eos=True)
        world.run()
    held = set()
    for root in world.core.cache.roots.values():
        todo = [(child, b"") for child in root.children.values()]
        while todo:
            node, before = todo.pop()
            held.add(before + node.tokens)
            todo += [(child, before + node.tokens) for child in node.children.values()]
    events, _ = world.core.cache_events.since(0)
    assert [event.number for event in events] == list(range(len(events)))
    assert replay(events) == {path[:end] for path in held for end in range(4, len(path) + 1, 4)}


def replay(events: list) -> set[bytes]:  # type: ignore[type-arg]
    """Every cached prefix, from nothing but the events."""
    by_hash = {prefix_hash("", b""): b""}
    cached: set[bytes] = set()
    for event in events:
        path = by_hash[event.parent]
        for end in range(4, len(event.tokens) + 1, 4):
            prefix = path + event.tokens[:end]
            by_hash[prefix_hash("", prefix)] = prefix
            (cached.add if event.kind == "stored" else cached.discard)(prefix)
    return cached


def test_a_log_that_is_too_short_shows_it_by_its_numbers() -> None:
    world = World(cache_events=2)
    for i in range(5):
        world.submit([i + 1, 2, 3], 0)
        world.run()
    events, following = world.core.cache_events.since(0)
    assert ([event.number for event in events], following) == ([3, 4], 5)
    assert np.frombuffer(events[-1].tokens, np.int32).tolist() == [5, 2, 3]
