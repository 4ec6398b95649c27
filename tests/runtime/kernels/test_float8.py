"""Weights of fp8 checkpoints: what their scales mean, and how several become one."""

from __future__ import annotations

import pytest
import torch

from branchline.runtime.kernels.float8 import Float8Weight, float8_weight, stacked


def codes_of(outputs: int, inputs: int) -> torch.Tensor:
    return torch.randn(outputs, inputs).to(torch.float8_e4m3fn)


def made(outputs: int, inputs: int, scales: torch.Tensor) -> Float8Weight:
    return float8_weight(codes_of(outputs, inputs), scales, torch.float32)


def test_a_scale_per_square_of_128_counts_rows_and_columns() -> None:
    scales = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    weight = made(130, 257, scales)
    factors = weight.whole() / weight.codes.float()
    assert [factors[n, k].item() for n, k in ((127, 127), (0, 128), (129, 256))] == [1, 2, 6]


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (6,), (6, 1)])
def test_one_scale_or_one_per_output_may_come_in_any_shape(shape: tuple[int, ...]) -> None:
    scales = torch.rand(shape) + 0.5
    weight = made(6, 300, scales)
    assert torch.equal(weight.whole(), weight.codes.float() * scales.reshape(-1, 1))


@pytest.mark.parametrize("first", [128, 40], ids=["whole squares", "cut squares"])
@pytest.mark.parametrize("second", ["squares", "rows"])
def test_weights_in_one_are_what_they_were(first: int, second: str) -> None:
    parts = [
        made(first, 200, torch.rand(-(-first // 128), 2) + 0.5),
        made(150, 200, torch.rand((2, 2) if second == "squares" else (150, 1)) + 0.5),
    ]
    both = stacked(parts)
    assert both.scale_rows == (128 if (first, second) == (128, "squares") else 1)
    assert torch.equal(both.whole(), torch.cat([part.whole() for part in parts]))


def test_scales_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[2, 3\], one per 128 x 128"):
        made(140, 270, torch.ones(3, 2))
