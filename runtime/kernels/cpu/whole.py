"""A decode step from token ids to logits in one call of the library, at once or in its queue;
`CpuKernels.whole` makes it.

What is computed is the same as by `CausalLM`'s own way through embedding, layers, norm and head,
which is the reference.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_float, c_int32, c_int64, c_void_p
from typing import TYPE_CHECKING, Final

import torch

from ...engine.batch import ForwardBatch
from ...memory.kv_pool import LayerKV
from ..base import WholeParts
from .linear import PackedLinear
from .plan import CpuPlan
from .stack import CpuProjection, CpuStack, described_projection

if TYPE_CHECKING:
    from .library import CpuKernels

_NO_MEMORY: Final = 1  # of what bl_pass returns
_AS_IT_IS: Final = -1  # the storage of an embedding that is not packed


class _Step(ctypes.Structure):
    """As in src/pass.h."""

    _fields_ = (
        ("layers", c_void_p),
        ("x", c_void_p),
        ("cos", c_void_p),
        ("sin", c_void_p),
        ("positions", c_void_p),
        ("new_slots", c_void_p),
        ("tokens", c_int64),
        ("num_positions", c_int64),
        ("num_slots", c_int64),
        ("count", c_int32),
        ("heads", c_int32),
        ("kv_heads", c_int32),
        ("head_dim", c_int32),
        ("eps", c_float),
        ("head_eps", c_float),
        ("is_bf16", c_int32),
        ("kv_is_int8", c_int32),
    )


class _Pass(ctypes.Structure):
    """As in src/pass.h."""

    _fields_ = (
        ("step", _Step),
        ("embedding", c_void_p),
        ("scales", c_void_p),
        ("vocab", c_int64),
        ("words", c_int64),
        ("storage", c_int32),
        ("group", c_int32),
        ("norm_eps", c_float),
        ("norm", c_void_p),
        ("head", CpuProjection),
        ("token_ids", c_void_p),
        ("logits", c_void_p),
    )


class CpuWhole:
    """`WholePass` over packed projections."""

    def __init__(self, kernels: CpuKernels, parts: WholeParts) -> None:
        assert isinstance(parts.stack, CpuStack)
        self._kernels = kernels
        self._stack = parts.stack
        self._parts = parts  # their memory is what the pass points to
        self._pass = made = _Pass()
        step = made.step
        step.cos, step.sin = parts.cos.data_ptr(), parts.sin.data_ptr()
        step.num_positions, step.head_dim = len(parts.cos), parts.cos.shape[-1]
        step.is_bf16 = parts.norm.dtype is torch.bfloat16
        made.norm, made.norm_eps = parts.norm.data_ptr(), parts.eps
        made.head = described_projection((parts.head, None))
        embedding = parts.embedding
        if isinstance(embedding, PackedLinear):
            made.embedding, made.scales = embedding.pointers
            made.storage, made.group = embedding.storage
            made.words = embedding.packed.words.shape[1]
            made.vocab = embedding.outputs
        else:
            assert isinstance(embedding, torch.Tensor)
            made.embedding, made.storage = embedding.data_ptr(), _AS_IT_IS
            made.vocab = len(embedding)
        self._columns = made.head.outputs
        self._layers_kv: Sequence[LayerKV] | None = None

    def __call__(
        self, batch: ForwardBatch, layers_kv: Sequence[LayerKV], plan: object
    ) -> torch.Tensor | None:
        tokens = len(batch.query_lens)
        kernels = self._kernels
        queue = kernels.queue if batch.is_ahead else None
        is_decode = tokens == batch.token_ids.shape[0] == batch.logit_rows.shape[0]
        if not is_decode or tokens > kernels.linear_rows or not isinstance(plan, CpuPlan):
            if queue is not None:
                queue.drain()  # who computes this step reads its token ids
            return None
        if self._layers_kv is not layers_kv:
            self._stack.describe(self._pass.step, layers_kv)
            self._layers_kv = layers_kv
        step = self._pass.step
        step.tokens = tokens
        step.positions, step.new_slots = batch.positions.data_ptr(), batch.new_slots.data_ptr()
        logits = torch.empty(tokens, self._columns)
        self._pass.token_ids, self._pass.logits = batch.token_ids.data_ptr(), logits.data_ptr()
        if queue is not None:
            queue.run(kernels.level_address, plan, self._pass, self, layers_kv, batch, logits)
            return logits
        failed = kernels.library.bl_pass(
            kernels.level_address, plan.handle, ctypes.byref(self._pass), torch.get_num_threads()
        )
        if failed == _NO_MEMORY:
            raise MemoryError(f"no memory for a step of {tokens} tokens")
        if failed:
            raise IndexError(f"a position is not below {step.num_positions}, or a token too large")
        return logits


def can_run_whole(parts: WholeParts) -> bool:
    """Whether the library computes all of a pass of these parts."""
    embedding, head = parts.embedding, parts.head
    if not isinstance(parts.stack, CpuStack) or not isinstance(head, PackedLinear):
        return False
    if isinstance(embedding, PackedLinear):
        return embedding.packed.storage != "int4"
    return (
        isinstance(embedding, torch.Tensor)
        and embedding.dtype is parts.norm.dtype
        and embedding.is_contiguous()
        and embedding.shape[1] == head.inputs
    )
