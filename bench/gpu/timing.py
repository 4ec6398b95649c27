"""How long a device takes: medians of many runs, by its own clock where it has one."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable

import torch

from branchline.runtime.device.base import Device

Run = Callable[[], torch.Tensor]


def median_s(device: Device, run: Run, repeats: int = 30) -> float:
    """Seconds of one run. On a device that captures, of its replay: what the host takes to ask for
    the kernels one by one is not in it."""
    with torch.inference_mode():
        if device.captures:
            run = device.capture(run)
        for _ in range(3):
            run()
        marks = [Mark(device)]
        for _ in range(repeats):
            run()
            marks.append(Mark(device))
        device.synchronize()
    return statistics.median(b.since(a) for a, b in itertools.pairwise(marks))


class Mark:
    """A moment in a device's queue."""

    def __init__(self, device: Device) -> None:
        self._event = None
        if device.is_asynchronous:
            self._event = torch.Event(device.torch_device, enable_timing=True)
            self._event.record()
        self._host_s = time.perf_counter()

    def since(self, earlier: Mark) -> float:
        """Seconds; only once the device has passed both."""
        if self._event is None or earlier._event is None:
            return self._host_s - earlier._host_s
        return float(earlier._event.elapsed_time(self._event)) / 1e3
