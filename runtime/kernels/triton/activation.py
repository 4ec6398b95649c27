"""The gates of MLPs: SiLU or GELU of one half times the other; called by `ops.py` and `moe.py`."""

from __future__ import annotations

from typing import Final, Literal

import torch
import triton
import triton.language as tl

Activation = Literal["silu", "gelu", "gelu_tanh"]

_BLOCK: Final = 1024


@triton.jit
def activate(gate, KIND: tl.constexpr):
    """The activation of float32 `gate`."""
    if KIND == "silu":
        return gate * tl.sigmoid(gate)
    elif KIND == "gelu":
        return 0.5 * gate * (1.0 + tl.erf(gate * 0.7071067811865476))
    else:
        # tanh(z) = 2 sigmoid(2 z) - 1; here z = sqrt(2 / pi) (x + 0.044715 x^3).
        return gate * tl.sigmoid(1.5957691216057308 * (gate + 0.044715 * gate * gate * gate))


@triton.jit
def _gated(gate_up, out, row_stride, size, KIND: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < size
    here = gate_up + row * row_stride + column
    gate = tl.load(here, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(here + size, mask=inside, other=0.0).to(tl.float32)
    product = activate(gate, KIND) * up
    tl.store(out + row * size + column, product.to(out.dtype.element_ty), mask=inside)


def gated(gate_up: torch.Tensor, activation: Activation) -> torch.Tensor:
    """activation(gate) * up: [rows, size], for `gate_up: [rows, 2 * size]`, gate first.

    activation: "silu" (arXiv:2002.05202's SwiGLU), "gelu" (by erf) or "gelu_tanh" (its
    approximation, as in Gemma).
    """
    rows, double = gate_up.shape
    size = double // 2
    if gate_up.stride(1) != 1:
        gate_up = gate_up.contiguous()
    out = torch.empty((rows, size), dtype=gate_up.dtype, device=gate_up.device)
    if rows and size:
        block = min(_BLOCK, triton.next_power_of_2(size))
        _gated[(rows, triton.cdiv(size, block))](
            gate_up, out, gate_up.stride(0), size, KIND=activation, BLOCK=block
        )
    return out


def silu_mul(gate_up: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up."""
    return gated(gate_up, "silu")


def gelu_mul(gate_up: torch.Tensor, *, exact: bool = False) -> torch.Tensor:
    """gelu(gate) * up, by erf where `exact`, else by the tanh approximation."""
    return gated(gate_up, "gelu" if exact else "gelu_tanh")
