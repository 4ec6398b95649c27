"""Writes a checkpoint of Llama's or Qwen2's shape as a GGUF file, for llama.cpp in cpu_peers.py.

Linear weights and the embedding are rounded as llama.cpp's own formats Q8_0 and Q4_0 say (by the
package `gguf`, which llama.cpp's project publishes), all else stays float32. There is no
vocabulary inside: the bench speaks in token ids.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


def write_gguf(path: Path, quantized: str) -> Path:
    """The file of the checkpoint folder `path` with weights as "q8_0" or "q4_0", written first
    where it is not there."""
    import gguf

    target = path / f"{quantized}.gguf"
    if target.exists():
        return target
    config = json.loads((path / "config.json").read_text())
    is_llama = config["model_type"] == "llama"
    arch = gguf.MODEL_ARCH.LLAMA if is_llama else gguf.MODEL_ARCH.QWEN2
    num_layers, num_heads = config["num_hidden_layers"], config["num_attention_heads"]
    num_kv_heads = config["num_key_value_heads"]
    unfinished = target.with_suffix(".part")
    writer = gguf.GGUFWriter(unfinished, gguf.MODEL_ARCH_NAMES[arch])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(num_layers)
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(num_heads)
    writer.add_head_count_kv(num_kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    _add_vocabulary(writer, config["vocab_size"])
    names = gguf.get_tensor_name_map(arch, num_layers)
    kind = gguf.GGMLQuantizationType[quantized.upper()]
    for name, weight in load_file(path / "model.safetensors").items():
        if is_llama and name.endswith(("q_proj.weight", "k_proj.weight")):
            weight = _interleaved(weight, num_heads if "q_proj" in name else num_kv_heads)
        numbers: Any = weight.float().numpy()
        own_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if weight.dim() == 2:
            writer.add_tensor(own_name, gguf.quants.quantize(numbers, kind), raw_dtype=kind)
        else:
            writer.add_tensor(own_name, numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.rename(target)
    return target


def _add_vocabulary(writer: Any, size: int) -> None:
    """SentencePiece's 256 bytes, and names."""
    import gguf

    writer.add_vocab_size(size)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"<0x{i:02X}>" if i < 256 else f"<{i}>" for i in range(size)])
    writer.add_token_scores([0.0] * size)
    kinds = gguf.TokenType
    writer.add_token_types([kinds.BYTE if i < 256 else kinds.NORMAL for i in range(size)])


def _interleaved(weight: torch.Tensor, num_heads: int) -> torch.Tensor:
    """Rows of a projection [heads * dim, hidden] in the order in which llama.cpp turns pairs:
    neighbours, where Hugging Face's checkpoints pair the two halves of a head."""
    outputs, hidden = weight.shape
    halves = weight.view(num_heads, 2, outputs // num_heads // 2, hidden)
    return halves.transpose(1, 2).reshape(outputs, hidden)
