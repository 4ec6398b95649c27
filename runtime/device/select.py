"""The device that a configuration names; used by the model runner."""

from __future__ import annotations

import torch

from ..models.errors import ModelLoadError
from .accelerator import Accelerator
from .base import Device
from .cpu import CpuDevice
from .cuda import CudaDevice


def open_device(name: str, *, queues: bool = False) -> Device:
    """The device `name`: "auto", or a name that torch knows. queues: decode steps are to be queued
    on a CPU, too. Raises ModelLoadError when it is not there."""
    there = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return _made(there or torch.device("cpu"), queues)
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ModelLoadError(
            f"device {name!r} is not known to torch; give 'auto', 'cpu' or 'cuda'"
        ) from None
    if device.type != "cpu" and (there is None or there.type != device.type):
        found = "no GPU" if there is None else f"{there.type!r} only"
        raise ModelLoadError(
            f"device {name!r} was asked for, but torch finds {found}; use 'auto' or 'cpu'"
        )
    return _made(device, queues)


def _made(device: torch.device, queues: bool) -> Device:
    if device.type == "cpu":
        return CpuDevice(queues=queues)
    if device.index is None:  # torch's own choice, by its number, as tensors name it
        device = torch.device(device.type, torch.accelerator.current_device_index())
    return CudaDevice(device) if device.type == "cuda" else Accelerator(device)
