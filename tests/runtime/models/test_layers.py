"""Fast forms of layers against torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from branchline.runtime.models.layers import rms_norm_cpu


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
