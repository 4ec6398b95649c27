"""The network as it is trained, and its export as a Hugging Face LlamaForCausalLM."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .tokenization import MAX_LENGTH, VOCABULARY_SIZE


@dataclass(frozen=True)
class Shape:
    """Sizes of the network."""

    hidden: int = 256
    num_layers: int = 6
    num_heads: int = 4
    num_kv_heads: int = 2
    intermediate: int = 704
    rope_theta: float = 10000.0
    eps: float = 1e-6

    @property
    def head_dim(self) -> int:
        return self.hidden // self.num_heads


def rotary(length: int, shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each [length, head_dim / 2]."""
    steps = torch.arange(0, shape.head_dim, 2).float() / shape.head_dim
    angles = torch.outer(torch.arange(length).float(), shape.rope_theta**-steps)
    return angles.cos(), angles.sin()


def attend(q: Tensor, k: Tensor, v: Tensor, hidden_from: Tensor) -> Tensor:
    """Causal attention written out: on a CPU its backward pass is several times faster than that
    of scaled_dot_product_attention.

    q: [batch, heads, length, head_dim]; k, v: [batch, kv_heads, length, head_dim];
    hidden_from: [length, length], -inf where a key lies after the query.
    """
    batch, heads, length, dim = q.shape
    kv_heads = k.shape[1]
    grouped = q.reshape(batch, kv_heads, heads // kv_heads * length, dim)
    scores = (grouped @ k.mT).view(batch, heads, length, length)
    weights = (scores * dim**-0.5 + hidden_from).softmax(-1, dtype=torch.float32).to(v.dtype)
    mixed = weights.view(batch, kv_heads, -1, length) @ v
    result: Tensor = mixed.view(batch, heads, length, dim)
    return result


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x: [batch, heads, length, head_dim]."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Layer(nn.Module):
    """One decoder layer; names follow the checkpoint."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        wide, narrow = shape.hidden, shape.num_kv_heads * shape.head_dim
        self.input_layernorm = nn.RMSNorm(wide, eps=shape.eps)
        self.post_attention_layernorm = nn.RMSNorm(wide, eps=shape.eps)
        self.q_proj = nn.Linear(wide, wide, bias=False)
        self.k_proj = nn.Linear(wide, narrow, bias=False)
        self.v_proj = nn.Linear(wide, narrow, bias=False)
        self.o_proj = nn.Linear(wide, wide, bias=False)
        self.gate_proj = nn.Linear(wide, shape.intermediate, bias=False)
        self.up_proj = nn.Linear(wide, shape.intermediate, bias=False)
        self.down_proj = nn.Linear(shape.intermediate, wide, bias=False)

    @torch.no_grad()
    def start_as_copier(self) -> None:
        """Let every second head match like with like and pass on what it finds.

        After "mimetic initialization" (Trockman and Kolter, arXiv:2305.09828): copying is what the
        model is for, and it forms in fewer steps from here than from random weights.
        """
        dim = self.shape.head_dim
        per_kv = self.shape.num_heads // self.shape.num_kv_heads
        for head in range(self.shape.num_heads):
            own = slice(head * dim, (head + 1) * dim)
            shared = slice(head // per_kv * dim, (head // per_kv + 1) * dim)
            if head % 2 == 0:
                self.q_proj.weight[own].mul_(0.5).add_(self.k_proj.weight[shared], alpha=0.5)
            self.o_proj.weight[:, own] = 0.5 * self.v_proj.weight[shared].mT

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, wide = x.shape
        split = (batch, length, -1, self.shape.head_dim)
        h = self.input_layernorm(x)
        q = rotate(self.q_proj(h).view(split).transpose(1, 2), cos, sin)
        k = rotate(self.k_proj(h).view(split).transpose(1, 2), cos, sin)
        v = self.v_proj(h).view(split).transpose(1, 2)
        hidden_from = torch.full((length, length), -torch.inf, device=x.device).triu(1)
        mixed = attend(q, k, v, hidden_from)
        x = x + self.o_proj(mixed.transpose(1, 2).reshape(batch, length, wide))
        h = self.post_attention_layernorm(x)
        added: Tensor = self.down_proj(F.silu(self.gate_proj(h)) * self.up_proj(h))
        return x + added


class Network(nn.Module):
    """Token ids [batch, length] to hidden states [batch, length, hidden]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(VOCABULARY_SIZE, shape.hidden)
        layers = [Layer(shape) for _ in range(shape.num_layers)]
        self.layers = nn.ModuleList(layers)
        self.norm = nn.RMSNorm(shape.hidden, eps=shape.eps)
        nn.init.normal_(self.embed_tokens.weight, std=0.02)
        for name, weight in self.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(weight)
            elif name.endswith("proj.weight"):
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
        for layer in layers:
            layer.start_as_copier()

    def forward(self, ids: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x: Tensor = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, cos, sin)
        normed: Tensor = self.norm(x)
        return normed


def _checkpoint_name(name: str) -> str:
    part = name.rsplit(".", 2)[-2]
    if part in ("q_proj", "k_proj", "v_proj", "o_proj"):
        name = name.replace(part, f"self_attn.{part}")
    elif part in ("gate_proj", "up_proj", "down_proj"):
        name = name.replace(part, f"mlp.{part}")
    return f"model.{name}"


def write_config(shape: Shape, folder: Path) -> None:
    """Write config.json and generation_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_kv_heads,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": MAX_LENGTH,
        "rms_norm_eps": shape.eps,
        "rope_theta": shape.rope_theta,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "torch_dtype": "bfloat16",
    }
    generation = {"eos_token_id": [2], "pad_token_id": 0, "do_sample": False, "max_new_tokens": 512}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")


def export(network: Network, folder: Path) -> None:
    """Write the network in bf16 under the names of LlamaForCausalLM, with its configuration."""
    write_config(network.shape, folder)
    weights = {
        _checkpoint_name(name): weight.detach().to("cpu", torch.bfloat16).contiguous()
        for name, weight in network.state_dict().items()
    }
    path = folder / "model.safetensors"
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors writes files for the owner alone


def import_weights(network: Network, folder: Path) -> None:
    """The reverse of `export`: load what a finished run wrote, to train it further."""
    stored = load_file(folder / "model.safetensors")
    network.load_state_dict(
        {name: stored[_checkpoint_name(name)].float() for name, _ in network.named_parameters()}
    )
