"""The processor that the runtime itself runs on; the device of every machine without another."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import numpy.typing as npt
import torch

from ..kernels.base import Attention
from ..kernels.torch_attention import TorchAttention
from ..memory.available import available_bytes, quota_cores
from ..models.errors import ModelLoadError
from .base import Device, FetchAll, Kernels, Replay

if TYPE_CHECKING:
    from ..kernels.cpu.library import CpuKernels
    from ..kernels.cpu.queue import CpuQueue
    from ..kernels.cpu.sampler import CpuSampler
    from ..sampling import RowSampler

_log = logging.getLogger(__name__)

# For keys and values, unless somebody asks for more: the memory is the whole machine's.
DEFAULT_KV_BYTES: Final = 2 * 1024**3

# Below this a CPU computes in float32, which gives the same greedy text however a batch is put
# together. bfloat16 takes 0.87 of its time at batch 1, 0.6 at 8 to 64, a half for prompts (measured
# with AMX, the embedded model of 5.5 M parameters); of a bigger model that is too much to pay.
_FLOAT32_PARAMETERS: Final = 64_000_000

_DTYPES: Final = (torch.float32, torch.bfloat16)


def num_cores() -> int:
    """Those that this process may use."""
    has_mask = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_mask else os.cpu_count() or 1
    return min(cores, quota_cores() or cores)


def default_threads() -> int:
    """Torch's own choice, but not more than the cores; torch does not look at a container's."""
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    return min(torch.get_num_threads(), num_cores())


class CpuDevice(Device):
    """Its tensors are the host's own memory: putting and fetching copy nothing.

    queues: decode steps can be queued, where the C++ kernels compute a model's whole.
    """

    torch_device = torch.device("cpu")

    # Of the kernels that were chosen last.
    _sampler: CpuSampler | None = None
    _library: CpuKernels | None = None

    def __init__(self, *, queues: bool = False) -> None:
        self._queues = queues

    @property
    def is_asynchronous(self) -> bool:
        return self._queue is not None

    @property
    def is_busy(self) -> bool:
        return self._queue is not None and self._queue.is_busy

    @property
    def _queue(self) -> CpuQueue | None:
        return None if self._library is None else self._library.queue

    @property
    def compiles(self) -> bool:
        return False

    def count_at(self, address: int) -> bool:
        return self._library is not None and self._library.count_at(address)

    def default_dtype(self, num_parameters: int) -> torch.dtype:
        big = num_parameters > _FLOAT32_PARAMETERS
        return torch.bfloat16 if big and _has_bfloat16_arithmetic() else torch.float32

    def kv_budget(self, fraction: float, weight_bytes: int) -> int:
        return int(max(0, available_bytes() - weight_bytes) * fraction)

    def default_kv_budget(self, weight_bytes: int) -> int:
        return min(super().default_kv_budget(weight_bytes), DEFAULT_KV_BYTES)

    def kernels(self, backend: str, quantization: str, dtype: torch.dtype) -> Kernels:
        """C++ where it can be built; else, or with backend "torch", torch serves."""
        return self._kernels(backend, quantization, dtype, deterministic=False)

    def deterministic_kernels(self, backend: str, quantization: str, dtype: torch.dtype) -> Kernels:
        return self._kernels(backend, quantization, dtype, deterministic=True)

    def _kernels(
        self, backend: str, quantization: str, dtype: torch.dtype, *, deterministic: bool
    ) -> Kernels:
        self._sampler = self._library = None
        needed_by = _needs_cpp(backend, quantization, deterministic=deterministic)
        if backend == "torch":
            if needed_by is not None:
                raise ModelLoadError(
                    f"{needed_by} is done by the C++ kernels, which attention_backend 'torch' "
                    "excludes; use 'auto'"
                )
            return TORCH_KERNELS
        if quantization == "fp8":
            raise ModelLoadError(
                "quantization 'fp8' is for GPUs; on a CPU give 'int8', 'int4' or 'none'"
            )
        if backend == "triton":
            raise ModelLoadError(
                "attention_backend 'triton' is for GPUs, not for a CPU; leave it at its default"
            )
        if dtype not in _DTYPES:
            if needed_by is None:
                return TORCH_KERNELS
            raise ModelLoadError(
                f"{needed_by} is for float32 and bfloat16 on a CPU, not for {dtype} on "
                f"{self.torch_device}; leave it at its default"
            )
        library = _load(quantization, needed_by, deterministic=deterministic, queues=self._queues)
        if library is None:
            return TORCH_KERNELS
        # Not at the top, as in `_load`.
        from ..kernels.cpu.sampler import CpuSampler

        self._library = library
        self._sampler = CpuSampler(library)
        return _kernels_of(library)

    def sampler(self, max_rows: int, vocab_size: int) -> RowSampler | None:
        return self._sampler

    def put(self, arrays: Sequence[npt.NDArray[Any]]) -> list[torch.Tensor]:
        return [torch.from_numpy(array) for array in arrays]

    def fetch(self, tensor: torch.Tensor) -> Replay:
        wait = self._marked()

        def read() -> torch.Tensor:
            wait()
            return tensor

        return read

    def fetch_all(self, compute: Callable[[], Sequence[torch.Tensor]]) -> FetchAll:
        """Torch's operators are not queued: they run when they are waited for."""
        wait = self._marked()

        def read() -> list[torch.Tensor]:
            wait()
            return list(compute())

        return read

    def draw(self, sampler: RowSampler, logits: torch.Tensor) -> torch.Tensor:
        if self._queue is None or sampler is not self._sampler:
            return super().draw(sampler, logits)
        return self._sampler.queue(logits, self._queue)

    def pick(self, drawn: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        queue = self._queue
        return super().pick(drawn, rows) if queue is None else queue.pick(drawn, rows)

    def catch_up(self) -> None:
        if self._queue is not None:
            self._queue.drain()

    def synchronize(self) -> None:
        self.catch_up()

    def _marked(self) -> Callable[[], None]:
        """Waits for what is queued so far."""
        queue = self._queue
        if queue is None:
            return _nothing_to_wait_for
        return partial(queue.wait, queue.mark())

    def describe(self) -> str:
        return f"cpu, torch threads: {torch.get_num_threads()}"


_KV_DTYPES: Final = frozenset({torch.int8})
# Of queries for a head of keys, kMaxRows in kernels/cpu/src/attention_blocks.h; torch takes more.
_MOST_HEADS: Final = 64
TORCH_KERNELS: Final = Kernels("torch", TorchAttention, kv_dtypes=_KV_DTYPES)


def _nothing_to_wait_for() -> None:
    """What is done at once has been done."""


def _load(
    quantization: str, needed_by: str | None, *, deterministic: bool, queues: bool
) -> CpuKernels | None:
    """The C++ kernels; None, with a warning, where they cannot be built and nothing needs them."""
    # Not at the top: they need msgspec and a compiler, which a machine with a GPU may lack.
    from ..engine.config import Quantization
    from ..kernels.cpu.build import KernelBuildError
    from ..kernels.cpu.library import load_kernels

    try:
        return load_kernels(
            quantization=cast(Quantization, quantization),
            deterministic=deterministic,
            queues=queues,
        )
    except (KernelBuildError, OSError) as error:
        if needed_by is not None:
            raise ModelLoadError(f"{needed_by} is not available: {error}") from None
        _log.warning("the CPU kernels are not available; torch serves, slower: %s", error)
        return None


def _kernels_of(library: CpuKernels) -> Kernels:
    from ..kernels.cpu.attention import CpuAttention

    def attention(
        heads: int, kv_heads: int, head_dim: int, soft_cap: float | None
    ) -> Attention[Any]:
        if soft_cap is None and heads <= _MOST_HEADS * kv_heads:
            return CpuAttention(library, heads, kv_heads, head_dim)
        if library.deterministic:
            lacks = "soft caps"
            if soft_cap is None:
                lacks = f"more than {_MOST_HEADS} heads of queries for one of keys"
            raise ModelLoadError(
                f"the deterministic mode on a CPU has no {lacks}, which this model has; leave it "
                "off"
            )
        return TorchAttention(heads, kv_heads, head_dim, soft_cap)

    mode = ", deterministic" if library.deterministic else ""
    return Kernels(f"C++ ({library.level}{mode})", attention, library, _KV_DTYPES)


def _needs_cpp(backend: str, quantization: str, *, deterministic: bool) -> str | None:
    """The setting that cannot do without the C++ kernels."""
    if backend == "cpu":
        return "attention_backend 'cpu'"
    if quantization != "none":
        return f"quantization {quantization!r}"
    return "the deterministic mode" if deterministic else None


def _has_bfloat16_arithmetic() -> bool:
    """Whether this CPU multiplies bfloat16 itself; without that it is slower than float32."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported is not None and supported())
