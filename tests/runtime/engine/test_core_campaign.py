"""Ten times the traffic of test_core_random.py: a million tokens, each one checked."""

from __future__ import annotations

import pytest
from test_core_random import Traffic

NUM_TOKENS = 25_000


@pytest.mark.nightly
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("seed", range(1_000, 1_040))
def test_a_million_tokens_of_random_traffic_are_exact(seed: int) -> None:
    traffic = Traffic(seed, large=True)
    traffic.run(NUM_TOKENS)
    assert not traffic.live
    traffic.world.assert_idle()
