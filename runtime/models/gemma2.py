"""Gemma 2 (arXiv:2408.00118): soft caps on scores and logits, a window in every other layer, and a
norm behind attention and MLP, too.

Made by the registry. The rest of the model is `decoder.py`; the windows are `ModelConfig`'s.
"""

from __future__ import annotations

import torch

from ..kernels.torch_attention import cap_softly
from ..memory.kv_pool import LayerKV
from .config import CapsConfig, ModelConfig
from .decoder import CausalLM, FeedForward, StepContext
from .layers import Linear, OffsetRMSNorm, gelu_mul
from .llama import LlamaAttention
from .loader import Weights


class Gemma2Attention(LlamaAttention):
    """Llama's, with scores divided by another root than that of head_dim, and normalised before it
    is added. The soft cap is in the kernels."""

    def __init__(self, weights: Weights, name: str, config: ModelConfig, layer: int) -> None:
        super().__init__(weights, name, config, layer)
        self.num_heads = config.num_heads
        self.query_factor = (config.head_dim / caps_of(config).query_scalar) ** 0.5
        self.norm = OffsetRMSNorm(
            weights,
            f"model.layers.{layer}.post_attention_layernorm",
            config.hidden_size,
            config.rms_norm_eps,
        )

    def add_to(
        self, residual: torch.Tensor, x: torch.Tensor, layer_kv: LayerKV, step: StepContext
    ) -> torch.Tensor:
        qkv = self.qkv_proj(x).view(-1, self.all_heads, self.head_dim)
        if self.query_factor != 1:
            qkv[:, : self.num_heads] *= self.query_factor
        out = step.attend(qkv, layer_kv, self.window)
        return residual.add_(self.norm(self.o_proj(out)))


class Gemma2MLP:
    """norm(down(gelu(gate(x)) * up(x)))."""

    def __init__(self, weights: Weights, name: str, config: ModelConfig) -> None:
        hidden, size = config.hidden_size, config.intermediate_size
        self._ops = weights.ops
        names = [f"{name}.mlp.gate_proj", f"{name}.mlp.up_proj"]
        self.gate_up = Linear(weights, names, [size, size], hidden, bias=False)
        self.down = Linear(weights, [f"{name}.mlp.down_proj"], [hidden], size, bias=False)
        self.norm = OffsetRMSNorm(
            weights, f"{name}.post_feedforward_layernorm", hidden, config.rms_norm_eps
        )

    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """residual + mlp(x), in place."""
        return residual.add_(self.norm(self.down(gelu_mul(self.gate_up(x), self._ops))))


class Gemma2ForCausalLM(CausalLM):
    attention_block = Gemma2Attention
    norm_class = OffsetRMSNorm
    second_norm = "pre_feedforward_layernorm"

    @classmethod
    def feed_forward(
        cls, weights: Weights, name: str, config: ModelConfig, layer: int
    ) -> FeedForward:
        return Gemma2MLP(weights, name, config)

    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        x = super().embed(token_ids)
        # Rounded to the model's type, as it was in training.
        return x.mul_(float(torch.tensor(self.config.hidden_size**0.5, dtype=x.dtype)))

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        logits = super().logits(states)
        cap = caps_of(self.config).logits
        return logits if cap is None else cap_softly(logits.float(), cap)


def caps_of(config: ModelConfig) -> CapsConfig:
    if config.caps is None:
        raise ValueError(f"{config.architecture} is not Gemma 2's")
    return config.caps
