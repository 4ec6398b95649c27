"""The tensors that hold keys and values, one slot per token; made by the model runner.

Which slot belongs to whom is the slot allocator's and the radix tree's business.
"""

from __future__ import annotations

import torch


class LayerKV:
    """Keys and values of one layer. `rows: [num_slots, 2 * kv_heads * head_dim]` is the storage;
    `k` and `v: [num_slots, kv_heads, head_dim]` are views of it. A slot's keys and values lie side
    by side, so that one gather fetches both."""

    __slots__ = ("k", "rows", "v")

    def __init__(self, rows: torch.Tensor, kv_heads: int, head_dim: int) -> None:
        self.rows = rows
        self.k, self.v = rows.view(-1, 2, kv_heads, head_dim).unbind(1)


class KVPool:
    """`num_slots` slots for each of `num_layers` layers."""

    def __init__(
        self,
        num_layers: int,
        num_slots: int,
        kv_heads: int,
        head_dim: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.num_slots = num_slots
        self.kv_heads = kv_heads
        self.head_dim = head_dim
        # On a CPU zeroed memory comes lazily from the system: unused slots cost no resident pages.
        self.layers = [
            LayerKV(
                torch.zeros(num_slots, 2 * kv_heads * head_dim, dtype=dtype, device=device),
                kv_heads,
                head_dim,
            )
            for _ in range(num_layers)
        ]

    @staticmethod
    def bytes_per_slot(num_layers: int, kv_heads: int, head_dim: int, dtype: torch.dtype) -> int:
        return num_layers * 2 * kv_heads * head_dim * dtype.itemsize
