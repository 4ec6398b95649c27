"""Qwen3 with experts (arXiv:2505.09388): Qwen3's attention, and in most layers a mixture.

Made by the registry. The mixture is `mixture.py`; layers without one are plain.
"""

from __future__ import annotations

from typing import Final

from .config import ModelConfig
from .decoder import CausalLM, FeedForward
from .loader import Weights
from .mixture import Mixture, MixtureNames
from .qwen3 import Qwen3Attention

_NAMES: Final = MixtureNames(
    "gate.weight",
    "experts.{}.gate_proj.weight",
    "experts.{}.up_proj.weight",
    "experts.{}.down_proj.weight",
)


class Qwen3MoeForCausalLM(CausalLM):
    attention_block = Qwen3Attention

    @classmethod
    def feed_forward(
        cls, weights: Weights, name: str, config: ModelConfig, layer: int
    ) -> FeedForward:
        if config.experts is None or layer not in config.experts.layers:
            return super().feed_forward(weights, name, config, layer)
        return Mixture(weights, f"{name}.mlp", _NAMES, config)
