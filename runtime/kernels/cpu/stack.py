"""All layers of a decoder in one call of the library; `CpuKernels.stack` makes it.

At batch 1 a layer's nine kernels take less time than Python needs to call them one by one. What
is computed is the same, in the same order: `DecoderLayer` is the reference.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_int32, c_int64, c_void_p
from typing import TYPE_CHECKING, Any, Final

import torch

from ...memory.kv_pool import LayerKV
from ..base import LayerParts, Projection
from .linear import PackedLinear
from .plan import EVERYTHING, CpuPlan

if TYPE_CHECKING:
    from .library import CpuKernels


_NO_MEMORY: Final = 1  # of what bl_layers returns


class CpuProjection(ctypes.Structure):
    """As in src/kernels.h."""

    _fields_ = (
        ("weight", c_void_p),
        ("scales", c_void_p),
        ("bias", c_void_p),
        ("inputs", c_int32),
        ("outputs", c_int32),
        ("storage", c_int32),
        ("group", c_int32),
    )


class _Layer(ctypes.Structure):
    """As in src/kernels.h."""

    _fields_ = (
        ("input_norm", c_void_p),
        ("post_norm", c_void_p),
        ("head_norm", c_void_p),
        ("qkv", CpuProjection),
        ("out", CpuProjection),
        ("gate_up", CpuProjection),
        ("down", CpuProjection),
        ("k", c_void_p),
        ("v", c_void_p),
        ("window", c_int64),
    )


class CpuStack:
    """`LayerStack` over packed projections."""

    def __init__(self, kernels: CpuKernels, layers: Sequence[LayerParts]) -> None:
        self._kernels = kernels
        self._parts = list(layers)  # their memory is what the descriptions point to
        self._layers = (_Layer * len(layers))(*map(_described, layers))
        self._eps = layers[0].eps
        self._head_eps = layers[0].head_norm[1] if layers[0].head_norm is not None else 0.0
        self._dtype = layers[0].input_norm.dtype
        self._layers_kv: Sequence[LayerKV] | None = None
        self._buffer = torch.empty(0, dtype=torch.uint8)

    def __call__(
        self,
        x: torch.Tensor,
        layers_kv: Sequence[LayerKV],
        plan: object,
        cos: torch.Tensor,
        sin: torch.Tensor,
        positions: torch.Tensor,
    ) -> bool:
        tokens = x.shape[0]
        if not isinstance(plan, CpuPlan) or tokens > self._kernels.linear_rows:
            return False
        if self._layers_kv is not layers_kv:
            self._point_to(layers_kv)
        twice, num_slots, _ = layers_kv[0].heads.shape
        kv_heads, head_dim = twice // 2, cos.shape[-1]
        heads = self._layers[0].out.inputs // head_dim
        is_bf16 = x.dtype is torch.bfloat16
        kv_is_int8 = layers_kv[0].heads.dtype is torch.int8
        kv_dtype = self._dtype if kv_is_int8 else layers_kv[0].heads.dtype
        if {x.dtype, cos.dtype, sin.dtype, kv_dtype} != {self._dtype}:
            raise ValueError(f"the layers are in {self._dtype}, x in {x.dtype}")
        if not (x.is_contiguous() and cos.is_contiguous() and sin.is_contiguous()):
            raise ValueError("x, cos and sin must be contiguous")
        library = self._kernels.library
        size = library.bl_layers_bytes(self._kernels.level_address, tokens, self._layers, is_bf16)
        if self._buffer.numel() < size:
            self._buffer = torch.empty(size, dtype=torch.uint8)
        failed = library.bl_layers(
            self._kernels.level_address,
            plan.handle,
            tokens,
            self._layers,
            len(self._layers),
            x.data_ptr(),
            self._buffer.data_ptr(),
            cos.data_ptr(),
            sin.data_ptr(),
            positions.data_ptr(),
            len(cos),
            plan.batch.new_slots.data_ptr(),
            num_slots,
            heads,
            kv_heads,
            head_dim,
            self._eps,
            self._head_eps,
            is_bf16,
            kv_is_int8,
            torch.get_num_threads(),
        )
        if failed == _NO_MEMORY:
            raise MemoryError(f"no memory for the inputs of a linear layer of {tokens} rows")
        if failed:
            raise IndexError(f"a position is not below {len(cos)}")
        return True

    def describe(self, step: Any, layers_kv: Sequence[LayerKV]) -> None:
        """Fill in what src/pass.h wants to know of a step through these layers, but not of its
        tokens nor of the RotaryTable."""
        self._point_to(layers_kv)
        twice, step.num_slots, _ = layers_kv[0].heads.shape
        kv_dtype = layers_kv[0].heads.dtype
        if kv_dtype not in (torch.int8, self._dtype):
            raise ValueError(f"the layers are in {self._dtype}, keys and values in {kv_dtype}")
        step.layers = ctypes.addressof(self._layers)
        step.count, step.kv_heads = len(self._layers), twice // 2
        step.heads = self._layers[0].out.inputs // step.head_dim
        step.eps, step.head_eps = self._eps, self._head_eps
        step.kv_is_int8 = kv_dtype is torch.int8

    def _point_to(self, layers_kv: Sequence[LayerKV]) -> None:
        for layer, layer_kv in zip(self._layers, layers_kv, strict=True):
            layer.k, layer.v = layer_kv.addresses
        self._layers_kv = layers_kv


def is_packed(layer: LayerParts) -> bool:
    """Whether all products of a layer are the library's."""
    projections = (layer.qkv, layer.out, layer.gate_up, layer.down)
    return all(isinstance(weight, PackedLinear) for weight, _ in projections)


def _described(layer: LayerParts) -> _Layer:
    return _Layer(
        layer.input_norm.data_ptr(),
        layer.post_norm.data_ptr(),
        None if layer.head_norm is None else layer.head_norm[0].data_ptr(),
        *map(described_projection, (layer.qkv, layer.out, layer.gate_up, layer.down)),
        None,
        None,
        EVERYTHING if layer.window is None else layer.window,
    )


def described_projection(projection: Projection) -> CpuProjection:
    """For the library."""
    weight, bias = projection
    assert isinstance(weight, PackedLinear)
    return CpuProjection(
        *weight.pointers,
        None if bias is None else bias.data_ptr(),
        weight.inputs,
        weight.outputs,
        *weight.storage,
    )
