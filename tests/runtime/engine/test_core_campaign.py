"""More of the traffic of test_core_random.py: a million tokens, and ten, each one checked."""

from __future__ import annotations

import pytest
from test_core_random import Traffic

NUM_TOKENS = 25_000


@pytest.mark.nightly
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("seed", range(1_000, 1_040))
def test_a_million_tokens_of_random_traffic_are_exact(seed: int) -> None:
    run(seed)


@pytest.mark.nightly
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("first_seed", range(2_000, 2_400, 10))
def test_ten_million_tokens_of_random_traffic_are_exact(first_seed: int) -> None:
    for seed in range(first_seed, first_seed + 10):
        run(seed)


def run(seed: int) -> None:
    traffic = Traffic(seed, large=True)
    traffic.run(NUM_TOKENS)
    assert not traffic.live
    traffic.world.assert_idle()
