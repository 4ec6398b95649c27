"""Which class serves which `architectures` entry; used by the runner to build the model."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch

from ..kernels.base import LayerOps
from .config import ModelConfig
from .decoder import CausalLM
from .gemma2 import Gemma2ForCausalLM
from .llama import LlamaForCausalLM
from .loader import Weights
from .mistral import MistralForCausalLM
from .mixtral import MixtralForCausalLM
from .qwen2 import Qwen2ForCausalLM
from .qwen3 import Qwen3ForCausalLM
from .qwen3_moe import Qwen3MoeForCausalLM

MODEL_CLASSES: Final[dict[str, type[CausalLM]]] = {
    "Gemma2ForCausalLM": Gemma2ForCausalLM,
    "LlamaForCausalLM": LlamaForCausalLM,
    "MistralForCausalLM": MistralForCausalLM,
    "MixtralForCausalLM": MixtralForCausalLM,
    "Qwen2ForCausalLM": Qwen2ForCausalLM,
    "Qwen3ForCausalLM": Qwen3ForCausalLM,
    "Qwen3MoeForCausalLM": Qwen3MoeForCausalLM,
}


def load_model(
    model_dir: Path,
    config: ModelConfig,
    *,
    max_positions: int,
    dtype: torch.dtype,
    device: torch.device,
    ops: LayerOps | None = None,
) -> CausalLM:
    """The model in `model_dir` with its weights and fused operators; raises ModelLoadError."""
    with Weights(model_dir, dtype, device, ops, float8=config.float8) as weights:
        model = MODEL_CLASSES[config.architecture](weights, config, max_positions, dtype, device)
        weights.finish()
    return model
