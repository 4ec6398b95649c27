"""NVIDIA GPUs, and AMD's under ROCm: torch names both "cuda" and translates for the latter."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import torch

from ..kernels.base import Attention
from ..models.errors import ModelLoadError
from .accelerator import Accelerator
from .base import Kernels, Replay

if TYPE_CHECKING:
    from ..sampling import RowSampler

_log = logging.getLogger(__name__)

_NO_TRITON = (
    "{} is not available: triton is not installed; `pip install 'branchline[gpu]'` does that"
)

# Before a capture: libraries make their workspaces and kernels are compiled, which no capture may.
_WARM_UPS = 2


class CudaDevice(Accelerator):
    """One GPU; its queue is torch's current stream."""

    captures = True

    def __init__(self, torch_device: torch.device) -> None:
        super().__init__(torch_device)
        torch.cuda.set_device(torch_device)
        self._graph_memory = torch.cuda.graph_pool_handle()
        # One for all captures: torch keeps freed memory apart for each stream.
        self._side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._copies = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def free_bytes(self) -> int:
        return int(torch.cuda.mem_get_info(self.torch_device)[0])

    def kernels(self, backend: str, quantization: str, dtype: torch.dtype) -> Kernels:
        """Triton where it is installed; else, or with backend "torch", torch serves."""
        if backend not in ("auto", "triton"):
            return super().kernels(backend, quantization, dtype)
        if importlib.util.find_spec("triton") is None:
            if backend == "triton":
                raise ModelLoadError(_NO_TRITON.format("attention_backend 'triton'"))
            _log.warning("triton is not installed; torch serves, slower")
            return super().kernels("auto", quantization, dtype)
        return self._triton(quantization, deterministic=False)

    def deterministic_kernels(self, backend: str, quantization: str, dtype: torch.dtype) -> Kernels:
        if backend not in ("auto", "triton"):
            raise ModelLoadError(
                f"the deterministic mode is done by Triton's kernels, which attention_backend "
                f"{backend!r} excludes; use 'auto'"
            )
        if importlib.util.find_spec("triton") is None:
            raise ModelLoadError(_NO_TRITON.format("the deterministic mode"))
        return self._triton(quantization, deterministic=True)

    def _triton(self, quantization: str, *, deterministic: bool) -> Kernels:
        # Not at the top: a machine without a GPU may lack triton, and it takes time to import.
        from ..kernels.triton.attention import TritonAttention
        from ..kernels.triton.ops import TritonOps
        from ..kernels.triton.work import machine_for

        processors = torch.cuda.get_device_properties(self.torch_device).multi_processor_count

        def attention(
            heads: int, kv_heads: int, head_dim: int, soft_cap: float | None
        ) -> Attention[Any]:
            return TritonAttention(
                machine_for(processors, heads, kv_heads, head_dim, deterministic=deterministic),
                soft_cap,
            )

        # From Ada and Hopper on; AMD's older ones have another format.
        capability = torch.cuda.get_device_capability(self.torch_device)
        has_float8 = torch.version.hip is None and capability >= (8, 9)
        if quantization == "fp8" and not has_float8:
            raise ModelLoadError(
                f"quantization 'fp8' is for GPUs with float8, which {self.describe()} has not; "
                "give 'int8' or 'int4'"
            )
        name = "Triton, deterministic" if deterministic else "Triton"
        ops = TritonOps(quantization, deterministic=deterministic, has_float8=has_float8)
        rounded = frozenset({torch.float8_e4m3fn} if has_float8 else ())
        return Kernels(name, attention, ops, rounded)

    def sampler(self, max_rows: int, vocab_size: int) -> RowSampler | None:
        if importlib.util.find_spec("triton") is None:
            return None
        from ..kernels.triton.sampler import DeviceSampler

        return DeviceSampler(max_rows, vocab_size, self.torch_device)

    def put(self, arrays: Sequence[npt.NDArray[Any]]) -> list[torch.Tensor]:
        """Beside the step that is under way: a large step's slots are megabytes, for which the next
        one would wait 50 us and more."""
        steps = torch.cuda.current_stream()
        with torch.cuda.stream(self._copies):
            there = super().put(arrays)
        steps.wait_stream(self._copies)
        # They share their memory, which is not to be given away while steps read it.
        there[0].record_stream(steps)
        return there

    def capture(self, run: Replay) -> Replay:
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side):
            for _ in range(_WARM_UPS):
                run()
        torch.cuda.current_stream().wait_stream(self._side)
        graph = torch.cuda.CUDAGraph()
        # All graphs take what they need between their kernels from one pool: they never run at
        # the same time. So what `run` returned holds good until another graph is replayed.
        with torch.cuda.graph(graph, pool=self._graph_memory, stream=self._side):
            result = run()

        def replay() -> torch.Tensor:
            graph.replay()
            return result

        return replay

    def describe(self) -> str:
        make = "ROCm" if torch.version.hip else "CUDA"
        return f"{torch.cuda.get_device_name(self.torch_device)}, {make}"
