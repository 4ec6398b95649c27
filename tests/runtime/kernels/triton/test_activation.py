"""Gated activations against float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from branchline.runtime.kernels.triton.activation import gelu_mul, silu_mul

TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 8e-3}


def reference(kind: str, gate: torch.Tensor) -> torch.Tensor:
    if kind == "silu":
        return F.silu(gate)
    return F.gelu(gate, approximate="tanh" if kind == "gelu_tanh" else "none")


KINDS: dict[str, Any] = {
    "silu": silu_mul,
    "gelu_tanh": gelu_mul,
    "gelu": lambda gate_up: gelu_mul(gate_up, exact=True),
}


@pytest.mark.parametrize("size", [1, 15, 64, 1500])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_gate_times_up(device: torch.device, dtype: torch.dtype, kind: str, size: int) -> None:
    rng = torch.Generator().manual_seed(3)
    gate_up = (torch.randn(2, 2 * size, generator=rng) * 4).to(device, dtype)
    gate, up = gate_up.double().chunk(2, -1)
    torch.testing.assert_close(
        KINDS[kind](gate_up).double(),
        reference(kind, gate) * up,
        rtol=TOLERANCE[dtype],
        atol=2 * TOLERANCE[dtype],
    )


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_gates_neither_overflow_nor_vanish(device: torch.device, kind: str) -> None:
    gate = torch.tensor([-1e12, -300.0, -88.0, 0.0, 88.0, 300.0, 1e12], device=device)
    gate_up = torch.stack((gate, torch.ones_like(gate)), 1)
    torch.testing.assert_close(
        KINDS[kind](gate_up)[:, 0].double(), reference(kind, gate.double()), rtol=1e-5, atol=1e-6
    )


def test_half_of_a_wider_matrix_is_read_in_place(device: torch.device) -> None:
    wide = torch.randn(3, 40, generator=torch.Generator().manual_seed(1)).to(device)
    assert torch.equal(silu_mul(wide[:, 8:24]), silu_mul(wide[:, 8:24].contiguous()))
