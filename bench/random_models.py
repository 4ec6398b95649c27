"""Writes the random-weight models S (Llama, 100 M) and M (Qwen2.5-0.5B's shape); for bench/cpu.py.

Speed does not depend on what weights say; the gains only keep greedy text from repeating one token.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import branchline as bl

GAIN = {
    "embed_tokens": 2,
    "q_proj": 2,
    "k_proj": 2,
    "o_proj": 0.5,
    "gate_proj": 2,
    "up_proj": 2,
    "down_proj": 2,
}
COMMON = {
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "rms_norm_eps": 1e-6,
}


def write_model(name: str, folder: Path) -> Path:
    """The folder of model "S" or "M" below `folder`, written first where it is not there."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    target = folder / name
    if (target / "tokenizer.json").exists():
        return target
    config: Any
    if name == "S":
        config = LlamaConfig(
            hidden_size=768,
            num_hidden_layers=12,
            num_attention_heads=12,
            num_key_value_heads=4,
            head_dim=64,
            intermediate_size=2048,
            vocab_size=32_000,
            max_position_embeddings=8192,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
            **COMMON,
        )
    else:
        config = Qwen2Config(
            hidden_size=896,
            num_hidden_layers=24,
            num_attention_heads=14,
            num_key_value_heads=2,
            intermediate_size=4864,
            vocab_size=151_936,
            max_position_embeddings=32_768,
            use_sliding_window=False,
            rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
            **COMMON,
        )
    torch.manual_seed(1234)
    model: Any = (LlamaForCausalLM if name == "S" else Qwen2ForCausalLM)(config)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.endswith(".bias"):
                parameter.normal_(0, 0.02)
            for key, gain in GAIN.items():
                if f"{key}.weight" in parameter_name:
                    parameter.mul_(gain)
    model.to(torch.bfloat16).save_pretrained(target)
    write_tokenizer(target, config.vocab_size)
    return target


def write_tokenizer(target: Path, vocab_size: int) -> None:
    """The embedded model's tokenizer, with entries that no text reaches up to `vocab_size`."""
    embedded = Path(bl.__file__).parent / "runtime" / "models" / "embedded"
    shutil.copy(embedded / "tokenizer_config.json", target)
    tokenizer = json.loads((embedded / "tokenizer.json").read_text())
    vocab = tokenizer["model"]["vocab"]
    # With numbers left out, the library would give the added tokens others.
    vocab.update({token["content"]: token["id"] for token in tokenizer["added_tokens"]})
    used = set(vocab.values())
    for token_id in range(vocab_size):
        if token_id not in used:
            vocab[f"<|pad_{token_id}|>"] = token_id
    (target / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
