"""Tiny random checkpoints of every family, and a driver that feeds a ModelRunner by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.engine.config import Dtype, EngineConfig, KvDtype
from branchline.runtime.engine.runner import ModelRunner
from branchline.runtime.memory.int8_rows import rounded

NUM_SLOTS = 1024
VOCAB = 131

_SIZE = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "eos_token_id": None,
    "bos_token_id": None,
}
_LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}

_FEW_EXPERTS = {"moe_intermediate_size": 40, "tie_word_embeddings": True}

# Caps so low that they are felt, and a window that is shorter than the prompts.
_LOW_CAPS = {
    "head_dim": 16,
    "sliding_window": 6,
    "attn_logit_softcapping": 2.0,
    "final_logit_softcapping": 3.0,
}

# name: (family, settings beside _SIZE)
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "gemma2": ("Gemma2", {**_LOW_CAPS, "query_pre_attn_scalar": 24}),
    "gemma2_no_caps": (
        "Gemma2",
        {
            "head_dim": 32,
            "query_pre_attn_scalar": 32,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
            "tie_word_embeddings": False,
        },
    ),
    "llama": ("Llama", {}),
    "llama_tied_one_kv_head": ("Llama", {"tie_word_embeddings": True, "num_key_value_heads": 1}),
    "llama_many_heads_of_one_kv_head": (
        "Llama",
        {"num_attention_heads": 66, "num_key_value_heads": 1, "head_dim": 4, "hidden_size": 132},
    ),
    "llama_no_gqa": ("Llama", {"num_key_value_heads": 4}),
    "llama_biases": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama3_rope": ("Llama", {"rope_parameters": _LLAMA3_ROPE}),
    "llama_linear_rope": (
        "Llama",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 5000.0, "factor": 4.0}},
    ),
    "qwen2": ("Qwen2", {}),
    "qwen2_tied_windowed": (
        "Qwen2",
        {
            "tie_word_embeddings": True,
            "use_sliding_window": True,
            "sliding_window": 6,
            "max_window_layers": 1,
        },
    ),
    "qwen3": ("Qwen3", {"head_dim": 16}),
    "qwen3_wide_heads_tied": ("Qwen3", {"head_dim": 32, "tie_word_embeddings": True}),
    "mistral": ("Mistral", {"sliding_window": None}),
    "mistral_windowed": ("Mistral", {"sliding_window": 7, "head_dim": 32}),
    "mixtral": ("Mixtral", {"num_local_experts": 5}),
    "mixtral_windowed": (
        "Mixtral",
        {"num_local_experts": 3, "num_experts_per_tok": 1, "sliding_window": 7},
    ),
    "qwen3_moe": ("Qwen3Moe", {"num_experts": 9, "num_experts_per_tok": 3, **_FEW_EXPERTS}),
    "qwen3_moe_mixed_normalised": (
        "Qwen3Moe",
        {
            "num_experts": 6,
            "num_experts_per_tok": 2,
            "norm_topk_prob": True,
            "decoder_sparse_step": 2,
            "head_dim": 32,
            **_FEW_EXPERTS,
        },
    ),
}


def make_model(name: str) -> Any:
    """A transformers model of a variant, every parameter random (also biases and norms)."""
    family, settings = VARIANTS[name]
    config = getattr(transformers, f"{family}Config")(**{**_SIZE, **settings})
    config._attn_implementation = "eager"
    torch.manual_seed(sum(name.encode()))
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            is_norm = "norm" in key
            # Gemma adds the 1 itself.
            parameter.normal_(
                1.0 if is_norm and family != "Gemma2" else 0.0, 0.2 if is_norm else 0.12
            )
    return model


@dataclass
class Driver:
    """Keeps the slots of hand-made sequences, scattered over the pool, and steps them."""

    runner: ModelRunner
    free: list[int]
    slots: dict[str, list[int]] = field(default_factory=dict)

    def step(self, *parts: tuple[str, list[int]]) -> list[torch.Tensor]:
        """One forward over (sequence, its new tokens); logits of every new token, per part."""
        token_ids, positions, new_slots, query_lens, contexts = [], [], [], [], []
        for name, tokens in parts:
            slots = self.slots.setdefault(name, [])
            first = len(slots)
            slots.extend(self.free.pop() for _ in tokens)
            token_ids.extend(tokens)
            positions.extend(range(first, len(slots)))
            new_slots.extend(slots[first:])
            query_lens.append(len(tokens))
            contexts.append(torch.tensor(slots))
        batch = ForwardBatch(
            token_ids=torch.tensor(token_ids),
            positions=torch.tensor(positions),
            new_slots=torch.tensor(new_slots),
            query_lens=query_lens,
            context_slots=contexts,
            logit_rows=torch.arange(len(token_ids)),
        )
        return list(self.runner.forward(batch).split(query_lens))


@dataclass
class Pair:
    """The same weights twice: transformers' model, and ours to drive."""

    reference: Any
    path: Path

    def driver(
        self, dtype: Dtype = "float32", kv_dtype: KvDtype = "auto", **settings: Any
    ) -> Driver:
        config = EngineConfig(
            str(self.path),
            dtype=dtype,
            device="cpu",
            kv_dtype=kv_dtype,
            kv_slots=NUM_SLOTS,
            **settings,
        )
        runner = ModelRunner(config)
        # Whatever reads an unwritten slot shows it.
        nothing = torch.full((runner.model_config.head_dim,), torch.nan)
        for layer in runner.kv_pool.layers:
            layer.heads[:] = rounded(nothing) if kv_dtype == "int8" else nothing
        order = torch.randperm(NUM_SLOTS, generator=torch.Generator().manual_seed(1))
        return Driver(runner, order.tolist())

    def logits(self, tokens: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = self.reference(torch.tensor([tokens])).logits[0]
        return logits


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Operators this small only lose time to threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def make_pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pair]:
    """Pairs by variant name, each made once."""
    made: dict[str, Pair] = {}

    def make(name: str) -> Pair:
        if name not in made:
            model, path = make_model(name), tmp_path_factory.mktemp(name)
            model.save_pretrained(path)
            made[name] = Pair(model, path)
        return made[name]

    return make


@pytest.fixture(params=sorted(VARIANTS))
def pair(request: pytest.FixtureRequest, make_pair: Callable[[str], Pair]) -> Pair:
    return make_pair(request.param)
