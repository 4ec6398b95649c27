"""NVIDIA GPUs, and AMD's under ROCm: torch names both "cuda" and translates for the latter."""

from __future__ import annotations

import torch

from .accelerator import Accelerator
from .base import Replay

# Before a capture: libraries make their workspaces and kernels are compiled, which no capture may.
_WARM_UPS = 2


class CudaDevice(Accelerator):
    """One GPU; its queue is torch's current stream."""

    captures = True

    def __init__(self, torch_device: torch.device) -> None:
        super().__init__(torch_device)
        torch.cuda.set_device(torch_device)
        self._graph_memory = torch.cuda.graph_pool_handle()

    def capture(self, run: Replay) -> Replay:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # All graphs take what they need between their kernels from one pool: they never run at
        # the same time. So what `run` returned holds good until another graph is replayed.
        with torch.cuda.graph(graph, pool=self._graph_memory):
            result = run()

        def replay() -> torch.Tensor:
            graph.replay()
            return result

        return replay

    def describe(self) -> str:
        make = "ROCm" if torch.version.hip else "CUDA"
        return f"{torch.cuda.get_device_name(self.torch_device)}, {make}"
