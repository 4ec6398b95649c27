"""The compiled library as typed Python: one method per kernel; used by `attention.py` and layers.

Tensors are checked where they enter, because the library takes bare addresses.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from ctypes import c_int, c_int64, c_void_p
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F

from ...engine.config import Quantization
from ...memory.kv_pool import LayerKV
from ..base import Expert, LayerParts, WeightUse, WholeParts
from .build import KernelBuildError, build
from .linear import PackedLinear
from .packing import pack, storage_of
from .plan import EVERYTHING
from .queue import CpuQueue
from .signatures import declare
from .stack import CpuStack, is_packed
from .whole import CpuWhole, can_run_whole

# Forces a level: for measurements, and for machines whose widest vectors are slow.
LEVEL_VARIABLE: Final = "BRANCHLINE_CPU_LEVEL"
# More flags for the compiler: a sanitizer, debug symbols.
FLAGS_VARIABLE: Final = "BRANCHLINE_CPU_FLAGS"
LEVELS: Final = ("amx", "avx512", "avx2", "portable")
DTYPES: Final = (torch.float32, torch.bfloat16)

_ANY_NUMBER: Final = 2**63 - 1

# Argument types as `declare` reads them.
_SIGNATURES: Final = {
    "bl_level": (c_void_p, "p"),
    "bl_count_at": (None, "p"),
    "bl_plan_new": (c_void_p, ""),
    "bl_plan_delete": (None, "p"),
    "bl_plan_shared_keys": (c_int64, "p"),
    "bl_plan_make": (c_int, "plpppiiii"),
    "bl_attend": (None, "ppiplpplpliiiiii"),
    "bl_rope_store": (None, "plppppfpppliiiiii"),
    "bl_rms_norm": (None, "plipppfii"),
    "bl_silu_mul": (None, "plippii"),
    "bl_interleave": (None, "pllpi"),
    "bl_draw": (c_int, "plpipi"),
    "bl_rows": (c_int, "lplplpiiipi"),
    "bl_linear_rows": (c_int64, "p"),
    "bl_has_int6": (c_int, "p"),
    "bl_linear": (c_int, "pliiiipppppiiiii"),
    "bl_layers": (c_int, "pplpippppplpliiiffiii"),
    "bl_layers_bytes": (c_int64, "plpi"),
    "bl_pass": (c_int, "pppi"),
    "bl_queue_new": (c_void_p, ""),
    "bl_queue_delete": (None, "p"),
    "bl_queue_wait": (c_int, "pli"),
    "bl_queue_is_busy": (c_int, "p"),
    "bl_queue_idle_ns": (c_int64, "p"),
    "bl_queue_num_taken": (c_int64, "p"),
    "bl_queue_pick": (c_int64, "ppplp"),
    "bl_queue_pass": (c_int64, "ppppi"),
    "bl_queue_draw": (c_int64, "pplpipi"),
}


class CpuKernels:
    """The kernels at one level of vector instructions.

    quantization: what `pack_linear` makes of weights. deterministic: a row of a result is the same
    bits whatever rows are beside it, so nothing is left to torch, and attention has one way for any
    number of queries. linear_rows: rows of a linear layer beyond which torch is faster.
    has_int6: whether weights can be stored so.
    queues: where steps can be computed whole, they can be queued. queue: for these.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        level: str,
        quantization: Quantization = "none",
        *,
        deterministic: bool = False,
        queues: bool = False,
    ) -> None:
        self.level = level
        self.queue: CpuQueue | None = None
        self._queues = queues
        self.quantization = quantization
        self.deterministic = deterministic
        self.library = library
        self.level_address = library.bl_level(level.encode())
        if not self.level_address:
            raise ValueError(f"level {level!r} is not available; {', '.join(LEVELS)} are known")
        few = int(library.bl_linear_rows(self.level_address))
        self.linear_rows = _ANY_NUMBER if deterministic else few
        self.has_int6 = bool(library.bl_has_int6(self.level_address))

    def count_at(self, address: int) -> bool:
        """Raise a number of eight bytes with every piece of work, as long as this process lives.
        Whether none is left to torch for its size."""
        self.library.bl_count_at(address)
        return self.linear_rows == _ANY_NUMBER

    def rms_norm(self, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        """x / rms(x) * weight over the last dimension, in x's dtype."""
        x = _checked(x, weight.dtype)
        out = torch.empty_like(x)
        size = x.shape[-1]
        self.library.bl_rms_norm(
            self.level_address,
            x.numel() // size,
            size,
            x.data_ptr(),
            weight.data_ptr(),
            out.data_ptr(),
            eps,
            x.dtype is torch.bfloat16,
            torch.get_num_threads(),
        )
        return out

    def silu_mul(self, gate_up: torch.Tensor) -> torch.Tensor:
        """silu(gate) * up for gate_up: [rows, 2 * size], gate first."""
        gate_up = _checked(gate_up, gate_up.dtype)
        rows, size = gate_up.shape[0], gate_up.shape[1] // 2
        out = gate_up.new_empty(rows, size)
        self.library.bl_silu_mul(
            self.level_address,
            rows,
            size,
            gate_up.data_ptr(),
            out.data_ptr(),
            gate_up.dtype is torch.bfloat16,
            torch.get_num_threads(),
        )
        return out

    def gelu_mul(self, gate_up: torch.Tensor) -> torch.Tensor:
        """gelu(gate) * up, by torch: one family needs it."""
        gate, up = gate_up.chunk(2, -1)
        return F.gelu(gate, approximate="tanh").mul_(up)

    def pack_linear(self, weight: torch.Tensor, use: WeightUse = "layer") -> PackedLinear | None:
        """`weight: [out, in]` for products with it, quantized as asked for, or None where torch is
        the better choice: without quantization for a weight that is not exact in bfloat16. Where
        results must be deterministic that stays float32, slower than torch's.
        """
        if weight.dtype not in DTYPES:
            return None
        storage, group = storage_of(self.quantization, use, has_int6=self.has_int6)
        if storage == "bf16" and weight.dtype is torch.float32 and not _is_bfloat16(weight):
            if not self.deterministic:
                return None
            storage = "float"
        return PackedLinear(self, pack(weight, storage, group, self.interleave))

    pack_float8: None = None

    def interleave(self, rows: torch.Tensor, words: torch.Tensor) -> None:
        """`packing.interleave`, which is the slow reference, by all threads."""
        rows = rows.contiguous()
        self.library.bl_interleave(
            rows.data_ptr(), *rows.shape, words.data_ptr(), torch.get_num_threads()
        )

    def pack_experts(self, experts: Iterable[Expert]) -> None:
        """None: every expert is an MLP of its own, of packed weights."""

    def stack(self, layers: Sequence[LayerParts]) -> CpuStack | None:
        """The layers in one call, where all their products are packed."""
        return CpuStack(self, layers) if layers and all(map(is_packed, layers)) else None

    def whole(self, parts: WholeParts) -> CpuWhole | None:
        """A step in one call, where all its products are packed."""
        if not can_run_whole(parts):
            return None
        if self._queues and self.queue is None:
            self.queue = CpuQueue(self.library)
        return CpuWhole(self, parts)

    def rows(self, weight: PackedLinear, ids: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """`Packed.unpack`, which is the slow reference, of a weight that is not in int4."""
        out = torch.empty(len(ids), weight.inputs, dtype=dtype)
        words, scales = weight.pointers
        if dtype not in DTYPES or self.library.bl_rows(
            len(ids),
            ids.data_ptr(),
            weight.outputs,
            words,
            weight.packed.words.shape[1],
            scales,
            *weight.storage,
            weight.inputs,
            out.data_ptr(),
            dtype is torch.bfloat16,
        ):
            raise IndexError(f"a row of {weight} is asked for that there is not, or as {dtype}")
        return out

    def linear(
        self,
        x: torch.Tensor,
        weight: PackedLinear,
        bias: torch.Tensor | None,
        out: torch.Tensor,
        adds: bool,
    ) -> None:
        """out = x weight^T + bias, or out += where `adds`; out may be float32 for any x."""
        x = _checked(x, x.dtype)
        rows = x.numel() // weight.inputs
        if x.shape[-1] != weight.inputs or out.numel() != rows * weight.outputs:
            raise ValueError(f"x {tuple(x.shape)} and out {tuple(out.shape)} do not fit {weight}")
        if not out.is_contiguous() or (adds and out.dtype is not x.dtype):
            raise ValueError(f"out must be contiguous {x.dtype}, not {out.dtype}")
        if rows and self.library.bl_linear(
            self.level_address,
            rows,
            weight.inputs,
            weight.outputs,
            *weight.storage,
            x.data_ptr(),
            *weight.pointers,
            None if bias is None else _checked(bias, x.dtype).data_ptr(),
            out.data_ptr(),
            x.dtype is torch.bfloat16,
            adds,
            out.dtype is torch.float32 and x.dtype is not torch.float32,
            False,
            torch.get_num_threads(),
        ):
            raise MemoryError(f"no memory for the inputs of a linear layer of {rows} rows")

    def rope_store(
        self,
        qkv: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        layer_kv: LayerKV,
        new_slots: torch.Tensor,
        head_norm: tuple[torch.Tensor, float] | None,
    ) -> None:
        """Rotate q in place; rotate k and store it and v. qkv: [tokens, heads + 2 * kv_heads,
        head_dim], contiguous; cos, sin, head_norm as in `Attention.attend_qkv`."""
        twice, num_slots, _ = layer_kv.heads.shape
        kv_heads, is_int8 = twice // 2, _is_int8(layer_kv, qkv.dtype)
        if not qkv.is_contiguous():
            raise ValueError("qkv must be contiguous")
        keys, values = layer_kv.addresses
        self.library.bl_rope_store(
            self.level_address,
            qkv.shape[0],
            qkv.data_ptr(),
            _checked(cos, qkv.dtype).data_ptr(),
            _checked(sin, qkv.dtype).data_ptr(),
            None if head_norm is None else head_norm[0].data_ptr(),
            0.0 if head_norm is None else head_norm[1],
            keys,
            values,
            new_slots.data_ptr(),
            num_slots,
            qkv.shape[1] - 2 * kv_heads,
            kv_heads,
            qkv.shape[2],
            qkv.dtype is torch.bfloat16,
            is_int8,
            torch.get_num_threads(),
        )

    def draw(self, draws: ctypes.Array[Any], vocab: int, tokens: torch.Tensor) -> None:
        """A token for each of `draws` (`sampler.py`), from logits over `vocab` tokens."""
        if self.library.bl_draw(
            self.level_address,
            len(draws),
            draws,
            vocab,
            tokens.data_ptr(),
            torch.get_num_threads(),
        ):
            raise MemoryError(f"no memory to draw from {len(draws)} rows of {vocab} logits")

    def attend(
        self,
        plan: int,
        which: int,
        q: torch.Tensor,
        layer_kv: LayerKV,
        window: int | None,
        out: torch.Tensor,
    ) -> None:
        """Attention of a plan's decoding (1), extending (2) or all (3) queries, into `out`."""
        _, heads, head_dim = q.shape
        if q.stride()[1:] != (head_dim, 1):
            raise ValueError(f"q has strides {q.stride()}; heads must be contiguous")
        keys, values = layer_kv.addresses
        self.library.bl_attend(
            self.level_address,
            plan,
            which,
            q.data_ptr(),
            q.stride(0),
            keys,
            values,
            layer_kv.heads.shape[1],
            out.data_ptr(),
            EVERYTHING if window is None else window,
            heads,
            layer_kv.heads.shape[0] // 2,
            head_dim,
            q.dtype is torch.bfloat16,
            _is_int8(layer_kv, q.dtype),
            torch.get_num_threads(),
        )


def load_kernels(
    level: str | None = None,
    *,
    quantization: Quantization = "none",
    deterministic: bool = False,
    queues: bool = False,
) -> CpuKernels:
    """The kernels at `level`, by default the best that this processor has; built when needed.

    Raises KernelBuildError.
    """
    library = _load(build(_tell, shlex.split(os.environ.get(FLAGS_VARIABLE, ""))))
    level = level or os.environ.get(LEVEL_VARIABLE) or available_levels(library)[0]
    try:
        return CpuKernels(library, level, quantization, deterministic=deterministic, queues=queues)
    except ValueError as error:
        raise KernelBuildError(f"{error}; this processor has {available_levels(library)}") from None


def available_levels(library: ctypes.CDLL) -> Sequence[str]:
    """The levels that this processor has, the best first."""
    return [level for level in LEVELS if library.bl_level(level.encode())]


@lru_cache(maxsize=4)
def _load(path: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise KernelBuildError(
            f"{path} does not load ({error}); remove its folder and run `branchline build-kernels`"
        ) from None
    declare(library, _SIGNATURES)
    return library


def _is_bfloat16(weight: torch.Tensor) -> bool:
    """Whether bfloat16 holds every value of a float32 weight exactly."""
    return not (weight.view(torch.int32) & 0xFFFF).any()


def _is_int8(layer_kv: LayerKV, dtype: torch.dtype) -> bool:
    """Whether keys and values are rows of int8. Raises ValueError where they are neither these nor
    of the queries' type."""
    found = layer_kv.heads.dtype
    if found not in (torch.int8, dtype) or dtype not in DTYPES:
        raise ValueError(f"queries of {dtype} and keys of {found}; both must be one of {DTYPES}")
    return found is torch.int8


def _tell(line: str) -> None:
    print(f"branchline: {line}", file=sys.stderr, flush=True)


def _checked(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    if x.dtype is not dtype or dtype not in DTYPES:
        raise ValueError(f"the CPU kernels take one of {DTYPES} throughout, not {x.dtype}")
    return x.contiguous()
