"""Qwen3, dense (arXiv:2505.09388): no qkv bias; q and k are RMS-normalised per head, then rotated.

Made by the registry. The rest of the model is `decoder.py`.
"""

from __future__ import annotations

import torch

from ..kernels.base import HeadNorm
from ..memory.kv_pool import LayerKV
from .config import ModelConfig
from .decoder import AttentionBlock, CausalLM, StepContext
from .layers import Linear
from .loader import Weights


class Qwen3Attention(AttentionBlock):
    """q, k, v from one matrix; q_norm and k_norm over head_dim; rotation; o_proj."""

    def __init__(self, weights: Weights, name: str, config: ModelConfig, layer: int) -> None:
        heads, kv_heads, dim = config.num_heads, config.num_kv_heads, config.head_dim
        self.all_heads, self.head_dim = heads + 2 * kv_heads, dim
        self.window = config.layer_windows[layer]
        self.qkv_proj = Linear(
            weights,
            [f"{name}.q_proj", f"{name}.k_proj", f"{name}.v_proj"],
            [heads * dim, kv_heads * dim, kv_heads * dim],
            config.hidden_size,
            config.attention_bias,
        )
        self.o_proj = Linear(
            weights, [f"{name}.o_proj"], [config.hidden_size], heads * dim, config.attention_bias
        )
        # One row per rotated head, so that q and k are normalised by one call.
        q_norm = weights.take(f"{name}.q_norm.weight", (dim,)).expand(heads, dim)
        k_norm = weights.take(f"{name}.k_norm.weight", (dim,)).expand(kv_heads, dim)
        self.qk_norm: HeadNorm | None = (torch.cat((q_norm, k_norm)), config.rms_norm_eps)

    def add_to(
        self, residual: torch.Tensor, x: torch.Tensor, layer_kv: LayerKV, step: StepContext
    ) -> torch.Tensor:
        qkv = self.qkv_proj(x).view(-1, self.all_heads, self.head_dim)
        out = step.attend(qkv, layer_kv, self.window, self.qk_norm)
        return self.o_proj.add_to(residual, out)


class Qwen3ForCausalLM(CausalLM):
    attention_block = Qwen3Attention
