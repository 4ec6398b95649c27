"""Rows of int8: near what went in, whole through the pool, and loud about what is not finite."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from branchline.runtime.memory.int8_rows import rounded, row_size, unrounded
from branchline.runtime.memory.kv_pool import KVPool

ROWS = arrays(np.float32, (2, 5), elements=st.floats(-(2.0**100), 2.0**100, width=32))


@given(ROWS)
def test_a_row_is_off_by_half_a_step_of_its_largest_number_at_most(rows):
    x = torch.from_numpy(rows)
    step = x.abs().amax(-1, keepdim=True) / 127
    there = rounded(x)
    assert there.dtype is torch.int8
    assert there.shape == (2, row_size(5, torch.int8))
    assert ((unrounded(there, torch.float32) - x).abs() <= step * 0.5001 + 1e-28).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_shows_in_its_whole_row(value):
    there = unrounded(rounded(torch.tensor([1.0, value, 2.0])), torch.float32)
    assert not there.isfinite().any()


def test_a_pool_of_such_rows_gives_back_what_was_written():
    pools = [KVPool(2, 8, 1, 6, torch.int8, torch.device("cpu")) for _ in range(2)]
    for layer in pools[0].layers:
        layer.heads[:] = rounded(torch.randn(2, 8, 6))
    slots = np.array([3, 0, 7], dtype=np.int64)
    pools[1].write(slots, pools[0].read(slots))
    for ours, theirs in zip(pools[1].layers, pools[0].layers, strict=True):
        assert torch.equal(ours.heads[:, [3, 0, 7]], theirs.heads[:, [3, 0, 7]])
    assert KVPool.bytes_per_slot(2, 1, 6, torch.int8) == 2 * 2 * (6 + 4)
