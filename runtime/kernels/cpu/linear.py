"""A linear layer with a packed weight; `CpuKernels.pack_linear` makes it, the layers call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from .packing import STORAGES, Packed, unpacked

if TYPE_CHECKING:
    from .library import CpuKernels


class PackedLinear:
    """y = x W^T + b with `packed` in place of W."""

    __slots__ = ("_kernels", "inputs", "most_rows", "outputs", "packed", "pointers", "storage")

    def __init__(self, kernels: CpuKernels, packed: Packed) -> None:
        self._kernels = kernels
        self.packed = packed
        self.outputs, self.inputs = packed.outputs, packed.inputs
        self.storage = (STORAGES.index(packed.storage), packed.group)
        scales = packed.scales
        self.pointers = (packed.words.data_ptr(), None if scales is None else scales.data_ptr())
        # More rows are multiplied by torch, with the weight unpacked a part at a time.
        self.most_rows = kernels.linear_rows

    def __repr__(self) -> str:
        return f"PackedLinear({self.outputs} x {self.inputs}, {self.packed.storage})"

    def __call__(
        self, x: torch.Tensor, bias: torch.Tensor | None = None, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        """x weight^T + bias: [rows, out], in x's dtype or in float32."""
        out = x.new_empty(x.shape[0], self.outputs, dtype=dtype)
        if x.shape[0] > self.most_rows:

            def put(rows: slice, weight: torch.Tensor) -> None:
                out[:, rows] = F.linear(x, weight, None if bias is None else bias[rows])

            unpacked(self.packed, x.dtype, put)
        else:
            self._kernels.linear(x, self, bias, out, False)
        return out

    def add_to(
        self, residual: torch.Tensor, x: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """residual + x weight^T + bias, in place, rounded once."""
        if x.shape[0] > self.most_rows:
            residual += self(x, bias)
        else:
            self._kernels.linear(x, self, bias, residual, True)
        return residual

    def rows(self, ids: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """The weight's rows `ids: [tokens]` as [tokens, in]: an embedding."""
        if self.packed.storage == "int4":
            return self.packed.unpack(ids, dtype)
        return self._kernels.rows(self, ids, dtype)
