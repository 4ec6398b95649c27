"""Fast forms of layers against torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from branchline.runtime.models.config import RopeConfig
from branchline.runtime.models.layers import RotaryTable, rms_norm_cpu, rotary_frequencies


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 8e-3)])
def test_rms_norm_is_that_of_torch(dtype: torch.dtype, tolerance: float, scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(7, 48, generator=generator) * scale).to(dtype)
    weight = torch.rand(48, generator=generator).to(dtype)
    eps = 1e-5
    ours = rms_norm_cpu(x, weight.float() * 48**0.5, torch.tensor((48 * eps) ** 0.5))
    assert ours.dtype is dtype
    expected = F.rms_norm(x.double(), (48,), weight.double(), eps)
    torch.testing.assert_close(ours.double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_rotary_table_made_in_parts_is_the_whole_one(dtype: torch.dtype) -> None:
    rope = RopeConfig(theta=10_000.0)
    table = RotaryTable(rope, 64, 5000, dtype, torch.device("cpu"))
    angles = torch.outer(torch.arange(5000.0), rotary_frequencies(rope, 64))
    cos, sin = angles.cos(), angles.sin()
    assert torch.equal(table.cos, torch.cat((cos, cos), -1).to(dtype).unsqueeze(1))
    assert torch.equal(table.sin, torch.cat((-sin, sin), -1).to(dtype).unsqueeze(1))


def test_a_rotary_table_takes_little_beside_itself() -> None:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        table = RotaryTable(
            RopeConfig(theta=10_000.0), 64, 32_768, torch.bfloat16, torch.device("cpu")
        )
    now = most = 0
    for event in seen.profiler.kineto_results.events():  # type: ignore[union-attr]
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    assert table.cos.nbytes + table.sin.nbytes <= most < 1.5 * 2 * table.cos.nbytes
