"""RMSNorm against float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from branchline.runtime.kernels.triton.norm import add_rms_norm, rms_norm

# A step of the last place: the interpreter cuts what a GPU rounds to bfloat16.
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 8e-3, torch.float16: 1e-3}


def randn(*shape: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3)).to(device, dtype)


@pytest.mark.parametrize("size", [1, 15, 64, 257])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_rms_norm(device: torch.device, dtype: torch.dtype, size: int) -> None:
    x = randn(3, size, dtype=dtype, device=device) * 3
    weight = randn(size, dtype=dtype, device=device)
    expected = F.rms_norm(x.double(), (size,), weight.double(), 1e-6)
    ours = rms_norm(x, weight, 1e-6)
    torch.testing.assert_close(ours.double(), expected, rtol=TOLERANCE[dtype], atol=1e-6)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_residual_becomes_the_sum_whose_norm_is_returned(
    device: torch.device, dtype: torch.dtype
) -> None:
    x, weight = (randn(*s, dtype=dtype, device=device) for s in ((4, 96), (96,)))
    residual = x.flip(0) * 5
    total = residual + x
    ours = add_rms_norm(x, residual, weight, 1e-5)
    torch.testing.assert_close(residual, total, rtol=TOLERANCE[dtype], atol=0)
    expected = F.rms_norm(residual.double(), (96,), weight.double(), 1e-5)
    torch.testing.assert_close(ours.double(), expected, rtol=TOLERANCE[dtype], atol=1e-6)


def test_rows_with_gaps_between_them_are_read_in_place(device: torch.device) -> None:
    wide = randn(5, 80, dtype=torch.float32, device=device)
    weight = randn(32, dtype=torch.float32, device=device)
    ours = rms_norm(wide[:, 16:48], weight, 1e-6)
    assert torch.equal(ours, rms_norm(wide[:, 16:48].contiguous(), weight, 1e-6))


def test_a_row_that_is_not_finite_spoils_no_other(device: torch.device) -> None:
    x = randn(3, 40, dtype=torch.float32, device=device)
    weight = torch.ones(40, device=device)
    clean = rms_norm(x, weight, 1e-6)
    x[1, 7] = torch.nan
    out = rms_norm(x, weight, 1e-6)
    assert out[1].isnan().all()
    assert torch.equal(out[[0, 2]], clean[[0, 2]])


def test_no_rows_give_no_rows(device: torch.device) -> None:
    out = rms_norm(torch.empty(0, 8, device=device), torch.ones(8, device=device), 1e-6)
    assert out.shape == (0, 8)


def test_shapes_that_do_not_fit_are_refused(device: torch.device) -> None:
    x, weight = torch.zeros(2, 8, device=device), torch.ones(8, device=device)
    with pytest.raises(ValueError, match=r"weight of 8"):
        rms_norm(torch.zeros(2, 9, device=device), weight, 1e-6)
    with pytest.raises(ValueError, match=r"residual"):
        add_rms_norm(x, torch.zeros(3, 8, device=device), weight, 1e-6)
