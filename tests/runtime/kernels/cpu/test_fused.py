"""The operators between matrix products against float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from branchline.runtime.kernels.base import Attention
from branchline.runtime.kernels.cpu.attention import CpuAttention
from branchline.runtime.kernels.cpu.library import CpuKernels
from branchline.runtime.kernels.torch_attention import TorchAttention
from branchline.runtime.memory.int8_rows import unrounded

# Relative to the values: half a bit of the last place of bfloat16 is 4e-3.
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 8e-3}
SIZES = [1, 2, 15, 64, 257, 896]


def randn(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3)).to(dtype)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rows", [1, 3, 700])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_rms_norm(kernels: CpuKernels, dtype: torch.dtype, rows: int, size: int) -> None:
    x, weight = randn(rows, size, dtype=dtype) * 3, randn(size, dtype=dtype)
    expected = F.rms_norm(x.double(), (size,), weight.double(), 1e-6)
    ours = kernels.rms_norm(x, weight, 1e-6)
    torch.testing.assert_close(ours.double(), expected, rtol=TOLERANCE[dtype], atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rows", [1, 3, 700])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_silu_mul(kernels: CpuKernels, dtype: torch.dtype, rows: int, size: int) -> None:
    gate_up = randn(rows, 2 * size, dtype=dtype) * 4
    gate, up = gate_up.double().chunk(2, -1)
    ours = kernels.silu_mul(gate_up)
    torch.testing.assert_close(
        ours.double(), F.silu(gate) * up, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype]
    )


@pytest.mark.parametrize("gate", [-1e30, -300.0, -88.0, 0.0, 88.0, 300.0, 1e30])
def test_silu_of_extreme_values(kernels: CpuKernels, gate: float) -> None:
    gate_up = torch.tensor([[gate, 1.0]])
    expected = F.silu(torch.tensor(gate, dtype=torch.float64))
    torch.testing.assert_close(
        kernels.silu_mul(gate_up)[0, 0].double(), expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize(("heads", "kv_heads", "head_dim"), [(4, 2, 8), (7, 1, 6), (14, 2, 64)])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_rotate_store_and_attend_is_what_torch_does(
    steps: Any,
    kernels: CpuKernels,
    dtype: torch.dtype,
    heads: int,
    kv_heads: int,
    head_dim: int,
    normed: bool,
) -> None:
    shape = {"heads": heads, "kv_heads": kv_heads, "head_dim": head_dim, "num_slots": 64}
    contexts = [[5, 6, 9, 60, 2], [11, 10], [7]]
    qkv = randn(6, heads + 2 * kv_heads, head_dim, dtype=dtype)
    angles = randn(6, 1, head_dim // 2, dtype=torch.float32) * 9
    cos = torch.cat((angles.cos(), angles.cos()), -1).to(dtype)
    sin = torch.cat((-angles.sin(), angles.sin()), -1).to(dtype)
    weight = randn(heads + kv_heads, head_dim, dtype=dtype)

    def run(attention: Attention[Any], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        step = steps.make([3, 2, 1], contexts, dtype=dtype, **shape)
        norm = (weight.to(dtype), 1e-6) if normed else None
        plan = attention.plan(step.batch)
        inputs = (x.to(dtype).clone() for x in (qkv, cos, sin))
        out = attention.attend_qkv(*inputs, step.layer_kv, plan, None, norm)
        return out, step.layer_kv.heads[:, step.batch.new_slots]

    expected = run(TorchAttention(heads, kv_heads, head_dim), torch.float64)
    ours = run(CpuAttention(kernels, heads, kv_heads, head_dim), dtype)
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 6e-2}[dtype]
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_keys_and_values_are_stored_in_int8_as_torch_stores_them(
    steps: Any, kernels: CpuKernels, dtype: torch.dtype
) -> None:
    """Within one step of the rounding, as the kernels rotate in float32."""
    qkv = randn(6, 14 + 2 * 2, 20, dtype=dtype)
    angles = randn(6, 1, 10, dtype=torch.float32) * 9
    cos = torch.cat((angles.cos(), angles.cos()), -1).to(dtype)
    sin = torch.cat((-angles.sin(), angles.sin()), -1).to(dtype)

    def stored(attention: Attention[Any]) -> torch.Tensor:
        shape = {"heads": 14, "kv_heads": 2, "head_dim": 20, "num_slots": 64}
        contexts = [[5, 6, 9, 60, 2], [11, 10], [7]]
        step = steps.make([3, 2, 1], contexts, dtype=dtype, kv_dtype=torch.int8, **shape)
        plan = attention.plan(step.batch)
        attention.attend_qkv(qkv.clone(), cos, sin, step.layer_kv, plan, None)
        return unrounded(step.layer_kv.heads[:, step.batch.new_slots], torch.float64)

    expected = stored(TorchAttention(14, 2, 20))
    tolerance = expected.abs().amax(-1, keepdim=True) * (1.01 / 127 + 2**-7)
    assert ((stored(CpuAttention(kernels, 14, 2, 20)) - expected).abs() <= tolerance).all()


def test_dtypes_without_a_kernel_are_refused(kernels: CpuKernels) -> None:
    with pytest.raises(ValueError, match=r"float16"):
        kernels.silu_mul(torch.zeros(1, 2, dtype=torch.float16))
