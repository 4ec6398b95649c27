"""Rotary embedding of queries and keys (arXiv:2104.09864), in plain PyTorch; used by kernels."""

from __future__ import annotations

import torch


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary embedding of `x: [tokens, heads, head_dim]` with rows of a RotaryTable, whose sin
    carries the sign."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)
