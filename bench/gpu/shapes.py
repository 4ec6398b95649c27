"""Models in the shapes of published ones with random weights, made where they are used.

Speed does not depend on what weights say. Nothing is downloaded and nothing is written to disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from branchline.runtime.device.base import Device, Kernels
from branchline.runtime.engine.graphs import DecodeGraphs
from branchline.runtime.kernels.base import Attention, LayerOps, LinearOp, WeightUse
from branchline.runtime.memory.kv_pool import KVPool
from branchline.runtime.models.config import ModelConfig, RopeConfig
from branchline.runtime.models.decoder import CausalLM
from branchline.runtime.models.loader import packed_or_plain
from branchline.runtime.models.registry import MODEL_CLASSES

LLAMA_8B = ModelConfig(
    architecture="LlamaForCausalLM",
    vocab_size=128_256,
    hidden_size=4096,
    intermediate_size=14_336,
    num_layers=32,
    num_heads=32,
    num_kv_heads=8,
    head_dim=128,
    rms_norm_eps=1e-5,
    rope=RopeConfig(500_000.0, "llama3", 8.0, 1.0, 4.0, 8192),
    context_length=131_072,
    tie_word_embeddings=False,
    attention_bias=False,
    mlp_bias=False,
    layer_windows=(None,) * 32,
    eos_token_ids=(128_001,),
)
QWEN3_06B = ModelConfig(
    architecture="Qwen3ForCausalLM",
    vocab_size=151_936,
    hidden_size=1024,
    intermediate_size=3072,
    num_layers=28,
    num_heads=16,
    num_kv_heads=8,
    head_dim=128,
    rms_norm_eps=1e-6,
    rope=RopeConfig(1_000_000.0),
    context_length=40_960,
    tie_word_embeddings=True,
    attention_bias=False,
    mlp_bias=False,
    layer_windows=(None,) * 28,
    eos_token_ids=(151_645,),
)
TINY = ModelConfig(
    architecture="LlamaForCausalLM",
    vocab_size=500,
    hidden_size=64,
    intermediate_size=96,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=16,
    rms_norm_eps=1e-6,
    rope=RopeConfig(10_000.0),
    context_length=4096,
    tie_word_embeddings=False,
    attention_bias=False,
    mlp_bias=False,
    layer_windows=(None,) * 2,
    eos_token_ids=(0,),
)


class RandomWeights:
    """As much of `loader.Weights` as the families' constructors use."""

    def __init__(self, dtype: torch.dtype, device: torch.device, ops: LayerOps | None) -> None:
        self.ops = ops
        self.dtype = dtype
        self.num_bytes = 0
        self._device = device
        self._generator = torch.Generator(device).manual_seed(1234)

    def take(self, name: str, shape: Sequence[int]) -> torch.Tensor:
        made = torch.empty(*shape, dtype=self.dtype, device=self._device)
        self.num_bytes += made.nbytes
        if len(shape) == 1:
            return made.fill_(1.0)
        return made.normal_(0.0, shape[-1] ** -0.5, generator=self._generator)

    def take_rows(self, names: Sequence[str], shapes: Sequence[Sequence[int]]) -> torch.Tensor:
        return torch.cat([self.take(n, s) for n, s in zip(names, shapes, strict=True)])

    def keep_rows(self, names: Sequence[str], shapes: Sequence[Sequence[int]]) -> torch.Tensor:
        return self.take_rows(names, shapes)

    def pack_rows(
        self, names: Sequence[str], shapes: Sequence[Sequence[int]], use: WeightUse = "layer"
    ) -> torch.Tensor | LinearOp:
        return packed_or_plain(self.take_rows(names, shapes), self.ops, use)

    def discard(self, name: str) -> None:
        """There is none."""


@dataclass(frozen=True)
class Built:
    """A model with all that it needs for a step. weight_bytes: that a decode step reads."""

    config: ModelConfig
    device: Device
    model: CausalLM
    pool: KVPool
    attention: Attention[Any]
    graphs: DecodeGraphs | None
    num_slots: int
    weight_bytes: int
    kernels: str

    @property
    def kv_bytes_per_token(self) -> int:
        config = self.config
        return KVPool.bytes_per_slot(
            config.num_layers, config.num_kv_heads, config.head_dim, self.pool.layers[0].k.dtype
        )


def build(
    config: ModelConfig,
    device: Device,
    dtype: torch.dtype,
    *,
    num_slots: int,
    kernels: Kernels | None = None,
) -> Built:
    """The model of `config` on `device`, by default with its best kernels, and `num_slots` KV
    slots."""
    kernels = kernels or device.kernels("auto", "none", dtype)
    where = device.torch_device
    weights = RandomWeights(dtype, where, kernels.ops)
    family: Any = MODEL_CLASSES[config.architecture]
    model = family(weights, config, min(config.context_length, num_slots), dtype, where)
    shape = (config.num_kv_heads, config.head_dim)
    # One slot more, which belongs to the rows that only fill a captured step.
    pool = KVPool(config.num_layers, num_slots + 1, *shape, dtype, where)
    attention = kernels.attention(config.num_heads, *shape, None)
    graphs = None
    if device.captures:

        def compute(batch: Any, plan: Any) -> torch.Tensor:
            logits: torch.Tensor = model.forward(batch, pool, attention, plan)
            return logits

        graphs = DecodeGraphs(
            device, attention, compute, config.layer_windows, num_slots, config.vocab_size
        )
    read_bytes = weights.num_bytes
    if not config.tie_word_embeddings:  # of the embedding a step reads a few rows only
        read_bytes -= config.vocab_size * config.hidden_size * dtype.itemsize
    return Built(
        config, device, model, pool, attention, graphs, num_slots, read_bytes, kernels.description
    )
