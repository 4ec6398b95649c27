"""Mixtral (arXiv:2401.04088): Llama's attention, and in every layer a mixture of experts.

Made by the registry. The mixture is `mixture.py`.
"""

from __future__ import annotations

from typing import Final

from .config import ModelConfig
from .decoder import CausalLM, FeedForward
from .llama import LlamaAttention
from .loader import Weights
from .mixture import Mixture, MixtureNames

_NAMES: Final = MixtureNames(
    "gate.weight", "experts.{}.w1.weight", "experts.{}.w3.weight", "experts.{}.w2.weight"
)


class MixtralForCausalLM(CausalLM):
    attention_block = LlamaAttention

    @classmethod
    def feed_forward(
        cls, weights: Weights, name: str, config: ModelConfig, layer: int
    ) -> FeedForward:
        return Mixture(weights, f"{name}.block_sparse_moe", _NAMES, config)
