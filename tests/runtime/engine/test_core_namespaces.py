"""S14: who is served first does not tell what another tenant has cached."""

from __future__ import annotations

import random

import pytest
from world import World

POLICIES = pytest.mark.parametrize("policy", ["lpm", "dfs-weight", "fcfs", "priority"])


def order_of_service(
    policy: str, prompts: list[list[int]], known: list[list[int]], knows: str
) -> list[int]:
    """In which order tenant "a" gets its answers, where `knows` has had some of them before."""
    world = World(4_000, policy=policy, max_running=2, chunk_tokens=16)
    for prompt in known:
        world.submit(prompt, 1, namespace=knows)
        world.run()
    waiting = {index: world.submit(p, 3, namespace="a") for index, p in enumerate(prompts)}
    order: list[int] = []
    while world.core.has_work:
        world.step(check=False)
        order += [index for index, heard in waiting.items() if heard.over and index not in order]
    return order


def random_prompts(rng: random.Random) -> list[list[int]]:
    heads = [[rng.randint(1, 60) for _ in range(20)] for _ in range(4)]
    return [
        rng.choice(heads) + [rng.randint(1, 60) for _ in range(rng.randint(1, 30))]
        for _ in range(24)
    ]


@POLICIES
def test_the_order_of_answers_is_the_same_whatever_another_tenant_has_cached(policy: str) -> None:
    rng = random.Random(14)
    for _ in range(8):
        prompts = random_prompts(rng)
        expected = order_of_service(policy, prompts, [], "b")
        for _ in range(3):
            known = rng.sample(prompts, 12)
            assert order_of_service(policy, prompts, known, "b") == expected


def test_ones_own_cache_does_change_the_order() -> None:
    """Or the test above would prove nothing."""
    prompts = random_prompts(random.Random(14))
    expected = order_of_service("lpm", prompts, [], "a")
    assert order_of_service("lpm", prompts, prompts[12:], "a") != expected
