"""Building blocks that the decoder families share; inference only, plain tensors.

They are not `nn.Module`s: at the size of the embedded model a module call costs as much as the
arithmetic in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F

from ..kernels.base import LayerOps, LinearOp
from .config import RopeConfig
from .loader import Weights

EMBEDDING: Final = "model.embed_tokens.weight"
_POSITIONS: Final = 2048  # of a rotary table that are computed at once


class Linear:
    """y = x W^T + b, `weight: [out, in]`. Several projections of the same input are one matrix."""

    __slots__ = ("bias", "weight")

    def __init__(
        self, weights: Weights, names: Sequence[str], outs: Sequence[int], inp: int, bias: bool
    ) -> None:
        self.weight = weights.pack_rows([f"{n}.weight" for n in names], [(o, inp) for o in outs])
        self.bias: torch.Tensor | None = None
        if bias:
            self.bias = weights.take_rows([f"{n}.bias" for n in names], [(o,) for o in outs])

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return product(x, self.weight, self.bias)

    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """residual + self(x), in place: the sum costs no pass of its own."""
        if not isinstance(self.weight, torch.Tensor):
            return self.weight.add_to(residual, x, self.bias)
        residual.addmm_(x, self.weight.mT)
        return residual if self.bias is None else residual.add_(self.bias)


def product(
    x: torch.Tensor, weight: torch.Tensor | LinearOp, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """x weight^T + bias, for a weight that is packed or as it was."""
    if isinstance(weight, torch.Tensor):
        return F.linear(x, weight, bias)
    return weight(x, bias)


class Vocabulary:
    """Embedding of tokens and logits over them, each [vocab, hidden]; one weight where tied."""

    __slots__ = ("dtype", "embedding", "head")

    def __init__(self, weights: Weights, vocab_size: int, hidden: int, tied: bool) -> None:
        shape = (vocab_size, hidden)
        self.dtype = weights.dtype
        self.embedding: torch.Tensor | LinearOp
        if tied:
            weights.discard("lm_head.weight")
            self.embedding = weights.pack_rows([EMBEDDING], [shape], "vocabulary")
            self.head = self.embedding
        else:
            self.embedding = weights.take(EMBEDDING, shape)
            self.head = weights.pack_rows(["lm_head.weight"], [shape], "vocabulary")

    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        """[tokens, hidden]"""
        if isinstance(self.embedding, torch.Tensor):
            return F.embedding(token_ids, self.embedding)
        return self.embedding.rows(token_ids, self.dtype)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, vocab]"""
        if isinstance(self.head, torch.Tensor):
            return F.linear(x, self.head)
        return self.head(x, None, torch.float32)


class RMSNorm:
    """x / rms(x) * weight over the last dimension (arXiv:1910.07467)."""

    __slots__ = ("_ops", "eps", "eps_root", "scaled_weight", "weight")

    def __init__(self, weights: Weights, name: str, size: int, eps: float) -> None:
        self._ops = weights.ops
        self.weight = weights.take(f"{name}.weight", (size,))
        self.eps = eps
        self.scaled_weight = self.weight.float() * size**0.5
        self.eps_root = torch.tensor((size * eps) ** 0.5, device=self.weight.device)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self._ops is not None:
            return self._ops.rms_norm(x, self.weight, self.eps)
        if x.device.type != "cpu":
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        return rms_norm_cpu(x, self.scaled_weight, self.eps_root)


class OffsetRMSNorm(RMSNorm):
    """x / rms(x) * (1 + weight), as in Gemma. The sum stays in float32: bfloat16 would round it."""

    __slots__ = ()

    def __init__(self, weights: Weights, name: str, size: int, eps: float) -> None:
        super().__init__(weights, name, size, eps)
        self.weight = self.weight.float() + 1
        self.scaled_weight = self.weight * size**0.5

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        on_cpu = x.device.type == "cpu"
        if self._ops is not None and (not on_cpu or x.dtype is torch.float32):
            return self._ops.rms_norm(x, self.weight, self.eps)
        if on_cpu:
            return rms_norm_cpu(x, self.scaled_weight, self.eps_root)
        return F.rms_norm(x.float(), self.weight.shape, self.weight, self.eps).to(x.dtype)


def rms_norm_cpu(
    x: torch.Tensor, scaled_weight: torch.Tensor, eps_root: torch.Tensor
) -> torch.Tensor:
    """`F.rms_norm` with half the operators, where torch has no fused kernel for it.

    With n = size: x / sqrt(|x|^2 / n + eps) = x * sqrt(n) / hypot(|x|, sqrt(n * eps)).
    scaled_weight: [n], weight * sqrt(n); eps_root: sqrt(n * eps); both float32, as all arithmetic.
    """
    norm = torch.linalg.vector_norm(x, 2, -1, True, dtype=torch.float32)
    return (x * scaled_weight).div_(norm.hypot_(eps_root)).to(x.dtype)


class GatedMLP:
    """down(silu(gate(x)) * up(x)) (arXiv:2002.05202), gate and up as one matrix."""

    __slots__ = ("_ops", "down", "gate_up")

    def __init__(self, weights: Weights, name: str, hidden: int, size: int, bias: bool) -> None:
        self._ops = weights.ops
        names = [f"{name}.gate_proj", f"{name}.up_proj"]
        self.gate_up = Linear(weights, names, [size, size], hidden, bias)
        self.down = Linear(weights, [f"{name}.down_proj"], [hidden], size, bias)

    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """residual + mlp(x), in place."""
        return self.down.add_to(residual, silu_mul(self.gate_up(x), self._ops))


def silu_mul(gate_up: torch.Tensor, ops: LayerOps | None) -> torch.Tensor:
    """silu(gate) * up: [rows, size], for `gate_up: [rows, 2 * size]`, gate first."""
    if ops is not None:
        return ops.silu_mul(gate_up)
    gate, up = gate_up.chunk(2, -1)
    return F.silu(gate).mul_(up)


def gelu_mul(gate_up: torch.Tensor, ops: LayerOps | None) -> torch.Tensor:
    """gelu(gate) * up, by gelu's approximation with tanh; else as `silu_mul`."""
    if ops is not None:
        return ops.gelu_mul(gate_up)
    gate, up = gate_up.chunk(2, -1)
    return F.gelu(gate, approximate="tanh").mul_(up)


def rotary_frequencies(rope: RopeConfig, head_dim: int) -> torch.Tensor:
    """Angle per position for each pair of dimensions: [head_dim / 2], float32.

    The arithmetic follows transformers' modeling_rope_utils.py step by step, in float32, so that
    both give the same bits.
    """
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
    frequencies = 1.0 / (rope.theta**exponents)
    if rope.kind == "linear":
        return frequencies / rope.factor
    if rope.kind == "default":
        return frequencies
    low_wavelength = rope.original_context / rope.low_freq_factor
    high_wavelength = rope.original_context / rope.high_freq_factor
    wavelengths = 2 * math.pi / frequencies
    blend = (rope.original_context / wavelengths - rope.low_freq_factor) / (
        rope.high_freq_factor - rope.low_freq_factor
    )
    blended = (1 - blend) * frequencies / rope.factor + blend * frequencies
    scaled = torch.where(wavelengths > low_wavelength, frequencies / rope.factor, frequencies)
    between = (wavelengths >= high_wavelength) & (wavelengths <= low_wavelength)
    return torch.where(between, blended, scaled)


class RotaryTable:
    """cos and sin of every position (arXiv:2104.09864), in the half-split layout of checkpoints.

    rotate(x) = x * cos + (-x2, x1) * sin with x = (x1, x2). The table's sin carries the sign, so
    that the second term is a roll by half: (x2, x1) * (-sin, sin).
    """

    def __init__(
        self,
        rope: RopeConfig,
        head_dim: int,
        max_positions: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        frequencies = rotary_frequencies(rope, head_dim)
        self.cos = torch.empty(max_positions, 1, head_dim, dtype=dtype, device=device)
        self.sin = torch.empty_like(self.cos)
        # In parts: at once, what lies between is the most that loading a small model takes.
        for start in range(0, max_positions, _POSITIONS):
            end = min(start + _POSITIONS, max_positions)
            angles = torch.outer(torch.arange(start, end, dtype=torch.float32), frequencies)
            cos, sin = angles.cos(), angles.sin()
            self.cos[start:end, 0] = torch.cat((cos, cos), -1)
            self.sin[start:end, 0] = torch.cat((-sin, sin), -1)

    def rows(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """cos and signed sin of the tokens of one step: each [tokens, 1, head_dim]."""
        return self.cos.index_select(0, positions), self.sin.index_select(0, positions)
