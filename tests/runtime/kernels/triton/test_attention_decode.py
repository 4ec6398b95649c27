"""Decoding in Triton against the definition in float64: small shapes over a pool of NaN."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
# One KV head, no grouping, groups that are no power of two, dimensions that fill no block.
SHAPES = [(4, 2, 64), (3, 3, 20), (7, 1, 128), (6, 2, 96)]


@pytest.mark.parametrize("window", [None, 5, 150])
@pytest.mark.parametrize("shape", SHAPES)
def test_decoding_matches_the_definition(
    steps: Any, attend: Any, shape: tuple[int, int, int], window: int | None
) -> None:
    heads, kv_heads, head_dim = shape
    contexts = steps.contexts(random.Random(0), [1, 70, 300, 64])
    step = steps.make(
        [1] * 4,
        contexts,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        dtype=torch.float32,
    )
    ours = attend(step, window)
    torch.testing.assert_close(ours.double(), steps.naive(step, window), rtol=0, atol=1e-5)
