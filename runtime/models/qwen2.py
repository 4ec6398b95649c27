"""Qwen2 and Qwen2.5 (arXiv:2407.10671, 2412.15115): Llama with a bias on q, k and v only.

Made by the registry. The rest of the model is `decoder.py`.
"""

from __future__ import annotations

import torch

from ..memory.kv_pool import LayerKV
from .config import ModelConfig
from .decoder import AttentionBlock, CausalLM, StepContext
from .layers import Linear
from .loader import Weights


class Qwen2Attention(AttentionBlock):
    """q, k, v from one matrix with bias; q and k rotated together; o_proj without bias."""

    def __init__(self, weights: Weights, name: str, config: ModelConfig, layer: int) -> None:
        heads, kv_heads, dim = config.num_heads, config.num_kv_heads, config.head_dim
        self.all_heads, self.head_dim = heads + 2 * kv_heads, dim
        self.window = config.layer_windows[layer]
        self.qkv_proj = Linear(
            weights,
            [f"{name}.q_proj", f"{name}.k_proj", f"{name}.v_proj"],
            [heads * dim, kv_heads * dim, kv_heads * dim],
            config.hidden_size,
            bias=True,
        )
        self.o_proj = Linear(
            weights, [f"{name}.o_proj"], [config.hidden_size], heads * dim, bias=False
        )

    def add_to(
        self, residual: torch.Tensor, x: torch.Tensor, layer_kv: LayerKV, step: StepContext
    ) -> torch.Tensor:
        qkv = self.qkv_proj(x).view(-1, self.all_heads, self.head_dim)
        out = step.attend(qkv, layer_kv, self.window)
        return self.o_proj.add_to(residual, out)


class Qwen2ForCausalLM(CausalLM):
    attention_block = Qwen2Attention
