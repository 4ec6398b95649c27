"""The tensors that hold keys and values, one slot per token; made by the model runner.

Which slot belongs to whom is the slot allocator's and the radix tree's business.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .allocator import SlotIds
from .int8_rows import row_size
from .pages import zeros_by_page


class LayerKV:
    """Keys and values of one layer.

    heads: [2 * kv_heads, num_slots, row] is the storage, the heads of the keys before those of the
    values: one gather along slots fetches both, and what it fetches of one head is one contiguous
    matrix. A row is head_dim numbers, or a row of int8_rows.py. k, v: [num_slots, kv_heads, row]
    are views of it. addresses: of the first key and the first value, for kernels.
    """

    __slots__ = ("addresses", "heads", "k", "v")

    def __init__(self, heads: torch.Tensor) -> None:
        self.heads = heads
        self.k, self.v = (half.transpose(0, 1) for half in heads.chunk(2))
        self.addresses = (self.k.data_ptr(), self.v.data_ptr())


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
        self.row_size = row_size(head_dim, dtype)
        shape = (2 * kv_heads, num_slots, self.row_size)
        self.layers = [LayerKV(_zeros(shape, dtype, device)) for _ in range(num_layers)]

    def read(self, slots: SlotIds) -> dict[str, torch.Tensor]:
        """What `slots` hold, by layer: [2 * kv_heads, slots, row]."""
        index = torch.from_numpy(slots).to(self.layers[0].heads.device)
        dtype = self.layers[0].heads.dtype
        return {
            str(i): _indexable(layer.heads)[:, index].cpu().view(dtype)
            for i, layer in enumerate(self.layers)
        }

    def write(self, slots: SlotIds, kv: Mapping[str, torch.Tensor]) -> None:
        """Put what `read` gave into `slots`, in the same order. Raises ValueError when it is not of
        this pool's shape and type."""
        first = self.layers[0].heads
        index = torch.from_numpy(slots).to(first.device)
        shape = (2 * self.kv_heads, len(slots), self.row_size)
        for i, layer in enumerate(self.layers):
            tensor = kv.get(str(i))
            if tensor is None or tuple(tensor.shape) != shape or tensor.dtype != first.dtype:
                raise ValueError(f"layer {i} is missing or not {shape} of {first.dtype}")
            _indexable(layer.heads)[:, index] = _indexable(tensor).to(first.device)

    @staticmethod
    def bytes_per_slot(num_layers: int, kv_heads: int, head_dim: int, dtype: torch.dtype) -> int:
        return num_layers * 2 * kv_heads * row_size(head_dim, dtype) * dtype.itemsize


def _indexable(tensor: torch.Tensor) -> torch.Tensor:
    """`tensor`, numbers of 8 bits as bytes: torch does not index all of their types."""
    return tensor.view(torch.uint8) if tensor.dtype.itemsize == 1 else tensor


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Zeros whose pages a CPU hands out at first use.

    torch.zeros writes every page of the pool: 2.5 s for 1.4 GB at start-up, and as much resident
    memory. Pages of its own cost 0.2 ms, and unused slots nothing.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    return zeros_by_page(shape, dtype)
