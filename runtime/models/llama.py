"""Llama 1-3 (arXiv:2302.13971, 2307.09288, 2407.21783): grouped-query attention, rotary, no bias.

Made by the registry. The rest of the model is `decoder.py`.
"""

from __future__ import annotations

import torch

from ..memory.kv_pool import LayerKV
from .config import ModelConfig
from .decoder import AttentionBlock, CausalLM, StepContext
from .layers import Linear
from .loader import Weights


class LlamaAttention(AttentionBlock):
    """q, k, v from one matrix; q and k rotated together; o_proj back to the hidden size."""

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

    def add_to(
        self, residual: torch.Tensor, x: torch.Tensor, layer_kv: LayerKV, step: StepContext
    ) -> torch.Tensor:
        qkv = self.qkv_proj(x).view(-1, self.all_heads, self.head_dim)
        out = step.attend(qkv, layer_kv, self.window)
        return self.o_proj.add_to(residual, out)


class LlamaForCausalLM(CausalLM):
    attention_block = LlamaAttention
