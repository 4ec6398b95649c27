"""Rotate and store in one pass against the reference attention's own steps in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from branchline.runtime.kernels.rotary import rotate
from branchline.runtime.kernels.triton.rope import rope_store
from branchline.runtime.memory.kv_pool import KVPool, LayerKV

# bfloat16: a step of the last place of values up to 4.
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 3e-2}
NUM_SLOTS = 32


def layer(kv_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device) -> LayerKV:
    return KVPool(1, NUM_SLOTS, kv_heads, head_dim, dtype, device).layers[0]


def inputs(
    heads: int, kv_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """qkv of three tokens, cos and signed sin, and weights of a norm per rotated head."""
    rng = torch.Generator().manual_seed(5)
    qkv = torch.randn(3, heads + 2 * kv_heads, head_dim, generator=rng)
    angles = torch.randn(3, 1, head_dim // 2, generator=rng) * 9
    cos = torch.cat((angles.cos(), angles.cos()), -1)
    sin = torch.cat((-angles.sin(), angles.sin()), -1)
    weight = torch.rand(heads + kv_heads, head_dim, generator=rng) + 0.5
    return (
        qkv.to(device, dtype),
        cos.to(device, dtype),
        sin.to(device, dtype),
        weight.to(device, dtype),
    )


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize(("heads", "kv_heads", "head_dim"), [(4, 2, 8), (7, 1, 6), (14, 2, 64)])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_queries_are_rotated_and_keys_and_values_lie_in_their_slots(
    device: torch.device, dtype: torch.dtype, heads: int, kv_heads: int, head_dim: int, normed: bool
) -> None:
    qkv, cos, sin, weight = inputs(heads, kv_heads, head_dim, dtype, device)
    layer_kv = layer(kv_heads, head_dim, dtype, device)
    slots = torch.tensor([9, 0, 31], device=device)
    rotated = qkv[:, : heads + kv_heads].double()
    values = qkv[:, heads + kv_heads :].clone()
    if normed:
        rotated = F.rms_norm(rotated, (head_dim,), None, 1e-6) * weight.double()
    rotated = rotate(rotated, cos.double(), sin.double())

    rope_store(qkv, cos, sin, layer_kv, slots, (weight, 1e-6) if normed else None)

    close = {"rtol": 0, "atol": TOLERANCE[dtype]}
    torch.testing.assert_close(qkv[:, :heads].double(), rotated[:, :heads], **close)
    torch.testing.assert_close(layer_kv.k[slots].double(), rotated[:, heads:], **close)
    assert torch.equal(layer_kv.v[slots], values)
    others = torch.ones(NUM_SLOTS, dtype=torch.bool)
    others[slots.cpu()] = False
    assert not layer_kv.heads[:, others].any()


def test_a_token_of_a_padded_graph_stores_nothing(device: torch.device) -> None:
    qkv, cos, sin, _ = inputs(2, 1, 8, torch.float32, device)
    layer_kv = layer(1, 8, torch.float32, device)
    rope_store(qkv, cos, sin, layer_kv, torch.tensor([3, -1, -1], device=device))
    assert layer_kv.heads[:, 3].any()
    layer_kv.heads[:, 3] = 0
    assert not layer_kv.heads.any()


def test_a_float8_pool_takes_what_fits_and_clamps_the_rest(device: torch.device) -> None:
    qkv, cos, sin, _ = inputs(2, 1, 8, torch.float32, device)
    # Values that float8 has: the interpreter rounds others wrongly.
    qkv = qkv.to(torch.float8_e4m3fn).float()
    qkv[0, -1, 0], qkv[1, -1, 5] = 1e4, -1e4
    expected = qkv[:, -1].clamp(-448, 448)
    layer_kv = layer(1, 8, torch.float8_e4m3fn, device)
    rope_store(qkv, cos, sin, layer_kv, torch.tensor([3, 7, 1], device=device))
    assert torch.equal(layer_kv.heads.float()[1, [3, 7, 1]], expected)


def test_heads_with_gaps_between_tokens_are_refused(device: torch.device) -> None:
    qkv, cos, sin, _ = inputs(2, 1, 8, torch.float32, device)
    slots = torch.tensor([0, 1, 2], device=device)
    with pytest.raises(ValueError, match="contiguous"):
        rope_store(qkv[:, ::2], cos, sin, layer(1, 8, torch.float32, device), slots)
