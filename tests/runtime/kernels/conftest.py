"""A float64 attention by definition, and random steps over a poisoned pool to compare with it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.memory.int8_rows import rounded, unrounded
from branchline.runtime.memory.kv_pool import KVPool, LayerKV


@dataclass
class Step:
    """A step over one layer: stored keys and values for all but the new tokens, NaN elsewhere."""

    batch: ForwardBatch
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    layer_kv: LayerKV


def make_step(
    query_lens: list[int],
    contexts: list[list[int]],
    *,
    heads: int = 4,
    kv_heads: int = 2,
    head_dim: int = 8,
    num_slots: int = 4096,
    dtype: torch.dtype = torch.float64,
    kv_dtype: torch.dtype | None = None,
    seed: int = 0,
) -> Step:
    """contexts: slots of each sequence, the last `query_len` of them new. kv_dtype: of keys and
    values, where it is another; int8 or none."""
    generator = torch.Generator().manual_seed(seed)
    tokens = sum(query_lens)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    def as_rows(x: torch.Tensor) -> torch.Tensor:
        return rounded(x) if kv_dtype is torch.int8 else x

    pool = KVPool(1, num_slots, kv_heads, head_dim, kv_dtype or dtype, torch.device("cpu"))
    layer_kv = pool.layers[0]
    layer_kv.heads[:] = as_rows(torch.full((head_dim,), torch.nan, dtype=dtype))
    new_slots, positions = [], []
    for length, slots in zip(query_lens, contexts, strict=True):
        old = sorted(set(slots[:-length]))
        layer_kv.k[old] = as_rows(randn(len(old), kv_heads, head_dim))
        layer_kv.v[old] = as_rows(randn(len(old), kv_heads, head_dim))
        new_slots.extend(slots[-length:])
        positions.extend(range(len(slots) - length, len(slots)))
    batch = ForwardBatch(
        token_ids=torch.zeros(tokens, dtype=torch.int64),
        positions=torch.tensor(positions),
        new_slots=torch.tensor(new_slots),
        query_lens=query_lens,
        context_slots=[torch.tensor(slots) for slots in contexts],
        logit_rows=torch.arange(tokens),
    )
    q = randn(tokens, heads, head_dim)
    k, v = (randn(tokens, kv_heads, head_dim) for _ in range(2))
    return Step(batch, q, k, v, layer_kv)


def random_contexts(rng: random.Random, lens: list[int], num_slots: int = 4096) -> list[list[int]]:
    """Disjoint slots scattered over the pool."""
    free = rng.sample(range(num_slots), sum(lens))
    return [[free.pop() for _ in range(length)] for length in lens]


def naive_attention(step: Step, window: int | None) -> torch.Tensor:
    """[tokens, heads * head_dim] in float64, query by query, from the stored keys and values."""
    heads, kv_heads = step.q.shape[1], step.k.shape[1]
    out = torch.empty(step.q.shape, dtype=torch.float64)
    token = 0
    for length, slots in zip(step.batch.query_lens, step.batch.context_slots, strict=True):
        for position in range(len(slots) - length, len(slots)):
            first = 0 if window is None else max(0, position - window + 1)
            seen = slots[first : position + 1]
            for head in range(heads):
                kv_head = head // (heads // kv_heads)
                rows = (step.layer_kv.k[seen, kv_head], step.layer_kv.v[seen, kv_head])
                k, v = map(_as_float64, rows)
                scores = k @ step.q[token, head].double() * step.q.shape[-1] ** -0.5
                out[token, head] = scores.softmax(0) @ v
            token += 1
    return out.flatten(1)


def _as_float64(rows: torch.Tensor) -> torch.Tensor:
    return unrounded(rows, torch.float64) if rows.dtype is torch.int8 else rows.double()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Operators this small only lose time to threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def steps() -> SimpleNamespace:
    """The helpers of this file, for tests that cannot import it by name."""
    return SimpleNamespace(make=make_step, naive=naive_attention, contexts=random_contexts)
