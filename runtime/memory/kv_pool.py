"""The tensors that hold keys and values, one slot per token; made by the model runner.

Which slot belongs to whom is the slot allocator's and the radix tree's business.
"""

from __future__ import annotations

import torch


class LayerKV:
    """Keys and values of one layer.

    heads: [2 * kv_heads, num_slots, head_dim] is the storage, the heads of the keys before those
    of the values: one gather along slots fetches both, and what it fetches of one head is one
    contiguous matrix. k, v: [num_slots, kv_heads, head_dim] are views of it.
    """

    __slots__ = ("heads", "k", "v")

    def __init__(self, heads: torch.Tensor) -> None:
        self.heads = heads
        self.k, self.v = (half.transpose(0, 1) for half in heads.chunk(2))


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
            LayerKV(torch.zeros(2 * kv_heads, num_slots, head_dim, dtype=dtype, device=device))
            for _ in range(num_layers)
        ]

    @staticmethod
    def bytes_per_slot(num_layers: int, kv_heads: int, head_dim: int, dtype: torch.dtype) -> int:
        return num_layers * 2 * kv_heads * head_dim * dtype.itemsize
