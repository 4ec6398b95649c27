"""Decoding over a tree of prefixes in Triton against the definition in float64."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from branchline.runtime.kernels.triton import tree_decode


def tree_of_contexts(steps: Any, rng: random.Random, branches: int) -> list[list[int]]:
    """Sequences over a trunk, some over a limb on it, some over half of it, some over nothing, and
    one that ends where another goes on."""
    sizes = [300, 80, 1, *(rng.randint(1, 20) for _ in range(branches))]
    trunk, limb, last, *own = steps.contexts(rng, sizes)
    kinds = [trunk, trunk + limb, trunk + limb, trunk[:150], []]
    contexts = [rng.choice(kinds) + slots for slots in own]
    return [*contexts, contexts[0][:-1] + last]


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sharing pays at once, as on a machine that launches and merges for nothing."""
    monkeypatch.setattr(tree_decode, "_LAUNCH_BYTES", 0)
    monkeypatch.setattr(tree_decode, "_LEAST_GAIN", 0.0)
    monkeypatch.setattr(tree_decode, "_PARTIAL", 0.0)
    monkeypatch.setattr(tree_decode, "_LEAST_PIECE", 128)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("window", [None, 40])
@pytest.mark.parametrize(("heads", "kv_heads"), [(2, 1), (7, 1)])
def test_decoding_over_a_tree_matches_the_definition(
    steps: Any, attend: Any, heads: int, kv_heads: int, window: int | None
) -> None:
    contexts = tree_of_contexts(steps, random.Random(3), 12)
    step = steps.make(
        [1] * 13, contexts, heads=heads, kv_heads=kv_heads, head_dim=16, dtype=torch.float32
    )
    ours = attend(step, window, shares=True)
    torch.testing.assert_close(ours.double(), steps.naive(step, window), rtol=0, atol=1e-5)


@pytest.mark.usefixtures("eager")
def test_more_queries_than_a_tile_has_room_for_share_a_prefix(steps: Any, attend: Any) -> None:
    # Four queries of 16 heads fill a tile.
    shared, *own = steps.contexts(random.Random(4), [200, *[1] * 6])
    contexts = [shared + slots for slots in own]
    step = steps.make([1] * 6, contexts, heads=16, kv_heads=1, dtype=torch.float32)
    ours = attend(step, shares=True)
    torch.testing.assert_close(ours.double(), steps.naive(step, None), rtol=0, atol=1e-5)
