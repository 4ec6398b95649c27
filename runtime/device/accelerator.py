"""A device behind a queue, by what torch knows of all such: enough for Intel's (xpu) and, with its
plug-in, Ascend's (npu). One that can do more, as cuda.py, is a subclass in a file of its own.

The host copies through pinned memory and waits for events, never for the whole device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..models.errors import ModelLoadError
from .base import Device, Kernels, Replay
from .cpu import TORCH_KERNELS


class Accelerator(Device):
    """Computes by torch's own operators, in the order in which the host asks for them."""

    pins = True  # whether the host's side of copies is page-locked memory

    def __init__(self, torch_device: torch.device) -> None:
        self.torch_device = torch_device

    @property
    def is_asynchronous(self) -> bool:
        return True

    def free_bytes(self) -> int:
        """What is free of its memory."""
        return int(torch.accelerator.get_memory_info(self.torch_device)[0])

    def mark(self) -> Callable[[], None]:
        """A point in the queue; the function that is returned waits until it is reached."""
        event = torch.Event(self.torch_device)
        event.record()
        return event.synchronize

    def default_dtype(self, num_parameters: int) -> torch.dtype:
        return torch.bfloat16

    def kv_budget(self, fraction: float, weight_bytes: int) -> int:
        return int(max(0, self.free_bytes() - weight_bytes) * fraction)

    def kernels(self, backend: str, quantization: str, dtype: torch.dtype) -> Kernels:
        if quantization != "none":
            raise ModelLoadError(
                f"quantization {quantization!r} is for float32 and bfloat16 on a CPU, not for "
                f"{dtype} on {self.torch_device}; leave it at its default"
            )
        if backend not in ("auto", "torch"):
            raise ModelLoadError(
                f"attention_backend {backend!r} is not for {dtype} on {self.torch_device}; "
                "leave it at its default"
            )
        return TORCH_KERNELS

    def put(self, arrays: Sequence[npt.NDArray[Any]]) -> list[torch.Tensor]:
        # One buffer for all: a copy to the device costs about 10 us however small it is.
        lengths = [len(array) for array in arrays]
        dtype = torch.from_numpy(arrays[0]).dtype
        staged = torch.empty(sum(lengths), dtype=dtype, pin_memory=self.pins)
        np.concatenate(arrays, out=staged.numpy())
        there = staged.to(self.torch_device, non_blocking=True)
        return list(torch.split(there, lengths))

    def fetch(self, tensor: torch.Tensor) -> Replay:
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=self.pins)
        host.copy_(tensor, non_blocking=True)
        wait_until_there = self.mark()

        def wait() -> torch.Tensor:
            wait_until_there()
            return host

        return wait

    def catch_up(self) -> None:
        """Torch's operators are queued as all else."""

    def synchronize(self) -> None:
        torch.accelerator.synchronize(self.torch_device)
