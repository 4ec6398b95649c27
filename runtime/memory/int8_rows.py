"""Keys and values as rows of 8-bit integers: how they lie in the pool, and in and out of that.

A row of `head_dim` numbers becomes as many int8 and behind them, in four more, the float32 that
they are multiples of: the largest magnitude over 127. So a pool, a tier or a file of such rows is
one tensor like any other. Used by the pool and by attention in torch; kernels/cpu/src/rounding.h
is the same in C++.
"""

from __future__ import annotations

import torch

SCALE_BYTES = 4
_LEAST_SCALE = 1e-30


def row_size(head_dim: int, dtype: torch.dtype) -> int:
    """Elements of a pool's row of `head_dim` numbers."""
    return head_dim + SCALE_BYTES if dtype is torch.int8 else head_dim


def rounded(x: torch.Tensor) -> torch.Tensor:
    """[..., head_dim] of floats as rows [..., head_dim + 4] of int8. A value that is not finite
    makes its whole row so."""
    x = x.float()
    scale = x.abs().amax(-1, keepdim=True) / 127
    inverse = torch.where(scale > _LEAST_SCALE, 1 / scale, 0.0)
    whole = (x * inverse).round_().nan_to_num_(0.0, 0.0, 0.0).to(torch.int8)
    return torch.cat((whole, scale.contiguous().view(torch.int8)), -1)


def unrounded(rows: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Rows [..., head_dim + 4] of int8 as numbers [..., head_dim]."""
    # A copy begins at an address that floats may have; a slice need not.
    scale = rows[..., -SCALE_BYTES:].clone(memory_format=torch.contiguous_format)
    numbers = rows[..., :-SCALE_BYTES] * scale.view(torch.float32)
    return numbers.to(dtype)
