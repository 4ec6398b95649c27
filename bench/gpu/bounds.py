"""The least time that each goal's work can take, from its bytes and products: `--bounds`.

Everything is counted that has to be read or computed once: weights, keys and values, products.
What kernels write in between, and what stands between two of them, is left out: a bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from branchline.runtime.models.config import ModelConfig

from .limits import Limits
from .shapes import LLAMA_8B, QWEN3_06B
from .throughput import Requests, make_requests

# What copies and products in bfloat16 reach on an H200 (of 4.8 TB/s and 989 TFLOP/s): assumed,
# where none is at hand to measure.
ASSUMED = Limits(bytes_per_s=4.2e12, flops_per_s=7e14)

_BYTES = 2  # of a number


@dataclass(frozen=True)
class Bound:
    """seconds: the least that `what` takes. goal_s: what it may take."""

    what: str
    seconds: float
    goal_s: float
    detail: str


def key_bytes(config: ModelConfig) -> int:
    """Of a token's keys and values in all layers."""
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * _BYTES


def weight_bytes(config: ModelConfig) -> int:
    """That a step reads: of an embedding that is not the head, too, it needs a few rows only."""
    unread = 0 if config.tie_word_embeddings else config.vocab_size * config.hidden_size
    return _BYTES * (config.num_parameters - unread)


def offline_s(config: ModelConfig, requests: Requests, limits: Limits) -> float:
    """All prompts at once, then steps of one token each until all have ended."""
    lens = np.array([len(prompt) for prompt, _ in requests])
    wanted = np.array([count for _, count in requests])
    steps = int(wanted.max()) - 1
    # The first token comes with the prompt; later ones read the prompt and all before them.
    keys = sum(int((lens + t)[wanted > t].sum()) for t in range(1, steps + 1))
    read = keys * key_bytes(config) + steps * weight_bytes(config)
    products = 2 * config.num_parameters * int(lens.sum())
    return read / limits.bytes_per_s + products / limits.flops_per_s


def bounds(limits: Limits = ASSUMED) -> Iterator[Bound]:
    layer = 2 * LLAMA_8B.num_kv_heads * LLAMA_8B.head_dim * _BYTES
    for count in (16, 64):
        read = count * 4096 * layer
        least = read / limits.bytes_per_s
        yield Bound(f"decode attention, {count} x 4096", least, least / 0.85, _mb(read))
    heads, dim = LLAMA_8B.num_heads, LLAMA_8B.head_dim
    plain = 128 * 32_832 * layer / limits.bytes_per_s
    shared = (32_768 + 128 * 64) * layer / limits.bytes_per_s
    products = 4 * heads * dim * 128 * 32_768 / limits.flops_per_s
    detail = f"reads {1e6 * shared:.0f} us, products {1e6 * products:.0f} us; "
    detail += f"plain decode {1e6 * plain:.0f} us"
    yield Bound("tree decode, 128 sharing 32 k", max(shared, products), plain / 10, detail)
    flops = 2 * heads * dim * 8192**2
    least = flops / limits.flops_per_s
    yield Bound("extend attention, 8 k", least, least / 0.6, f"{flops / 1e9:.0f} GFLOP")
    for count, share in ((1, 0.85), (256, 0.7)):
        read = weight_bytes(LLAMA_8B) + count * 1536 * key_bytes(LLAMA_8B)
        least = read / limits.bytes_per_s
        detail = f"{_mb(read)}; {count * share / least:,.0f} tokens/s at the goal"
        yield Bound(f"step of an 8B Llama, {count} x 1536", least, least / share, detail)
    requests = make_requests(QWEN3_06B, 256, 100, 1024)
    tokens = sum(count for _, count in requests)
    least = offline_s(QWEN3_06B, requests, limits)
    detail = f"{tokens:,} tokens: {tokens / least:,.0f} tokens/s at most"
    yield Bound("offline, 256 requests of 0.6B Qwen3", least, tokens / 30_000, detail)


def _mb(count: float) -> str:
    return f"{count / 1e6:,.0f} MB"
