"""The pre-norm decoder that every family here is: embed, layers, norm, head; called by the runner.

A family's file says what its attention does and inherits the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import torch

from ..engine.batch import ForwardBatch
from ..kernels.base import Attention, HeadNorm, LayerOps, LayerParts, WholeParts, WholePass
from ..memory.kv_pool import KVPool, LayerKV
from .config import ModelConfig
from .layers import GatedMLP, Linear, RMSNorm, RotaryTable, Vocabulary
from .loader import Weights


class StepContext:
    """What every layer of one forward step shares: rotary rows and the attention plan."""

    __slots__ = ("_cos_sin", "_positions", "_rotary", "attention", "plan")

    def __init__(
        self, rotary: RotaryTable, batch: ForwardBatch, attention: Attention[Any], plan: object
    ) -> None:
        self._rotary, self._positions = rotary, batch.positions
        self._cos_sin: tuple[torch.Tensor, torch.Tensor] | None = None
        self.attention = attention
        self.plan = attention.plan(batch) if plan is None else plan

    def attend(
        self,
        qkv: torch.Tensor,
        layer_kv: LayerKV,
        window: int | None,
        head_norm: HeadNorm | None = None,
    ) -> torch.Tensor:
        """`Attention.attend_qkv` of this step: [tokens, heads * head_dim]."""
        if self._cos_sin is None:
            self._cos_sin = self._rotary.rows(self._positions)
        cos, sin = self._cos_sin
        return self.attention.attend_qkv(qkv, cos, sin, layer_kv, self.plan, window, head_norm)


class AttentionBlock(ABC):
    """A family's self-attention; stores the new tokens' keys and values on the way.

    qk_norm: per head before the rotation, if a family has it. window: tokens seen, None for all.
    """

    qkv_proj: Linear
    o_proj: Linear
    window: int | None
    qk_norm: HeadNorm | None = None

    @abstractmethod
    def __init__(self, weights: Weights, name: str, config: ModelConfig, layer: int) -> None: ...

    @abstractmethod
    def add_to(
        self, residual: torch.Tensor, x: torch.Tensor, layer_kv: LayerKV, step: StepContext
    ) -> torch.Tensor:
        """residual + attention(x), in place; both are [tokens, hidden]."""


class FeedForward(Protocol):
    """What follows attention in a layer."""

    def add_to(self, residual: torch.Tensor, x: torch.Tensor, /) -> torch.Tensor:
        """residual + feed_forward(x), in place; both are [tokens, hidden]."""


class DecoderLayer:
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(
        self, weights: Weights, config: ModelConfig, layer: int, family: type[CausalLM]
    ) -> None:
        name = f"model.layers.{layer}"
        hidden, eps = config.hidden_size, config.rms_norm_eps
        self.input_layernorm = family.norm_class(weights, f"{name}.input_layernorm", hidden, eps)
        self.self_attn = family.attention_block(weights, f"{name}.self_attn", config, layer)
        self.second_norm = family.norm_class(weights, f"{name}.{family.second_norm}", hidden, eps)
        self.mlp = family.feed_forward(weights, name, config, layer)

    def __call__(self, x: torch.Tensor, layer_kv: LayerKV, step: StepContext) -> torch.Tensor:
        x = self.self_attn.add_to(x, self.input_layernorm(x), layer_kv, step)
        return self.mlp.add_to(x, self.second_norm(x))

    def parts(self) -> LayerParts | None:
        """What `LayerOps.stack` wants to know; None of a layer that is not of that kind."""
        if not isinstance(self.mlp, GatedMLP):
            return None
        return LayerParts(
            input_norm=self.input_layernorm.weight,
            qkv=(self.self_attn.qkv_proj.weight, self.self_attn.qkv_proj.bias),
            head_norm=self.self_attn.qk_norm,
            window=self.self_attn.window,
            out=(self.self_attn.o_proj.weight, self.self_attn.o_proj.bias),
            post_norm=self.second_norm.weight,
            gate_up=(self.mlp.gate_up.weight, self.mlp.gate_up.bias),
            down=(self.mlp.down.weight, self.mlp.down.bias),
            eps=self.input_layernorm.eps,
        )


class CausalLM:
    """A decoder with a language head. Subclasses set `attention_block`, and what else of theirs is
    not the plain one. second_norm: what checkpoints call the norm before the MLP."""

    attention_block: type[AttentionBlock]
    norm_class: type[RMSNorm] = RMSNorm
    second_norm = "post_attention_layernorm"

    @classmethod
    def feed_forward(
        cls, weights: Weights, name: str, config: ModelConfig, layer: int
    ) -> FeedForward:
        """The MLP of the layer `name`."""
        hidden, size = config.hidden_size, config.intermediate_size
        return GatedMLP(weights, f"{name}.mlp", hidden, size, config.mlp_bias)

    def __init__(
        self,
        weights: Weights,
        config: ModelConfig,
        max_positions: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.config = config
        self.vocabulary = Vocabulary(
            weights, config.vocab_size, config.hidden_size, config.tie_word_embeddings
        )
        self.layers = [
            DecoderLayer(weights, config, layer, type(self)) for layer in range(config.num_layers)
        ]
        parts = [part for layer in self.layers if (part := layer.parts()) is not None]
        self.stack = None
        if weights.ops is not None and len(parts) == len(self.layers):
            self.stack = weights.ops.stack(parts)
        self.norm = self.norm_class(weights, "model.norm", config.hidden_size, config.rms_norm_eps)
        self.rotary = RotaryTable(config.rope, config.head_dim, max_positions, dtype, device)
        self.whole = self._whole(weights.ops)

    def _whole(self, ops: LayerOps | None) -> WholePass | None:
        """A decode step in one call, where that is what this family computes."""
        family = type(self)
        is_plain = family.embed is CausalLM.embed and family.logits is CausalLM.logits
        if ops is None or self.stack is None or not is_plain or type(self.norm) is not RMSNorm:
            return None
        return ops.whole(
            WholeParts(
                stack=self.stack,
                embedding=self.vocabulary.embedding,
                norm=self.norm.weight,
                eps=self.norm.eps,
                head=self.vocabulary.head,
                cos=self.rotary.cos,
                sin=self.rotary.sin,
            )
        )

    def forward(
        self,
        batch: ForwardBatch,
        kv_pool: KVPool,
        attention: Attention[Any],
        plan: object = None,
    ) -> torch.Tensor:
        """Logits [rows, vocab] of `batch.logit_rows`; keys and values go into `kv_pool`. plan: of
        `attention` for this step, where the caller has made it."""
        if self.whole is not None:
            plan = attention.plan(batch) if plan is None else plan
            if (logits := self.whole(batch, kv_pool.layers, plan)) is not None:
                return logits
        # Not round the whole: it takes 40 us of a small step, where no operator of torch's runs.
        with torch.inference_mode():
            return self.logits(self.last_states(batch, kv_pool, attention, plan))

    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        """What the first layer is given, [tokens, hidden], which the layers overwrite."""
        return self.vocabulary.embed(token_ids)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """[rows, vocab] of what `last_states` gave."""
        return self.vocabulary.logits(states)

    def last_states(
        self,
        batch: ForwardBatch,
        kv_pool: KVPool,
        attention: Attention[Any],
        plan: object = None,
    ) -> torch.Tensor:
        """What the logits are made of, [rows, hidden] behind the last norm; stores as forward."""
        step = StepContext(self.rotary, batch, attention, plan)
        x = self.embed(batch.token_ids)
        tables = self.rotary.cos, self.rotary.sin, batch.positions
        if self.stack is None or not self.stack(x, kv_pool.layers, step.plan, *tables):
            for layer, layer_kv in zip(self.layers, kv_pool.layers, strict=True):
                x = layer(x, layer_kv, step)
        if len(batch.logit_rows) < len(x):
            x = x.index_select(0, batch.logit_rows)
        return self.norm(x)
