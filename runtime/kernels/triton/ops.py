"""A GPU's fused operators between and in place of torch's; the device makes them for the loader,
which hands them to the layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, cast, get_args

import torch

from ..base import Expert, LayerParts, WeightUse, WholeParts
from ..cpu.packing import storage_of
from ..float8 import Float8Weight
from .activation import gelu_mul, silu_mul
from .experts import TritonExperts
from .moe import FIXED_TILE
from .norm import rms_norm
from .packing import Quantized, Storage, as_it_is, from_float8, quantize
from .quantized import QuantizedLinear

Quantization = Literal["none", "int8", "int4", "int4-64", "int4-128", "fp8"]
QUANTIZATIONS: Final = get_args(Quantization)


class TritonOps:
    """`LayerOps` on a GPU. quantization: of the weights, while they are loaded; "fp8" needs
    has_float8, a GPU with float8_e4m3fn (from Ada and Hopper on). deterministic: a row of a result
    is the same bits whatever rows are beside it; products are then not torch's, which has other
    kernels for other numbers of rows."""

    def __init__(
        self,
        quantization: str = "none",
        *,
        deterministic: bool = False,
        has_float8: bool = True,
    ) -> None:
        if quantization not in QUANTIZATIONS:
            raise ValueError(
                f"quantization must be one of {', '.join(QUANTIZATIONS)}, not {quantization!r}"
            )
        self.quantization = cast(Quantization, quantization)
        self.deterministic = deterministic
        self.has_float8 = has_float8

    def rms_norm(self, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        return rms_norm(x, weight, eps)

    def silu_mul(self, gate_up: torch.Tensor) -> torch.Tensor:
        return silu_mul(gate_up)

    def gelu_mul(self, gate_up: torch.Tensor) -> torch.Tensor:
        return gelu_mul(gate_up)

    def pack_linear(self, weight: torch.Tensor, use: WeightUse = "layer") -> QuantizedLinear | None:
        """None for weights that stay as they are: torch multiplies these by cuBLAS. The
        vocabulary's are never coarser than int8 and a router's are not rounded, as on the CPU."""
        stored = self._stored(weight, use)
        if stored.storage == "plain" and not self.deterministic:
            return None
        return QuantizedLinear(stored, fixed=self.deterministic)

    @property
    def pack_float8(self) -> Callable[[Float8Weight], QuantizedLinear] | None:
        """Weights that are to be int8 or int4 are rounded from what they are unpacked."""
        if not self.has_float8 or self.quantization not in ("none", "fp8"):
            return None
        return lambda weight: QuantizedLinear(from_float8(weight), fixed=self.deterministic)

    def pack_experts(self, experts: Iterable[Expert]) -> TritonExperts:
        return TritonExperts(experts, self._stored, FIXED_TILE if self.deterministic else None)

    def _stored(self, weight: torch.Tensor | Float8Weight, use: WeightUse = "layer") -> Quantized:
        if isinstance(weight, Float8Weight):
            return from_float8(weight)
        if self.quantization == "none" or use == "router":
            return as_it_is(weight)
        if self.quantization == "fp8":
            return quantize(weight, "fp8" if use == "layer" else "int8")
        storage, group = storage_of(self.quantization, use)
        return quantize(weight, cast(Storage, storage), group)

    def stack(self, layers: Sequence[LayerParts]) -> None:
        """None: a captured step has nothing between its kernels that a call could save."""

    def whole(self, parts: WholeParts) -> None:
        """None, for the same reason."""
